"""Real processes that tests of several parts need."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

START_SECONDS = 20.0


@dataclass
class ApiserverProcess:
    """An embedded API server as a process of its own, on loopback, with its own directory."""

    data_dir: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    url: str = ""

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.data_dir / "kubeconfig"

    @property
    def ca_file(self) -> Path:
        """What clients have to trust."""
        return self.data_dir / "tls" / "ca.crt"

    @property
    def log(self) -> Path:
        """Where the server logs to."""
        return self.data_dir.parent / f"{self.data_dir.name}.log"

    @property
    def token(self) -> str:
        """The administrator's token."""
        with (self.data_dir / "tokens.csv").open(newline="") as lines:
            return next(csv.reader(lines))[0]

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> ApiserverProcess:
        """Start the server and wait until it answers; a second start takes the same port."""
        argv = [sys.executable, "-m", "apiserver", "--data-dir", str(self.data_dir)]
        argv += ["--port", str(self.port), "--log-file", str(self.log)]
        root = Path(__file__).parents[2]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=root)
        assert self.process.stdout is not None
        words = self.process.stdout.readline().decode().split()  # ends when the process does
        assert words[:1] == ["ready"], self.log.read_text() if self.log.exists() else "no log"
        self.url = words[1]
        self.port = int(self.url.rsplit(":", 1)[1])
        return self

    def kill(self) -> None:
        """End the server as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End the server as `down` does; return its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        process = self.process
        if process is None:
            return 0
        self.process = None
        process.send_signal(number)
        try:
            return process.wait(START_SECONDS)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl against the server; its cache is in the directory of the test."""
        cache = self.data_dir.parent / "kubectl-cache"
        done = subprocess.run(
            ["kubectl", "--cache-dir", str(cache), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=os.environ | {"KUBECONFIG": str(self.kubeconfig), "HOME": str(cache.parent)},
        )
        if check:
            assert done.returncode == 0, f"{arguments}: {done.stderr or done.stdout}"
        return done


@pytest.fixture
def make_apiserver(tmp_path: Path) -> Iterator[Callable[[str], ApiserverProcess]]:
    """Return what starts an API server in a named directory; all are ended after the test."""
    started: list[ApiserverProcess] = []

    def make(name: str) -> ApiserverProcess:
        server = ApiserverProcess(tmp_path / name)
        started.append(server)
        return server.start()

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def apiserver_process(make_apiserver: Callable[[str], ApiserverProcess]) -> ApiserverProcess:
    """Return a running API server of its own for the test."""
    return make_apiserver("apiserver")
