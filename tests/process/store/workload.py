"""Twenty writers, a store's owner that is killed, and what they saw."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.process.store.history import History, Sent, Stored
from tests.process.store.owner import LINE_BYTES

ROOT = Path(__file__).parents[3]
CHANNEL = "channel"
WRITERS = 20
CALL_SECONDS = 20.0
"""Longer than the store itself retries."""


class GoneError(Exception):
    """The owner ended, or could not answer, with a call under way: done or not, nobody knows."""


@dataclass
class OwnerProcess:
    """The process that owns the store; it is started again after each end."""

    socket: Path
    place: Path
    bug: str = ""
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.socket.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "tests.process.store.owner"]
        argv += [str(self.socket), str(self.place), self.bug]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", "the owner did not start"

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.kills += 1
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None


@dataclass
class Client:
    """One connection to the owner, made anew whenever it is lost."""

    socket: Path
    name: str
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, do: str, **arguments: object) -> dict[str, Any]:
        """Return the owner's answer.

        Raises:
            GoneError: There is none.
        """
        asked = {"do": do, "channel": CHANNEL, "client": self.name} | arguments
        try:
            async with asyncio.timeout(CALL_SECONDS):
                reader, writer = await self._connected()
                writer.write(json.dumps(asked).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
        except (OSError, TimeoutError):
            line = b""
        if not line.endswith(b"\n"):
            self.close()
            raise GoneError
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            assert answer["error"].startswith(("Unavailable", "OutcomeUnknown")), answer
            raise GoneError
        return answer

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self.streams is None:
            try:
                self.streams = await asyncio.open_unix_connection(self.socket, limit=LINE_BYTES * 2)
            except OSError:
                await asyncio.sleep(0.02)  # it is being started
        return self.streams

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


@dataclass
class Workload:
    """What the writers do, until they are told to finish."""

    socket: Path
    dice: random.Random
    history: History = field(default_factory=History)
    finishing: bool = False
    retries: int = 0

    async def write(self, number: int) -> None:
        """Send messages; most writers with keys and until they are acknowledged."""
        client = Client(self.socket, f"w{number}")
        keyed = number % 5 != 0
        count = 0
        while not self.finishing:
            content = f"w{number}-{count}"
            await (self._keyed if keyed else self._keyless)(client, content)
            if number % 4 == 1 and count % 5 == 0:
                await self._enter(client, content)
            count += 1
        client.close()

    async def _keyed(self, client: Client, content: str) -> None:
        began = time.monotonic()
        while True:
            try:
                answer = await client.call("append", content=content, key=content)
                break
            except GoneError:
                self.retries += 1
        ended = time.monotonic()
        sent = Sent(content, answer["sequence"], answer["id"], began, ended)
        self.history.sent.append(sent)
        if self.dice.random() < 0.1:
            await self._repeat(client, sent)

    async def _repeat(self, client: Client, sent: Sent) -> None:
        """Send what was acknowledged again: it is the same message."""
        try:
            answer = await client.call("append", content=sent.content, key=sent.content)
        except GoneError:
            return
        again = Sent(sent.content, answer["sequence"], answer["id"], sent.began, time.monotonic())
        self.history.sent.append(again)

    async def _keyless(self, client: Client, content: str) -> None:
        began = time.monotonic()
        try:
            answer = await client.call("append", content=content, key="")
        except GoneError:
            self.history.unknown.add(content)
            return
        ended = time.monotonic()
        self.history.sent.append(Sent(content, answer["sequence"], answer["id"], began, ended))

    async def _enter(self, client: Client, entry: str) -> None:
        """Add an entry to the document that all share."""
        try:
            current = await client.call("document")
        except GoneError:
            return
        while True:
            text = json.dumps([*json.loads(current["text"] or "[]"), entry])
            try:
                answer = await client.call("put", text=text, based_on=current["revision"])
            except GoneError:
                self.history.unknown_entries.add(entry)
                return
            if "conflict" not in answer:
                self.history.entries.append(entry)
                return
            current = answer["conflict"]

    async def stored(self) -> Stored:
        """Return what the store holds."""
        client = Client(self.socket, "reader")
        messages: list[tuple[int, str, str]] = []
        while True:
            answer = await client.call("read", after=messages[-1][0] if messages else 0)
            if not answer["messages"]:
                break
            messages += [tuple(message) for message in answer["messages"]]
        document = await client.call("document")
        deliveries = await client.call("deliveries")
        client.close()
        return Stored(messages, json.loads(document["text"] or "[]"), deliveries["deliveries"])


def dice(seed: int) -> random.Random:
    """Return what decides about troubles, the same for the same seed."""
    return random.Random(seed)  # noqa: S311 - no secret


Trouble = Callable[[], object]
"""Does something bad to the store. Blocks."""


async def run(
    owner: OwnerProcess, seconds: float, dice: random.Random, troubles: list[Trouble]
) -> tuple[Workload, Stored]:
    """Let the writers write for so long amid troubles; return what they saw and what is held."""
    owner.start()
    workload = Workload(owner.socket, dice)
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                group.create_task(workload.write(number))
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                await asyncio.sleep(dice.uniform(0.05, 0.6) if troubles else seconds)
                if troubles:
                    await asyncio.to_thread(dice.choice(troubles))
            workload.finishing = True
        if troubles:
            await asyncio.to_thread(owner.kill)
            await asyncio.to_thread(owner.start)  # what is held is what a new process finds
        return workload, await workload.stored()
    finally:
        owner.kill()
