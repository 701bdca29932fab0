"""Records what a program does on a terminal: output, processes, hooks, and what was meant by it.

A recording is an asciicast of version 2, packed, with two kinds of events beside "o": "s" is what
was seen of the processes, "h" what a hook of the agent sent. Labels are the scenario's word for
what the program was doing, from a moment on: it knows, because it did it.
"""

import codecs
import gzip
import json
import os
import re
import select
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typing_extensions import override

from runner.converge.activity_process import Sampler, Terminal
from runner.drivers.screen import Screen
from runner.mcpserver.hooks import kept
from runner.shim import tree

_SAMPLE_SECONDS = 2.0


@dataclass
class Recorder:
    """A program on a terminal, and what is written down of it."""

    argv: list[str]
    environment: Mapping[str, str]
    cwd: Path
    size: tuple[int, int] = (120, 40)
    """Columns and rows."""
    events: list[list[Any]] = field(default_factory=list)
    labels: list[tuple[float, str]] = field(default_factory=list)
    """Since when it does what; an empty word: not to be judged."""

    def __enter__(self) -> "Recorder":
        cols, rows = self.size
        self.screen = Screen(cols, rows)
        self._master, self._slave = os.openpty()
        subprocess.run(
            ["stty", "rows", str(rows), "cols", str(cols)], stdin=self._slave, check=True
        )
        script = 'exec 3<&0; setsid -c "$@" <&3 3<&- & wait'
        self._began = time.monotonic()
        self._shim = subprocess.Popen(
            ["sh", "-c", script, "sh", *self.argv],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=dict(self.environment),
            cwd=self.cwd,
        )
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._sampler: Sampler | None = None
        self._sampled = self.now
        self.label("")
        return self

    def __exit__(self, *_: object) -> None:
        self.end = self.now
        tree.kill(self._shim.pid)
        self._shim.kill()
        self._shim.wait()
        for fd in (self._master, self._slave):
            os.close(fd)
        self.screen.close()

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def label(self, word: str) -> None:
        """Say what the program does from now on."""
        self.labels.append((round(self.now, 2), word))

    def type(self, text: str) -> None:
        """Type."""
        os.write(self._master, text.encode())

    def paste(self, text: str) -> None:
        """Paste a prompt and submit it."""
        self.type(f"\x1b[200~{text}\x1b[201~")
        self.pause(2)  # programs take an Enter that comes at once for part of the paste
        self.type("\r")

    def pause(self, seconds: float) -> None:
        """Let so long pass."""
        until = self.now + seconds
        while self.now < until:
            self._turn(min(0.2, until - self.now))

    def see(self, pattern: str, seconds: float = 60.0, *, gone: bool = False) -> None:
        """Wait until the screen shows the pattern, or does not any more."""
        until = self.now + seconds
        while (re.search(pattern, self.screen.text(), re.MULTILINE) is None) != gone:
            if self.now > until:
                raise TimeoutError(f"{pattern!r} gone={gone}:\n{self.screen.text()}")
            self._turn(0.1)

    def hook(self, body: bytes) -> None:
        """Take what a hook sent; called in any thread."""
        self.events.append([round(self.now, 3), "h", dict(kept(body))])

    def save(self, folder: Path, name: str, agent: str) -> dict[str, Any]:
        """Write the recording; return its entry among the labels."""
        cols, rows = self.size
        header = {"version": 2, "width": cols, "height": rows, "title": name}
        lines = [header, *sorted(self.events, key=lambda event: float(event[0]))]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.cast.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        ends = [at for at, _ in self.labels[1:]] + [round(self.end, 2)]
        ranges = zip(self.labels, ends, strict=True)
        told = [[at, end, word] for (at, word), end in ranges if word]
        return {"agent": agent, "labels": told}

    def _turn(self, seconds: float) -> None:
        if select.select([self._master], [], [], max(0.0, seconds))[0]:
            data = os.read(self._master, 65536)
            self.screen.feed(data)
            self.events.append([round(self.now, 3), "o", self._text.decode(data)])
        if self.now - self._sampled >= _SAMPLE_SECONDS:
            self._sample()

    def _sample(self) -> None:
        self._sampled = self.now
        if self._sampler is None:
            agent = next((each.pid for each in tree.descendants(self._shim.pid)), 0)
            self._sampler = Sampler(self._shim.pid, agent)
        flags = subprocess.run(
            ["stty", "-a"], stdin=self._slave, capture_output=True, text=True, check=True
        ).stdout.split()
        terminal = Terminal(line_mode="icanon" in flags, echo="echo" in flags)
        found = self._sampler.look(self.now, terminal)
        self.events.append([round(self.now, 3), "s", None if found is None else asdict(found)])


class Hooks:
    """A server for the hooks of an agent."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                heard(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            @override
            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.port = int(self._server.server_address[1])

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
