"""Makes commits in a bare mirror without a checkout: one process for any number of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.gitops.values import Author


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit to be made."""

    files: Mapping[str, bytes | None] = field(repr=False)
    """By path from the root of the repository; None deletes."""
    author: Author
    committer: Author
    message: str
    """Subject, body and trailers."""
    at: int
    """Seconds since 1970: when it is authored and committed."""
