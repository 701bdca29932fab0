"""Where a repository is and what a branch may be called. Pure but for resolving local paths."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

_HTTPS: Final = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?/[A-Za-z0-9._~/+@%-]+")
_SSH: Final = re.compile(
    r"ssh://([A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?"
    r"/[A-Za-z0-9._~/+@%-]+"
)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_LONGEST_BRANCH: Final = 200
"""Bytes. Each part becomes a file name with ``.lock`` behind it."""


class PlaceError(Exception):
    """A url or folder that is not opened here; the text is the sentence for the user."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a repository is."""

    url: str
    """What git is given: a URL, or the real path of a folder."""

    local: bool
    """It is a folder of this machine."""

    addresses: tuple[str, ...] = ()
    """What its host is to be connected to by; none: git asks what its name means."""

    @property
    def host(self) -> str:
        """Its host, in lower case; empty if it is local."""
        return "" if self.local else urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port, given or usual; 0 if it is local."""
        if self.local:
            return 0
        return urlsplit(self.url).port or (22 if self.protocol == "ssh" else 443)

    @property
    def protocol(self) -> str:
        """What git may speak to get there, and nothing else."""
        return "file" if self.local else self.url.partition("://")[0]


def locate(url: str, allow_local: Sequence[Path]) -> Location:
    """Return where *url* leads, when it is opened here.

    Raises:
        PlaceError: Another protocol, credentials in the URL, or a folder not allowed.
    """
    if ".." not in url and (_HTTPS.fullmatch(url) or _SSH.fullmatch(url)):
        return Location(url, local=False)
    if url.startswith(("file:", "/", ".", "~")):
        return Location(str(_local(url, allow_local)), local=True)
    parts = url.partition("://")
    if parts[0] in {"https", "http"} and "@" in parts[2].partition("/")[0]:
        raise PlaceError(
            "The repository's url contains a user name or password: put them into the Secret "
            "that authSecretRef names."
        )
    raise PlaceError(
        f"The repository's url {shown(url)} is not one that is opened here: write "
        "https://host/path or ssh://git@host/path."
    )


def _local(url: str, allow_local: Sequence[Path]) -> Path:
    text = url
    if url.startswith("file:"):
        parts = urlsplit(url)
        text = unquote(parts.path) if parts.netloc in {"", "localhost"} else ""
    if text.startswith("/") and not set(text) & {"\0", "\n", "\r"}:
        real = Path(text).resolve()
        for folder in allow_local:
            if real.is_relative_to(folder.resolve()):
                return real
    raise PlaceError(
        f"The repository's url {shown(url)} is a local folder that is not opened here: start "
        "AgentsMesh with --allow-local-repositories for a folder above it, or use https or ssh."
    )


def branch_flaw(name: str) -> str:
    """Return why git does not take *name* for a branch, empty if it does.

    Source: git-check-ref-format(1), rules 1 to 10 and ``--branch``.
    """
    if not name:
        return "it is empty"
    if name.startswith("-"):
        return "it begins with a dash, like an option"
    if name in {"@", "HEAD"}:
        return "git uses that word itself"
    if _FORBIDDEN.search(name):
        return "it contains a space, a control character, or one of .. // @{ ~ ^ : ? * [ \\"
    if any(part.startswith(".") or part.endswith(".lock") for part in name.split("/")):
        return "a part of it begins with a dot or ends with .lock"
    if name.startswith("/") or name.endswith(("/", ".")):
        return "it begins or ends with a slash, or ends with a dot"
    try:
        long = len(name.encode())
    except UnicodeEncodeError:
        return "it is not Unicode text"
    return f"it is longer than {_LONGEST_BRANCH} bytes" if long > _LONGEST_BRANCH else ""


def is_commit(text: str) -> bool:
    """Tell whether *text* is a full commit id."""
    return _COMMIT.fullmatch(text) is not None


def shown(text: str) -> str:
    """Return *text* fit for a message: short, one line, without user names."""
    cut = text if len(text) <= 80 else text[:77] + "..."
    hidden = re.sub(r"(?<=://)[^/\s@]+@", "[redacted]@", cut)
    return repr(hidden)
