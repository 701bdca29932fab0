"""Repository: a git repository that agents work on."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from schemas.agentclass import SetupScript
from schemas.base import (
    READY_COLUMNS,
    Column,
    Definition,
    Model,
    Object,
    Rule,
    SecretReference,
    Status,
    worded,
)
from schemas.names import REPOSITORY

URL_PATTERN = (
    r"^((https://|ssh://([a-z_][a-z0-9_-]*@)?)[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?"
    r"/[A-Za-z0-9._~/-]+|(file://)?/[^\x00-\x1f\x7f]+)$"
)
"""https, ssh, or a path on the runner's machine. Narrow on purpose: no user in https, no host that
looks like an option, none of git's ``ext::`` and its like."""

_URL_RULES = (
    Rule(
        "self.startsWith('https://') || self.startsWith('ssh://') || self.startsWith('file:///') "
        "|| self.startsWith('/')",
        "must be an https:// or ssh:// address, or a path (/... or file:///...)",
    ),
    Rule(
        "!self.matches('^https://[^/]*@')",
        "must not have a user or a password: put them into the Secret that authSecretRef names",
    ),
    Rule(
        "!self.startsWith('https://') || self.matches('^https://[^/]*@') || "
        "self.matches('^https://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?/[A-Za-z0-9._~/-]+$')",
        "an https:// address is https://host/path or https://host:port/path, "
        "its path of letters, digits and . _ ~ / -",
    ),
    Rule(
        "!self.startsWith('ssh://') || self.matches('^ssh://([a-z_][a-z0-9_-]*@)?"
        "[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?/[A-Za-z0-9._~/-]+$')",
        "an ssh:// address is ssh://user@host/path or ssh://user@host:port/path, "
        "its path of letters, digits and . _ ~ / -",
    ),
    Rule(
        "self != '/' && self != 'file:///' && !self.matches(r'[\\x00-\\x1f\\x7f]')",
        "a path names a folder and has no control characters",
    ),
)


class Submodules(StrEnum):
    """Whether submodules are checked out."""

    NEVER = "Never"
    CHECKOUT = "Checkout"


class RepositoryWorktree(Model):
    """What each new worktree of the repository gets."""

    setup: SetupScript | None = None
    """Run in each new worktree before the agent starts."""
    include: Annotated[
        tuple[
            Annotated[
                str, Field(min_length=1, max_length=256, pattern=r"^[^/\x00-\x1f][^\x00-\x1f]*$")
            ],
            ...,
        ],
        Field(max_length=64),
    ] = ()
    """Files and folders of the runner's includeDir for this repository that are put into each new
    worktree, such as .env: relative paths, no `..`. Only those that git ignores there."""


class RepositorySpec(Model):
    """Where the repository is and how to reach it."""

    url: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2048,
            pattern=URL_PATTERN,
            json_schema_extra=worded(*_URL_RULES),
        ),
    ]
    """https:// or ssh:// address. A path (or file://) on the runner's machine works only below a
    folder that the runner's operator allowed (agentsmesh up --allow-local-repositories)."""
    description: Annotated[str, Field(max_length=1024)] | None = None
    """What it is, for people and agents."""
    default_branch: Annotated[str, Field(min_length=1, max_length=250)] = "main"
    """The branch that pods start from when they name no ref."""
    auth_secret_ref: SecretReference | None = None
    """Secret with username and password (or token) for https, or ssh-privatekey (and known_hosts)
    for ssh. Its values reach git on the runner in memory and never the agent."""
    submodules: Submodules = Submodules.NEVER
    """Never, or Checkout: submodules are checked out where their address is on the same host, or
    relative."""
    lfs: bool = False
    """Whether files that are kept with Git LFS are fetched; needs git-lfs on the runner."""
    worktree: RepositoryWorktree = RepositoryWorktree()
    """What each new worktree gets."""
    warm_worktrees: Annotated[int, Field(ge=0, le=32)] = 0
    """So many worktrees of the default branch are kept ready on each runner that has had a pod of
    the repository: a start need not wait for the files."""


class RepositoryStatus(Status):
    """What is known of the repository."""


class Repository(Object):
    """A git repository that agents work on."""

    definition: ClassVar = Definition(
        resource=REPOSITORY,
        short_names=("grepo",),
        columns=(
            Column("URL", ".spec.url"),
            Column("Branch", ".spec.defaultBranch"),
            *READY_COLUMNS,
        ),
        spec_rules=(
            Rule(
                "!self.url.contains('..')",
                "url must not contain '..'",
                ".url",
            ),
            Rule(
                "!has(self.worktree.include) || !self.worktree.include.exists(f, "
                "f.split('/').exists(s, s == '..' || s == '.git'))",
                "worktree.include must not contain '..' or '.git'",
                ".worktree.include",
            ),
            Rule(
                "!self.defaultBranch.startsWith('-')",
                "defaultBranch must not start with '-'",
                ".defaultBranch",
            ),
        ),
    )

    spec: RepositorySpec
    """Where the repository is and how to reach it."""
    status: RepositoryStatus = RepositoryStatus()
    """What is known of the repository."""
