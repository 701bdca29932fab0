"""``up --detach``: the same command as a process of its own, without a terminal."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

from cli.errors import CommandError
from cli.up.logs import open_log
from cli.up.ports import Ports
from cli.up.settings import Settings

_END_SECONDS: Final = 60.0


def start(wanted: Settings, say: Callable[[str], None]) -> Ports:
    """Start the mesh, pass on what it says, and return its ports once it is ready.

    Raises:
        CommandError: It did not become ready, and is down again.
    """
    log = wanted.directory.log("up")
    reading, writing = os.pipe()
    handle = open_log(log)
    daemon = subprocess.Popen(
        [sys.executable, "-P", "-m", "cli.main", *_arguments(wanted), "--report-fd", str(writing)],
        stdin=subprocess.DEVNULL,
        stdout=handle,
        stderr=handle,
        cwd=wanted.directory.root,
        start_new_session=True,
        pass_fds=(writing,),
    )
    os.close(writing)
    os.close(handle)
    try:
        with open(reading, encoding="utf-8") as reports:
            for line in reports:
                report = json.loads(line)
                if "say" in report:
                    say(str(report["say"]))
                elif "ready" in report:
                    return Ports(**report["ready"])
                else:
                    daemon.wait(_END_SECONDS)
                    raise CommandError(str(report["failed"]))
    except KeyboardInterrupt:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(_END_SECONDS)
        raise
    raise CommandError(f"the mesh ended while it was being started (log: {log})")


class Reporter:
    """The other end: reports to whoever started us, until they have heard enough."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def say(self, text: str) -> None:
        """Report progress."""
        self._write({"say": text})

    def finish(self, result: dict[str, Any]) -> None:
        """Report the result, the last thing that is reported."""
        self._write(result)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _write(self, report: dict[str, Any]) -> None:
        if self._handle >= 0:
            with contextlib.suppress(BrokenPipeError):  # nobody waits any more
                os.write(self._handle, json.dumps(report).encode() + b"\n")


def _arguments(wanted: Settings) -> list[str]:
    """Return the command line that says the same as *wanted*."""
    arguments = ["up", "--data-dir", str(wanted.directory.root)]
    if wanted.port is not None:
        arguments += ["--port", str(wanted.port)]
    if wanted.kubeconfig is not None:
        arguments += ["--kubeconfig", str(wanted.kubeconfig)]
    for folder in wanted.local_repositories:
        arguments += ["--allow-local-repositories", str(folder)]
    for network in wanted.git_networks:
        arguments += ["--git-allow", network]
    if wanted.no_isolation:
        arguments.append("--allow-no-isolation")
    if wanted.max_pods is not None:
        arguments += ["--max-pods", str(wanted.max_pods)]
    if wanted.message_store_url_file is not None:
        arguments += ["--message-store-url-file", str(wanted.message_store_url_file)]
    if wanted.include_dir is not None:
        arguments += ["--include-dir", str(wanted.include_dir)]
    return arguments
