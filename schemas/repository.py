"""Repository: a git repository that agents work on."""

from typing import Annotated, ClassVar

from pydantic import Field

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
