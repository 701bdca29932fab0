"""Chooses the sandbox of a pod and puts it around the agent's command line."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

from runner.drivers.sandbox import bubblewrap, landlock
from runner.drivers.sandbox.accounts import may_read, may_write
from runner.drivers.sandbox.paths import installation, is_system
from runner.drivers.sandbox.values import (
    OUTSIDE,
    Capabilities,
    Isolation,
    Network,
    Prepared,
    SandboxRefusedError,
    SandboxRequest,
    Want,
)
from runner.drivers.terminal_values import Inside


def prepare(request: SandboxRequest, capabilities: Capabilities) -> Prepared:
    """Return the command line with the strongest sandbox that this machine has.

    Reads links and first lines of scripts, and sees to the pod's ``/etc``: some hundred file
    operations, no process.

    Raises:
        SandboxRefusedError: What was asked for cannot be had, or may not be.
    """
    if request.network is Network.ALLOWLIST:
        raise SandboxRefusedError(
            "sandbox.network allowlist is not available on this runner: use host or none."
        )
    isolation = _choose(request, capabilities)
    if isolation is Isolation.NONE:
        return _bare(request, capabilities)
    writable = tuple(_writable(request))
    readable = tuple(_readable(request))
    if isolation is Isolation.BUBBLEWRAP and capabilities.bubblewrap is not None:
        inside = {**request.environment, "TMPDIR": "/tmp"}  # noqa: S108  the pod's own, inside
        counted = capabilities.counts and request.pids > 0 and not request.account
        request = dataclasses.replace(request, pids=request.pids if counted else 0)
        return Prepared(
            bubblewrap.wrap(capabilities.bubblewrap, request, readable, writable),
            isolation,
            request.network,
            OUTSIDE,
            bubblewrap.contents(inside),
            scoped=capabilities.scopes,
            inside=Inside.BUBBLEWRAP if _listens_inside(request) else None,
            counted=counted,
            note=_weaker(request, capabilities),
            wrapper="bwrap",
        )
    return Prepared(
        landlock.wrap(request, readable, writable),
        isolation,
        request.network,
        OUTSIDE,
        landlock.contents(request.environment),
        inside=Inside.WRAPPER if _listens_inside(request) else None,
        note=landlock.note(capabilities.landlock),
    )


def has_account(want: Want, capabilities: Capabilities) -> bool:
    """Tell whether a pod that wants that much can have a number of its own."""
    return want is not Want.NONE and capabilities.bubblewrap is not None and capabilities.accounts


def agent_exit(
    isolation: Isolation, exit_code: int | None, signal: int | None
) -> tuple[int | None, int | None]:
    """Return exit code and signal of the agent from those of the process that was started.

    bubblewrap ends with 128+n when signal n ended the agent, and so does a shell that saw a
    signal end its child: both are reported as that signal.
    """
    if isolation is Isolation.BUBBLEWRAP and exit_code is not None and 128 < exit_code <= 128 + 64:
        return None, exit_code - 128
    return exit_code, signal


def _listens_inside(request: SandboxRequest) -> bool:
    return request.mcp and request.network is Network.NONE


def _choose(request: SandboxRequest, capabilities: Capabilities) -> Isolation:
    if request.isolation is Want.NONE:
        return Isolation.NONE
    if capabilities.bubblewrap is not None:
        return Isolation.BUBBLEWRAP
    offers = capabilities.landlock and (
        request.network is Network.HOST or capabilities.network_namespace
    )
    if offers and (request.isolation is not Want.REQUIRED or capabilities.landlock_holds):
        return Isolation.LANDLOCK
    if request.isolation is Want.REQUIRED:
        weak = ", and Landlock alone holds too little" if offers else ""
        raise SandboxRefusedError(
            f"sandbox.isolation required cannot be had on this runner: {_why(capabilities)}{weak}. "
            "Install bubblewrap there, or place the pod on another runner."
        )
    return Isolation.NONE


def _bare(request: SandboxRequest, capabilities: Capabilities) -> Prepared:
    if not request.none_allowed:
        raise SandboxRefusedError(_forbidden(request, capabilities))
    if request.network is Network.NONE:
        raise SandboxRefusedError(
            "sandbox.network none needs a sandbox that can take the network away, and this pod "
            f"would have none: {_why(capabilities)}."
            if request.isolation is Want.PREFERRED
            else "sandbox.network none cannot go with sandbox.isolation none: choose one of them."
        )
    if request.isolation is Want.NONE:
        note = ""
    else:
        note = f"The pod runs without a sandbox, as the runner's own account: {_why(capabilities)}."
    return Prepared(request.argv, Isolation.NONE, Network.HOST, request.environment, note=note)


def _forbidden(request: SandboxRequest, capabilities: Capabilities) -> str:
    if request.isolation is Want.NONE:
        return (
            "sandbox.isolation none would give the pod the runner's own account, which this "
            "runner's operator has not allowed (--allow-no-isolation): ask for preferred."
        )
    return (
        f"sandbox.isolation preferred found no sandbox on this runner ({_why(capabilities)}), and "
        "its operator has not allowed to do without (--allow-no-isolation): install bubblewrap "
        "there, or place the pod on another runner."
    )


def _weaker(request: SandboxRequest, capabilities: Capabilities) -> str:
    said = []
    if not capabilities.scopes and request.network is Network.HOST:
        said.append(
            "Abstract unix sockets of the machine can be reached: its kernel is older than 6.12."
        )
    if capabilities.root and not request.account:
        said.append("The runner is root and cannot give pods accounts of their own here.")
    return " ".join(said)


def _why(capabilities: Capabilities) -> str:
    return capabilities.why_not or "neither bubblewrap nor Landlock works there"


def _readable(request: SandboxRequest) -> Iterator[Path]:
    """Yield what is readable beyond the system; what is not there is left out."""
    wanted = (*request.readable, *installation(Path(request.argv[0]), request.search_path))
    for path in dict.fromkeys(wanted):
        if not path.exists() or is_system(path):
            continue
        if (guarded := _guards(request, path)) is None:
            _require_open(request, path)
            yield path
        elif path not in request.readable:
            raise SandboxRefusedError(
                f"The agent is installed in {path}, which holds {guarded} too: install it "
                "elsewhere, or start the runner with another data directory."
            )
        else:
            raise SandboxRefusedError(
                f"The runner lets pods read {path}, which holds {guarded} too: name a narrower "
                "folder."
            )


def _require_open(request: SandboxRequest, path: Path) -> None:
    """Refuse what the pod's own account could not read, rather than let its program not start."""
    program = Path(request.argv[0])
    inside = [program] if program.is_relative_to(path) else []
    closed = next((each for each in (path, *inside) if not may_read(each)), None)
    if request.account and closed is not None:
        raise SandboxRefusedError(
            f"{closed} is closed to all accounts but the runner's, and a root runner's pods have "
            f"accounts of their own: let others read it (chmod -R go+rX {path})."
        )


def _guards(request: SandboxRequest, path: Path) -> Path | None:
    """Return what would be laid open with *path* and must not be."""
    real = path.resolve()
    for guarded in request.protected:
        if guarded.resolve().is_relative_to(real):
            return guarded
    return None


def _writable(request: SandboxRequest) -> Iterator[Path]:
    yield from (request.home, *request.writable)
    if request.tmp.parts[:2] != ("/", "tmp"):
        yield request.tmp
    yield from _extra(request, request.extra_writable)


def _extra(request: SandboxRequest, paths: Iterable[str]) -> Iterator[Path]:
    for text in paths:
        said = f"sandbox.writablePaths {text[:120]!r}"
        real = Path(text).resolve() if text.startswith("/") and "\0" not in text else None
        folders = [each for each in request.allowed_writable if each.resolve() == real]
        if real is None or not folders or _guards(request, real) is not None:
            raise SandboxRefusedError(
                f"{said} is not a folder that this runner's operator lets pods write to."
            )
        if any(real.is_relative_to(folder.resolve()) for folder in request.protected):
            raise SandboxRefusedError(f"{said} is within the runner's own data.")
        if _is_anothers(request, folders):
            raise SandboxRefusedError(
                f"{said} lies within a folder that another pod may write to, and replace it there: "
                "the runner's operator has to name folders apart from each other."
            )
        if not real.is_dir():
            raise SandboxRefusedError(f"{said} is no folder on this runner.")
        if request.account and not may_write(real, request.account):
            raise SandboxRefusedError(
                f"{said} cannot be written by the accounts that a root runner's pods have: its "
                f"operator has to let others write there (chmod 1777 {real})."
            )
        yield real


def _is_anothers(request: SandboxRequest, folders: Iterable[Path]) -> bool:
    """Tell whether a pod that has another of the allowed folders could put a link in the place.

    bubblewrap follows the path once more when it mounts. What a pod may write is given as a whole,
    so a folder is safe when no other one, nor a link on the way, lies around it.
    """
    for folder in folders:
        real = folder.resolve()
        for other in (each.resolve() for each in request.allowed_writable):
            within = folder.is_relative_to(other) or real.is_relative_to(other)
            if within and other != real:
                return True
    return False
