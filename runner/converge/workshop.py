"""Makes ready what a pod needs before it starts, and clears it away when it is gone.

This is where the drivers meet: worktree, home, agent and sandbox become one ``Launch``.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from meshwire.v1 import link_pb2

from gitaccess.credentials import Credentials
from runner.converge.custodian import asked_of
from runner.converge.places import Places
from runner.converge.unprepared import NotPreparedError, in_thread, translated
from runner.converge.wishes import resume_args, without_prompt, worktree_request
from runner.drivers import agents, claude_hooks, ticket_file
from runner.drivers.errors import DriverError
from runner.drivers.mcp_formats import Format, Given
from runner.drivers.mcp_port import FIRST_PORT
from runner.drivers.mcp_server import equip, mcp_server
from runner.drivers.sandbox.accounts import Accounts, hand_over, open_up
from runner.drivers.sandbox.prepare import has_account, prepare
from runner.drivers.sandbox.values import (
    Capabilities,
    Isolation,
    Network,
    Prepared,
    SandboxRequest,
    Want,
)
from runner.drivers.terminal_marks import MARK
from runner.drivers.terminal_observe import mcp_port_of
from runner.drivers.terminal_values import Launch
from runner.drivers.worktree_values import SavedRef, Worktree, WorktreeRequest, WorktreeState
from schemas.quoting import TextFormat

_POSITIONS: Final = {
    link_pb2.PROMPT_NONE: agents.PromptPosition.NONE,
    link_pb2.PROMPT_ARGUMENT: agents.PromptPosition.ARGUMENT,
    link_pb2.PROMPT_FLAG: agents.PromptPosition.FLAG,
    link_pb2.PROMPT_TYPED: agents.PromptPosition.TYPED,
}
_COLS: Final = 120
_ROWS: Final = 40


class Worktrees(Protocol):
    """What is needed of ``runner.drivers.worktree.GitWorktrees``."""

    async def ensure(self, request: WorktreeRequest) -> Worktree:
        """Return the worktree, making it if absent."""
        ...

    async def inspect(self, uid: str) -> WorktreeState | None:
        """Return how it stands."""
        ...

    async def save(self, uid: str) -> SavedRef | None:
        """Keep what upstream does not have."""
        ...

    async def remove(self, uid: str) -> Path | None:
        """Take it away."""
        ...


class Bin(Protocol):
    """What is needed of ``runner.drivers.trash.Trash``."""

    def discard(self, path: Path) -> bool:
        """Rename into the trash."""
        ...


_UNREAD: Final = WorktreeState(branch="", commit="", dirty=True, ahead=0)


@dataclass(frozen=True, slots=True)
class Ready:
    """A pod that can be started."""

    worktree: Worktree | None
    home: Path


@dataclass(frozen=True, slots=True)
class Plan:
    """How to start it, and what to say about it."""

    launch: Launch
    isolation: str
    network: str
    note: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """What is left to say about a pod that is gone."""

    saved_ref: str = ""
    note: str = ""
    kept_files: str = ""
    """Where files were kept that no commit could hold."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the machine and its owner give to every pod."""

    search_path: tuple[Path, ...]
    """Where agents are looked for, and their PATH."""
    capabilities: Capabilities
    allowed_writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = field(default_factory=tuple)
    protected: tuple[Path, ...] = ()
    """What no pod may see or write, besides the data directory."""
    none_allowed: bool = False
    """Whether pods may run without a sandbox."""
    mcp_port: int = FIRST_PORT
    """Where MCP servers listen, or at the next free one behind it; 0: at any free port."""
    accounts: Accounts | None = None
    """Of pods; None: all have the runner's."""


class Workshop:
    """Prepares and clears pods. Everything may be repeated after a crash."""

    def __init__(self, places: Places, worktrees: Worktrees, trash: Bin, ground: Ground) -> None:
        self._places = places
        self._worktrees = worktrees
        self._trash = trash
        self._ground = ground
        self.started_from: Callable[[str, Path, link_pb2.RunSpec], None] = lambda *_: None
        """Told in a thread which program the pod of that uid is about to be started from."""

    async def prepare(self, pod: link_pb2.PodDesired, secrets: Credentials | None) -> Ready:
        """Make worktree and home.

        Raises:
            NotPreparedError: It cannot be done, now or at all.
        """
        uid = pod.ref.pod_uid
        with translated():
            await in_thread(functools.partial(self._make_directories, pod))
            worktree = None
            if pod.spec.HasField("repository"):
                worktree = await self._worktrees.ensure(worktree_request(pod, secrets))
            ready = Ready(worktree, self._places.home(uid))
            if pod.spec.home_files:  # they may name the worktree
                await in_thread(functools.partial(_write_home, pod, ready))
            if pod.spec.HasField("ticket"):
                content = pod.spec.ticket.content
                await in_thread(functools.partial(ticket_file.write, ready.home, content))
        return ready

    async def plan(
        self,
        pod: link_pb2.PodDesired,
        restart: int,
        ready: Ready,
        *,
        resumed: bool = False,
        prompted: bool = True,
    ) -> Plan:
        """Return how the pod is started: its command line within its sandbox.

        *resumed*: an agent was started in this worktree and home before; its class says how it
        goes on. Not *prompted*: it was given its prompt already.

        Raises:
            NotPreparedError: The executable is missing, the prompt cannot be passed, the
                sandbox cannot be had.
        """
        with translated():
            if not prompted:
                pod = without_prompt(pod)
            return await in_thread(
                functools.partial(self._plan, pod, restart, ready, resumed=resumed)
            )

    async def script(
        self, pod: link_pb2.PodDesired, ready: Ready, argv: tuple[str, ...], run_dir: Path
    ) -> Launch:
        """Return how a program is started in the pod's sandbox and terminal, without MCP server.

        Raises:
            NotPreparedError: The sandbox cannot be had.
        """
        with translated():
            return await in_thread(functools.partial(self._script, pod, ready, argv, run_dir))

    async def inspect(self, uid: str) -> WorktreeState | None:
        """Return how the worktree stands; None when there is none.

        Where it cannot be told, it is taken for changed, at the commit that was told last.
        """
        try:
            return await self._worktrees.inspect(uid)
        except DriverError:
            return _UNREAD

    async def clear(self, uid: str) -> Cleared:
        """Save the pod's work, then leave nothing of it. All its processes must have ended.

        Raises:
            NotPreparedError: Something is left; it may be tried again.
        """
        with translated(reason="TeardownFailed"):
            saved, note = None, ""
            try:
                saved = await self._worktrees.save(uid)
            except DriverError as exc:
                if exc.retryable:
                    raise
                note = exc.message  # the next remove keeps the files
            kept = await self._worktrees.remove(uid)
            await in_thread(functools.partial(self._trash.discard, self._places.pod(uid)))
        notes = [saved.note if saved else "", note, f"Files were kept in {kept}." if kept else ""]
        text = " ".join(each for each in notes if each)
        return Cleared(saved.ref if saved else "", text, str(kept or ""))

    def _make_directories(self, pod: link_pb2.PodDesired) -> None:
        uid = pod.ref.pod_uid
        self._places.pod(uid).mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (self._places.home(uid), self._places.tmp(uid), self._places.private(uid)):
            path.mkdir(mode=0o700, exist_ok=True)
        self._account(pod)

    def _account(self, pod: link_pb2.PodDesired) -> int:
        """Return the account that the pod's home belongs to from now on; 0: the runner's."""
        want = Want(pod.spec.sandbox.isolation or Want.PREFERRED)
        if self._ground.accounts is None or not has_account(want, self._ground.capabilities):
            return 0
        return self._ground.accounts.of(self._places.home(pod.ref.pod_uid))

    def _hand_over(self, pod: link_pb2.PodDesired, ready: Ready) -> int:
        """Give the pod's account all that is the pod's; return the account."""
        account, tree = self._account(pod), ready.worktree
        if account:
            hand_over(self._places.tmp(pod.ref.pod_uid), account)
            if tree:
                hand_over(tree.path, account)
                hand_over(tree.repository, account, whole=True)  # the driver may have mended it
                for each in tree.readable:
                    open_up(each)
        return account

    def _plan(self, pod: link_pb2.PodDesired, restart: int, ready: Ready, *, resumed: bool) -> Plan:
        spec, uid = pod.spec, pod.ref.pod_uid
        if "\0" in spec.prompt and spec.prompt_position != link_pb2.PROMPT_TYPED:
            text = "spec.prompt holds a NUL character, which no argument can: remove it."
            raise NotPreparedError("PromptInvalid", text, retryable=False)
        executable = agents.resolve(spec.executable, self._ground.search_path)
        self.started_from(uid, executable, spec)
        names = _names(ready)
        environment = self._environment(pod, ready)
        server = mcp_server(
            inside=spec.sandbox.network == Network.NONE,
            first_port=self._ground.mcp_port,
            kept_port=self._last_port(uid),
        )
        given = Given(server.url, ready.home, environment, dict(_home_files(pod, ready)))
        added = equip(Format(spec.mcp.format or Format.NONE), given)
        environment |= {**added.environment, **server.environment}
        prompt = agents.Prompt(spec.prompt, _POSITIONS[spec.prompt_position], spec.prompt_flag)
        again = resume_args(spec.resume, ready.home) if resumed else ()
        ours = (*added.args, *(agents.expand(arg, names) for arg in again))
        tells = spec.activity.hooks == claude_hooks.FORMAT
        args = claude_hooks.with_hooks(spec.args, server.url) if tells else spec.args
        argv = agents.argv(executable, args, names, prompt, ours)
        request = self._request(pod, argv, environment, ready)
        sandboxed = prepare(request, self._ground.capabilities)
        run_dir = self._places.run(uid, pod.ref.epoch, restart)
        launch = self._launch(pod, request, sandboxed, run_dir)
        mcp = server.launch(sandboxed.inside)
        launch = dataclasses.replace(launch, restart=restart, mcp=mcp)
        return _planned(launch, sandboxed, ready)

    def _script(
        self, pod: link_pb2.PodDesired, ready: Ready, argv: tuple[str, ...], run_dir: Path
    ) -> Launch:
        request = self._request(pod, argv, self._environment(pod, ready), ready)
        request = dataclasses.replace(request, mcp=False)
        return self._launch(pod, request, prepare(request, self._ground.capabilities), run_dir)

    def _launch(
        self,
        pod: link_pb2.PodDesired,
        request: SandboxRequest,
        sandboxed: Prepared,
        run_dir: Path,
    ) -> Launch:
        spec, uid = pod.spec, pod.ref.pod_uid
        return Launch(
            uid=uid,
            epoch=pod.ref.epoch,
            restart=0,
            run_dir=run_dir,
            transcript_dir=self._places.transcript(uid),
            argv=sandboxed.argv,
            environment=sandboxed.environment,
            contents=sandboxed.contents,
            scoped=sandboxed.scoped,
            counted=sandboxed.counted,
            account=request.account,
            cwd=request.cwd,
            cols=spec.terminal.cols or _COLS,
            rows=spec.terminal.rows or _ROWS,
            limits={"core": 0},
            asked=asked_of(spec.limits),
            wrapper=bool(sandboxed.wrapper),
            grace_seconds=float(pod.grace_seconds),
        )

    def _environment(self, pod: link_pb2.PodDesired, ready: Ready) -> dict[str, str]:
        spec, uid, names = pod.spec, pod.ref.pod_uid, _names(ready)
        surroundings = agents.Surroundings(
            pod=pod.name,
            organization=spec.organization or pod.namespace,
            home=ready.home,
            tmp=self._places.tmp(uid),
            worktree=ready.worktree.path if ready.worktree else None,
            path=self._ground.search_path,
        )
        environment = agents.environment(
            surroundings,
            [(each.name, agents.expand(each.value, names)) for each in spec.environment],
        )
        environment[MARK] = uid
        if spec.HasField("ticket"):
            environment[ticket_file.VARIABLE] = str(ready.home / ticket_file.PATH)
        return environment

    def _request(
        self,
        pod: link_pb2.PodDesired,
        argv: tuple[str, ...],
        environment: Mapping[str, str],
        ready: Ready,
    ) -> SandboxRequest:
        uid, sandbox, tree = pod.ref.pod_uid, pod.spec.sandbox, ready.worktree
        return SandboxRequest(
            argv=argv,
            cwd=tree.path if tree else ready.home,
            home=ready.home,
            tmp=self._places.tmp(uid),
            account=self._hand_over(pod, ready),
            environment=environment,
            private=self._places.private(uid),
            settings=self._places.settings,
            writable=(tree.path, tree.repository) if tree else (),
            readable=((*tree.readable,) if tree else ()) + self._ground.readable,
            extra_writable=tuple(sandbox.writable_paths),
            allowed_writable=self._ground.allowed_writable,
            protected=(self._places.data_dir, *self._ground.protected),
            search_path=self._ground.search_path,
            isolation=Want(sandbox.isolation or Want.PREFERRED),
            network=Network(sandbox.network or Network.HOST),
            none_allowed=self._ground.none_allowed,
            pids=asked_of(pod.spec.limits).most_pids,
            mcp=True,
        )

    def _last_port(self, uid: str) -> int:
        """Return where the MCP server of the pod's last run listened; 0 when there was none."""
        runs = self._places.runs(uid)
        return mcp_port_of(runs[-1][2]) if runs else 0


def _names(ready: Ready) -> dict[str, str]:
    """Return what the controller has left to expand: names that only the runner knows."""
    names = {"HOME": str(ready.home)}
    if ready.worktree:
        names["WORKTREE"] = str(ready.worktree.path)
    return names


def _write_home(pod: link_pb2.PodDesired, ready: Ready) -> None:
    agents.write_home(ready.home, _home_files(pod, ready))


def _home_files(pod: link_pb2.PodDesired, ready: Ready) -> list[tuple[str, str]]:
    """Return the files to be written, without those that are there and to be kept."""
    names = _names(ready)
    return [
        (each.path, agents.expand(each.content, names, TextFormat(each.format or TextFormat.TEXT)))
        for each in pod.spec.home_files
        if not each.keep or agents.read_home(ready.home, each.path) is None
    ]


def _planned(launch: Launch, sandboxed: Prepared, ready: Ready) -> Plan:
    notes = [sandboxed.note, ready.worktree.note if ready.worktree else ""]
    note = " ".join(each for each in notes if each)
    return Plan(launch, Isolation(sandboxed.isolation), Network(sandboxed.network), note)
