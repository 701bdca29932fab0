"""Reads what a repository says about its submodules, trusting none of it. Pure but for local paths.

Source: gitmodules(5); git-submodule(1) on relative addresses.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gitaccess.places import Location
from runner.git.errors import NotAllowedError
from runner.git.names import locate

_PART: Final = re.compile(r"[A-Za-z0-9_+@~. -]+")
_LONGEST: Final = 200
_SCP: Final = re.compile(r"((?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*):([^/].*)")
_PORTS: Final = {"https": 443, "ssh": 22}


@dataclass(frozen=True, slots=True)
class Module:
    """One submodule, as .gitmodules has it."""

    name: str
    path: str
    url: str
    never: bool = False
    """``update = none``: its owner does not want it checked out."""


def read_modules(listing: bytes) -> tuple[Module, ...]:
    """Return the submodules of what ``git config --null --list`` says of .gitmodules."""
    found: dict[str, dict[str, str]] = {}
    for entry in listing.decode("utf-8", errors="replace").split("\0"):
        key, _, value = entry.partition("\n")
        section, _, rest = key.partition(".")
        name, _, field = rest.rpartition(".")
        if section == "submodule" and name:
            found.setdefault(name, {})[field] = value
    return tuple(
        Module(name, said["path"], said.get("url", ""), said.get("update") == "none")
        for name, said in found.items()
        if "path" in said
    )


def refusal(module: Module, others: Iterable[Module]) -> str:
    """Return why the submodule's name or path cannot be used; empty when both can."""
    if not _is_plain(module.name):
        return "its name is not one that can be a folder's"
    mine = module.name.casefold().split("/")
    for other in others:
        theirs = other.name.casefold().split("/")
        shorter = min(len(mine), len(theirs))
        if other.name != module.name and mine[:shorter] == theirs[:shorter]:
            return "its name and that of another one lie within each other"
    parts = module.path.split("/")
    if not all(parts) or any(_is_special(part) for part in parts) or module.path.startswith("-"):
        return "its path does not lie within the worktree"
    return ""


def _is_plain(name: str) -> bool:
    """Tell whether a name can be a folder's below ``modules``. Compare CVE-2018-11235."""
    parts = name.split("/")
    return (
        len(name) <= _LONGEST
        and not name.startswith("-")
        and all(_PART.fullmatch(part) and not _is_special(part) for part in parts)
    )


def _is_special(part: str) -> bool:
    """Tell whether it is ``.``, ``..``, or what some file system takes for ``.git``."""
    bare = part.rstrip(" .").casefold()
    return bare in {"", ".git", "git~1"} or not part.isprintable()


def resolve(url: str, base: Location, main: Location, allow_local: Sequence[Path]) -> Location:
    """Return where a submodule of *base* is, when it is on the host of *main*.

    Raises:
        NotAllowedError: It is elsewhere, or its address is not one that runners open; the message
            is without subject and full stop.
    """
    absolute = _absolute(url, base, main)
    try:
        found = locate(absolute, allow_local)
    except NotAllowedError as exc:
        raise NotAllowedError("its address is not one that this runner opens") from exc
    if found.local != main.local or (not main.local and _host(found) != _host(main)):
        raise NotAllowedError("its address is on another host or of another protocol")
    return found


def _absolute(url: str, base: Location, main: Location) -> str:
    if url.startswith(("./", "../")) or url == "..":
        return _joined(base, url)
    scp = _SCP.fullmatch(url)
    if scp and "://" not in url and main.protocol == "ssh":
        return f"ssh://{scp[1]}/{scp[2]}"
    return url


def _joined(base: Location, relative: str) -> str:
    root, path = "", base.url
    if not base.local:
        parts = urlsplit(base.url)
        root, path = f"{parts.scheme}://{parts.netloc}", parts.path
    kept = [part for part in path.split("/") if part]
    for part in relative.split("/"):
        if part == "..":
            if not kept:
                raise NotAllowedError("its address leads above its host's root")
            kept.pop()
        elif part not in {"", "."}:
            kept.append(part)
    return f"{root}/{'/'.join(kept)}"


def _host(location: Location) -> tuple[str, str, str, int | None]:
    """Return protocol, user, host and port: where they are the same, so are the credentials."""
    parts = urlsplit(location.url)
    try:
        port = parts.port
    except ValueError as exc:
        raise NotAllowedError("its address has a port that is none") from exc
    host = (parts.hostname or "").casefold()
    return parts.scheme, parts.username or "", host, port or _PORTS.get(parts.scheme)


def is_same_host(url: str, main: Location) -> bool:
    """Tell whether an https address is on the host of *main*, whatever protocol that speaks."""
    try:
        found = locate(url, ())
        theirs, ours = _host(found), _host(main)
    except NotAllowedError:
        return False
    if main.local or found.protocol != "https":
        return False
    same_port = ours[3] == theirs[3] if main.protocol == "https" else theirs[3] == _PORTS["https"]
    return ours[2] == theirs[2] and same_port
