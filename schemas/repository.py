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
)
from schemas.names import REPOSITORY

URL_PATTERN = (
    r"^((https://|ssh://([a-z_][a-z0-9_-]*@)?)[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?"
    r"/[A-Za-z0-9._~/-]+|(file://)?/[^\x00-\x1f\x7f]+)$"
)
"""https, ssh, or a path on the runner's machine. Narrow on purpose: no user in https, no host that
looks like an option, none of git's ``ext::`` and its like."""


class RepositorySpec(Model):
    """Where the repository is and how to reach it."""

    url: Annotated[str, Field(min_length=1, max_length=2048, pattern=URL_PATTERN)]
    """https:// or ssh:// address. A path (or file://) on the runner's machine works only below a
    folder that the runner's operator allowed (agentsmesh up --allow-local-repositories)."""
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
