"""All that a Repository's plan and status are computed from."""

from dataclasses import dataclass

from schemas.repository import Repository


@dataclass(frozen=True, slots=True)
class RepositorySnapshot:
    """The repository and the names of its Secret's keys, never their values."""

    subject: Repository
    local_allowed: bool
    secret_keys: frozenset[str] | None
    """Keys with a value; None: there is no such Secret, or none is asked for."""
