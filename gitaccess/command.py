"""Runs git: the only place of runner and controller that starts it.

Every call has a fixed environment and configuration, a time limit, and a process group that is
ended as a whole. Nothing of the user's or the system's git configuration is read.
"""

import asyncio
import logging
import os
import resource
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gitaccess.leavings import end_orphans

logger = logging.getLogger(__name__)

_KEPT_ERROR_BYTES: Final = 16 * 1024
_OUTPUT_BYTES: Final = 64 * 1024 * 1024
OVERWORKED: Final = f"died of signal {int(signal.SIGXCPU)}"
"""What git says of a program that took more than ``Limits.cpu_seconds``, and we of git."""

_POLITE_SECONDS: Final = 2.0
"""Between SIGTERM, on which git removes its lock files, and SIGKILL."""

_NICENESS: Final = 5
"""Of what gives way: a third of the weight of others, so that it still comes to its end."""

_INHERITED: Final = (
    "PATH", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH",
)  # fmt: skip

_TOLERATED: Final = (
    "badTimezone", "missingSpaceBeforeDate", "badDate", "badDateOverflow", "zeroPaddedFilemode",
    "missingEmail", "missingSpaceBeforeEmail", "badEmail", "badName", "missingNameBeforeEmail",
    "missingTaggerEntry", "badFilemode", "zeroPaddedDate", "gitmodulesParse", "gitmodulesBlob",
)  # fmt: skip
"""Flaws of old histories that harm nobody and keep people from their own code.

Source: git-config(1), fsck.<msg-id>; git-fsck(1), msg-ids.
"""

_IGNORED: Final = "\n".join(f"\t{name} = ignore" for name in _TOLERATED)

CONFIGURATION: Final = f"""\
# Written by AgentsMesh for its own git; do not edit.
[safe]
\tdirectory = *
[core]
\thooksPath = /dev/null
\tfsmonitor = false
\tuntrackedCache = false
\tmultiPackIndex = false
\tcommitGraph = false
\tattributesFile = /dev/null
\texcludesFile = /dev/null
[fetch]
\tfsckObjects = true
\twriteCommitGraph = false
\trecurseSubmodules = false
[fetch "fsck"]
{_IGNORED}
[transfer]
\tbundleURI = false
\tadvertiseSID = false
[submodule]
\trecurse = false
[http]
\tfollowRedirects = false
\tlowSpeedLimit = 1
\tlowSpeedTime = 60
[gc]
\tauto = 0
[maintenance]
\tauto = false
[init]
\ttemplateDir =
\tdefaultBranch = main
[checkout]
\tworkers = {min(4, os.cpu_count() or 1)}
[advice]
\tdetachedHead = false
\taddEmbeddedRepo = false
[diff]
\tignoreSubmodules = all
"""


class GitRunError(Exception):
    """Git ended with an error, or was ended because it took too long."""

    def __init__(
        self,
        verb: str,
        code: int | None,
        stderr: str,
        output: bytes = b"",
        *,
        flooded: bool = False,
    ) -> None:
        super().__init__(f"git {verb} failed")
        self.verb = verb
        self.code = code
        """None: it took too long."""
        self.stderr = stderr
        """The end of what it said; not redacted."""
        self.output = output
        """What it printed before."""
        self.flooded = flooded
        """It printed more than it may, and was ended."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long git may take, and how much."""

    seconds: float = 600.0
    idle_seconds: float | None = None
    """Longest time without a word from git; it must be told to show its progress."""
    cpu_seconds: int | None = None
    """Longest time on a processor, for what may be made to keep git busy. It then gives way to
    others, too. Unlike the time by the clock, this one is the same on a busy machine."""
    output_bytes: int = _OUTPUT_BYTES
    """Longest output; it is ended when it prints more."""
    file_bytes: int | None = None
    """Longest file that it, or what it starts, may write."""
    memory_bytes: int | None = None
    """Most memory that each process of it may take."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of git."""

    args: tuple[str, ...]
    """The verb and what follows."""
    git_dir: Path | None = None
    """A git directory of our own: never one that a pod can write to."""
    work_tree: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Laid over the fixed environment; secrets travel here and never in ``args``."""
    stdin: bytes = field(default=b"", repr=False)
    limits: Limits = Limits()
    pass_fds: tuple[int, ...] = ()
    """Descriptors that git holds open as long as it lives: locks."""


class Git:
    """The git of this machine, with an empty home and a configuration of ours."""

    def __init__(self, directory: Path) -> None:
        self._home = directory
        self._config = directory / "gitconfig"
        self._environment = {
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
            "HOME": str(directory),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self._config),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "GIT_ALLOW_PROTOCOL": "https:ssh",
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_DEFAULT_REF_FORMAT": "files",
            "GIT_DEFAULT_HASH": "sha1",
        }

    @property
    def directory(self) -> Path:
        """The private directory for the few files that git needs for one call."""
        return self._home

    def prepare(self) -> None:
        """Make directory and configuration; end and remove what a dead process of ours left."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if ended := end_orphans(f"GIT_CONFIG_GLOBAL={self._config}"):
            logger.info("ended git of an earlier process", extra={"processes": ended})
        for left in self._home.glob("once-*"):
            left.unlink(missing_ok=True)
        new = self._home / "gitconfig.new"
        new.write_text(CONFIGURATION, encoding="utf-8")
        new.replace(self._config)

    async def run(self, call: Call) -> bytes:
        """Return what git printed.

        Raises:
            GitRunError: It failed, or took too long and was ended.
        """
        argv = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]
        if call.git_dir is not None:
            argv.append(f"--git-dir={call.git_dir}")
        if call.work_tree is not None:
            argv.append(f"--work-tree={call.work_tree}")
        process = await asyncio.create_subprocess_exec(
            *argv,
            *call.args,
            stdin=asyncio.subprocess.PIPE if call.stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self._environment, **call.environment},
            cwd=call.work_tree or self._home,
            pass_fds=call.pass_fds,
            start_new_session=True,
        )
        if call.limits.cpu_seconds is not None:
            _give_way(process.pid, call.limits.cpu_seconds)
        _bound(process.pid, call.limits)
        talk = _Conversation(process, call)
        try:
            return await talk.finish()
        finally:
            await _end(process)


class _Conversation:
    """Reads what one git says, as long as it says something."""

    def __init__(self, process: asyncio.subprocess.Process, call: Call) -> None:
        self._process = process
        self._call = call
        self._out = bytearray()
        self._err = bytearray()
        self._flooded = False
        limits = call.limits
        self._timeout = asyncio.timeout(min(limits.seconds, limits.idle_seconds or limits.seconds))
        self._deadline = asyncio.get_running_loop().time() + call.limits.seconds

    async def finish(self) -> bytes:
        verb = self._call.args[0]
        try:
            async with self._timeout, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear())
                tasks.create_task(self._read_errors())
                tasks.create_task(self._write())
                code = await self._process.wait()
        except TimeoutError as exc:
            raise GitRunError(verb, None, self._said()) from exc
        if code == -signal.SIGXCPU:
            raise GitRunError(verb, None, f"{self._said()}\n{verb} {OVERWORKED}")
        if code != 0 or self._flooded:
            raise GitRunError(verb, code, self._said(), bytes(self._out), flooded=self._flooded)
        return bytes(self._out)

    async def _hear(self) -> None:
        stream, most = self._process.stdout, self._call.limits.output_bytes
        while stream is not None and (data := await stream.read(65536)):
            if self._flooded:
                continue  # a pipe that nobody reads never ends, and asyncio waits for its end
            self._alive()
            self._out += data[: most - len(self._out) + 1]
            if len(self._out) > most:
                self._flooded = True
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGTERM)

    async def _read_errors(self) -> None:
        stream = self._process.stderr
        while stream is not None and (data := await stream.read(65536)):
            self._alive()
            self._err += data
            if len(self._err) > 2 * _KEPT_ERROR_BYTES:
                del self._err[:-_KEPT_ERROR_BYTES]

    async def _write(self) -> None:
        if self._process.stdin is None:
            return
        with suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.write(self._call.stdin)
            await self._process.stdin.drain()
        self._process.stdin.close()

    def _alive(self) -> None:
        idle = self._call.limits.idle_seconds
        if idle is not None:
            now = asyncio.get_running_loop().time()
            self._timeout.reschedule(min(self._deadline, now + idle))

    def _said(self) -> str:
        return bytes(self._err[-_KEPT_ERROR_BYTES:]).decode("utf-8", errors="replace")


def _give_way(group: int, cpu_seconds: int) -> None:
    """Have a process group give way to others, and each process of it end after so much work.

    A session may be a scheduling group of its own, which has its own niceness.
    Source: sched(7), "The autogroup feature".
    """
    with suppress(OSError):
        resource.prlimit(group, resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    with suppress(OSError):
        os.setpriority(os.PRIO_PGRP, group, _NICENESS)
    with suppress(OSError):
        Path(f"/proc/{group}/autogroup").write_text(str(_NICENESS), encoding="ascii")


def _bound(process: int, limits: Limits) -> None:
    """Bound what a process, and all that it starts, may write and hold."""
    for what, most in (
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_DATA, limits.memory_bytes),
    ):
        if most is not None:
            with suppress(OSError):
                resource.prlimit(process, what, (most, most))


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the whole process group, when git is not at its end by itself."""
    pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]
    if process.returncode is not None and all(pipe.at_eof() for pipe in pipes):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            async with asyncio.timeout(_POLITE_SECONDS), asyncio.TaskGroup() as tasks:
                for pipe in pipes:
                    tasks.create_task(_drain(pipe))
                await process.wait()
        except TimeoutError:
            continue
        break
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # helpers that git left in its group


async def _drain(pipe: asyncio.StreamReader) -> None:
    """Read to the end: before it, asyncio does not take the process for ended."""
    while await pipe.read(65536):
        pass
