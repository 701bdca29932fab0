"""The three processes of a mesh on this machine: how each is started and when it is ready."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any, Final

from cli import api as kubernetes
from cli.datadir import read_json
from cli.enrolment import Doors
from cli.errors import CommandError, NotFound
from cli.kubeconfig import load
from cli.up import leadership
from cli.up.ports import LOOPBACK, Ports
from cli.up.settings import Settings
from cli.up.supervise import Part
from controller.settings import MESSAGE_STORE_URL
from schemas.names import RUNNER

ORGANIZATION: Final = "default"
"""The organization that every mesh on one machine has."""
RUNNER_NAME: Final = "local"
"""Its runner."""

_PROBE_SECONDS: Final = 5.0


class Parts:
    """Makes the parts of one `up`."""

    def __init__(self, settings: Settings, ports: Ports) -> None:
        self._settings = settings
        self._directory = settings.directory
        self._ports = ports
        self.doors: Doors | None = None
        """Where the runner goes; known once the controller has written it."""
        self.organization = ORGANIZATION
        """Namespace of the organization that the runner belongs to."""

    def api(self) -> kubernetes.Api:
        """Return a client of the API server in use; reads the kubeconfig anew."""
        target = load([self._settings.effective_kubeconfig])
        return kubernetes.Api(target, timeout_seconds=_PROBE_SECONDS)

    def apiserver(self) -> Part:
        """Return the embedded API server."""
        return Part(
            "apiserver",
            "API server",
            self._directory.log("apiserver"),
            lambda: [
                *("-m", "apiserver", "--data-dir", str(self._directory.of("apiserver"))),
                *("--port", str(self._ports.api), "--kubeconfig", str(self._directory.kubeconfig)),
            ],
            self._apiserver_ready,
        )

    def controller(self) -> Part:
        """Return the controller."""
        return Part(
            "controller",
            "controller",
            self._directory.log("controller"),
            self._controller_arguments,
            self._controller_ready,
            before=self._before_controller,
            keeps=frozenset({MESSAGE_STORE_URL}),
        )

    def runner(self) -> Part:
        """Return the runner."""
        return Part(
            "runner",
            "runner",
            self._directory.log("runner"),
            self._runner_arguments,
            self._runner_ready,
            before=self._before_runner,
        )

    @property
    def _bound(self) -> Path:
        """Written by the controller once it serves."""
        return self._directory.of("controller") / "ports.json"

    async def _apiserver_ready(self) -> bool:
        if not self._directory.kubeconfig.is_file():
            return False
        return await asyncio.to_thread(lambda: "ok" in self.api().raw("/readyz"))

    def _before_controller(self) -> None:
        """Clear away what a killed controller left: the word that it serves, and its leadership."""
        self._bound.unlink(missing_ok=True)
        if self._settings.embedded:  # no other controller can lead here: its holder is dead
            with contextlib.suppress(CommandError):
                leadership.release(self.api())

    def _controller_arguments(self) -> list[str]:
        arguments = [
            *("-m", "controller", "--kubeconfig", str(self._settings.effective_kubeconfig)),
            *("--data-dir", str(self._directory.of("controller"))),
            *("--runner-listen", f"{LOOPBACK}:{self._ports.runners}"),
            *("--public-listen", f"{LOOPBACK}:{self._ports.enrolment}"),
            *("--webhook-listen", f"{LOOPBACK}:{self._ports.webhooks}"),
        ]
        for folder in self._settings.local_repositories:
            arguments += ["--allow-local-repositories", str(folder)]
        for network in self._settings.git_networks:
            arguments += ["--git-allow", network]
        if self._settings.message_store_url_file is not None:
            arguments += ["--message-store-url-file", str(self._settings.message_store_url_file)]
        return arguments

    async def _controller_ready(self) -> bool:
        if not read_json(self._bound):
            return False
        return await _answers(self._ports.runners) and await _answers(self._ports.enrolment)

    def _runner_arguments(self) -> list[str]:
        if self.doors is None:
            raise AssertionError("the runner is started before the controller is known")
        arguments = [
            *("-m", "runner", "--data-dir", str(self._directory.of("runner"))),
            *("--controller", self.doors.runners, "--enroll", self.doors.enrolment),
            *("--organization", self.organization, "--name", RUNNER_NAME),
            *("--join-token-file", str(self._directory.join_token)),
            *("--ca-pin", self.doors.pin()),
            *("--mcp-port", str(self._ports.mcp)),
        ]
        for folder in self._settings.local_repositories:
            arguments += ["--allow-local-repositories", str(folder)]
        if self._settings.include_dir is not None:
            arguments += ["--include-dir", str(self._settings.include_dir)]
        if self._settings.no_isolation:
            arguments.append("--allow-no-isolation")
        if self._settings.max_pods is not None:
            arguments += ["--max-pods", str(self._settings.max_pods)]
        return arguments

    @property
    def _connected(self) -> Path:
        """Of the runner's: its time tells when it had a session; 0: none since its start."""
        return self._directory.of("runner") / "connected"

    def _before_runner(self) -> None:
        """Forget the session of a runner that ended; the Runner may be Ready for a while still."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._connected, (0, 0))

    async def _runner_ready(self) -> bool:
        return await asyncio.to_thread(self._runner_object_ready)

    def _runner_object_ready(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            if self._connected.stat().st_mtime_ns == 0:
                raise CommandError("it has not connected to the controller yet")
        try:
            runner = self.api().get(RUNNER, self.organization, RUNNER_NAME)
        except NotFound:
            return False
        conditions: list[dict[str, Any]] = (runner.get("status") or {}).get("conditions") or []
        ready: dict[str, Any] = next((c for c in conditions if c.get("type") == "Ready"), {})
        if ready.get("status") == "True":
            return True
        raise CommandError(str(ready.get("message") or f"the Runner {RUNNER_NAME} is not ready"))


async def _answers(port: int) -> bool:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
