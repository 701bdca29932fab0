"""Looking at terminals: 200 pods, each looked at once a second, by the runner that holds them.

Every pod has 10,000 lines of coloured log behind it; half of them go on writing between the looks,
the others are idle, as agents that wait are. "Theirs" is the plain way to do it: read the
transcript and rebuild the terminal for each look, with the same emulator.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from meshwire.v1 import link_pb2

from bench.report import Row, median, percentile
from runner.converge.places import Places
from runner.converge.states import Row as Pod
from runner.converge.states import State, begun
from runner.drivers.terminal import Terminals
from runner.shim.transcript import Transcript
from runner.terminals.asks import TerminalAsks
from runner.terminals.emulators import Emulators

PODS = 200
LINES = 50
SECONDS = 10
HISTORY = 10_500
"""Lines written beforehand: some more than are kept."""
REBUILDS = 20
MEBIBYTE = 1024 * 1024


@dataclass
class Fleet:
    """Pods of a runner, as far as looks need them."""

    root: Path
    rows: dict[str, Pod] = field(default_factory=dict)
    transcripts: list[Transcript] = field(default_factory=list)
    written: int = 0
    writing_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.places = Places(self.root)
        for number in range(PODS):
            uid = f"pod-{number:03}"
            directory = self.places.transcript(uid)
            directory.mkdir(parents=True)
            ref = link_pb2.PodRef(pod_uid=uid, epoch=1)
            self.rows[uid] = begun(link_pb2.PodDesired(ref=ref), State.RUNNING)
            transcript = Transcript(
                str(directory), floor=0, segment_bytes=8 * MEBIBYTE, transcript_bytes=256 * MEBIBYTE
            )
            transcript.sized(120, 40, begins=True)
            for _ in range(HISTORY // 50):
                transcript.append([self._line() for _ in range(50)])
            self.transcripts.append(transcript)

    def write(self, number: int) -> None:
        """Have the pod write some lines."""
        began = time.thread_time()
        self.transcripts[number].append([self._line() for _ in range(10)])
        self.writing_seconds += time.thread_time() - began

    def _line(self) -> bytes:
        self.written += 1
        colour = 31 + self.written % 7
        return (
            b"\x1b[%dm%08d\x1b[0m INFO \x1b[1magent\x1b[0m did step %d of its work, and went on\r\n"
            % (
                colour,
                self.written,
                self.written * 7919 % 1000,
            )
        )


@contextmanager
def fleet() -> Iterator[Fleet]:
    """Give a runner's pods in a directory of their own."""
    with tempfile.TemporaryDirectory(prefix="bench-observe-") as name:
        made = Fleet(Path(name))
        yield made
        for transcript in made.transcripts:
            transcript.close()


def measure() -> list[Row]:
    """Return latencies, CPU and memory of looks."""
    with fleet() as pods:
        return asyncio.run(_measure(pods))


async def _measure(pods: Fleet) -> list[Row]:
    before = psutil.Process().memory_info().rss
    emulators = Emulators()
    asks = TerminalAsks(lambda: pods.rows, pods.places, Terminals(), emulators)
    first = [await _look(asks, uid) for uid in pods.rows]
    per_pod = (psutil.Process().memory_info().rss - before) / PODS / MEBIBYTE
    began, cpu = time.monotonic(), time.process_time()
    pods.writing_seconds = 0.0
    taken: list[float] = []
    async with asyncio.TaskGroup() as tasks:
        for number, uid in enumerate(pods.rows):
            tasks.create_task(_poll(pods, asks, number, uid, taken))
    seconds = time.monotonic() - began
    load = (time.process_time() - cpu - pods.writing_seconds) / seconds * 100
    plain = [await _rebuilt(pods, uid) for uid in list(pods.rows)[:REBUILDS]]
    note = f"{PODS} pods, {LINES} lines, once a second, half of them writing"
    mib = f"{emulators.live_bytes / MEBIBYTE:.0f} MiB live of {PODS} pods"
    return [
        Row("look, p50", "ms", median(taken), "rebuilt each time", median(plain), "", note),
        Row("look, p99", "ms", percentile(taken, 99), "rebuilt each time", percentile(plain, 99)),
        Row("looks, CPU of one core", "%", load, "rebuilt each time", median(plain) / 10 * PODS),
        Row("first look at a pod, p50", "ms", median(first), "-", 0.0, "", "10,500 coloured lines"),
        Row("memory of a watched pod", "MiB", per_pod, "-", 0.0, "", mib),
    ]


async def _poll(
    pods: Fleet,
    asks: TerminalAsks,
    number: int,
    uid: str,
    taken: list[float],
) -> None:
    await asyncio.sleep(random.random())  # noqa: S311  spread, no secret
    for _ in range(SECONDS):
        if number % 2:
            pods.write(number)
        taken.append(await _look(asks, uid))
        await asyncio.sleep(1)


async def _look(asks: TerminalAsks, uid: str) -> float:
    ask = link_pb2.AskDown(
        ref=link_pb2.PodRef(pod_uid=uid, epoch=1), look=link_pb2.Look(lines=LINES)
    )
    began = time.perf_counter()
    answer = await asks.answer(ask)
    taken = time.perf_counter() - began
    assert answer.looked.output.count("\n") == LINES - 1, answer
    return taken * 1000


async def _rebuilt(pods: Fleet, uid: str) -> float:
    emulators = Emulators()
    try:
        return await _look(
            TerminalAsks(lambda: pods.rows, pods.places, Terminals(), emulators), uid
        )
    finally:
        emulators.close()


if __name__ == "__main__":
    from bench.report import markdown

    print(markdown(measure()))
