"""How right what is told of agents is, and what the looks at 200 pods cost the runner."""

import asyncio
import tempfile
import time
from math import isfinite
from pathlib import Path
from subprocess import Popen

from meshwire.v1 import link_pb2

from bench.report import Row, median
from runner.converge.activity_watch import ActivityWatch
from runner.converge.places import Places
from runner.converge.states import Row as PodRow
from runner.converge.states import State, begun
from runner.drivers import terminal_transcript
from runner.drivers.terminal_values import NotRunning
from runner.drivers.terminal_values import State as ShimState
from runner.shim.segments import file_name
from tests.recordings.replay import SETS, WORDS, Score, scores

_QUIET = 200
_PRINTING = 20
_PRINTED_BYTES = 100_000
"""By each, in a second."""
_LOOKS = 120
"""One a second, by a clock of its own."""


def measure() -> list[Row]:
    """Return precision and recall by word and agent, delays, and the processor's time."""
    found = [row for chosen in SETS for row in _accuracy(chosen)]
    return [*found, *_cost()]


def _accuracy(chosen: str) -> list[Row]:
    rows = []
    for agent, score in sorted(scores(chosen).items()):
        for word in WORDS:
            seconds = sum(count for (label, _), count in score.pairs.items() if label == word)
            if not seconds:
                continue
            note = f"{seconds} s of recordings"
            of = f"{chosen}, {agent}"
            for name, part in (
                ("precision", score.precision(word)),
                ("recall", score.recall(word)),
            ):
                percent = 100 * (part or 0.0)
                rows.append(Row(f"{of}: {name} of {word}", "%", percent, "all", 100, note=note))
        rows += _delays(chosen, agent, score)
    return rows


def _delays(chosen: str, agent: str, score: Score) -> list[Row]:
    found = [delay for delay in score.delays if isfinite(delay)]
    if not found:
        return []
    name = f"{chosen}, {agent}: until waiting is told"
    note = f"{len(found)} of {len(score.delays)} were found, the last after {max(found):.1f} s"
    goal = "" if agent in {"all", "stub", "aider"} else "≤ 2 s"  # at the cursor 1.5 s go by
    return [Row(name, "s", median(found), "goal", 2.0, goal, note)]


def _cost() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-activity-") as text:
        ground = _Ground(Path(text))
        try:
            quiet = asyncio.run(ground.looks(0))
            printing = asyncio.run(ground.looks(_PRINTING))
        finally:
            ground.end()
    note = f"one look a second; {_LOOKS} looks; half of the pods have a sign on their screen"
    many = f"{_PRINTED_BYTES // 1000} kB/s each; {_LOOKS} looks"
    return [
        Row(f"looking at {_QUIET} quiet pods", "% CPU", quiet, "goal", 1.0, "≤ 1 %", note),
        Row(f"  and {_PRINTING} that print", "% CPU", printing, "quiet", quiet, note=many),
    ]


class _Shims:
    """Terminals whose shims say nothing, so that only the looks are measured."""

    async def state(self, run_dir: Path) -> ShimState:
        raise NotRunning(run_dir)

    def size(self, transcript_dir: Path) -> int:
        return terminal_transcript.size(transcript_dir)


class _Ground:
    """Pods with transcripts, and a process each."""

    def __init__(self, folder: Path) -> None:
        self._places = Places(folder)
        self._processes = [Popen(["sh", "-c", "sleep 1000; :"]) for _ in range(20)]
        self._rows = [self._made(number) for number in range(_QUIET + _PRINTING)]

    def end(self) -> None:
        """End the processes."""
        for each in self._processes:
            each.kill()
            each.wait()

    async def looks(self, printing: int) -> float:
        """Return the part of a processor that looks take while so many pods print, in percent."""
        now = 1000.0
        watch = ActivityWatch(self._places, _Shims(), clock=lambda: now)
        rows = self._rows[: _QUIET + printing]
        for _ in range(60):  # the first minute is not a quiet one
            now += 1
            await watch.look(rows)
        used = 0.0
        line = b"\x1b[32mok\x1b[0m a line of the log of a build that prints a lot\r\n"
        block = line * (_PRINTED_BYTES // len(line))
        for _ in range(_LOOKS):
            now += 1
            for row in rows[_QUIET:]:
                with self._file(row.uid).open("ab") as file:
                    file.write(block)
            began = time.process_time()
            await watch.look(rows)
            used += time.process_time() - began
        watch.close()
        return 100 * used / _LOOKS

    def _made(self, number: int) -> PodRow:
        uid = f"pod-{number:04d}"
        self._places.transcript(uid).mkdir(parents=True)
        self._places.private(uid).mkdir(parents=True)
        text = b"ready> " if number % 2 else b"$ "
        self._file(uid).write_bytes(b"some output\r\n" * 100 + text)
        activity = link_pb2.Activity(idle=["^ready>"])
        desired = link_pb2.PodDesired(
            ref=link_pb2.PodRef(pod_uid=uid, epoch=1), spec=link_pb2.RunSpec(activity=activity)
        )
        pid = self._processes[number % len(self._processes)].pid
        return begun(desired, State.RUNNING, pid=pid, child_pid=pid)

    def _file(self, uid: str) -> Path:
        return self._places.transcript(uid) / file_name(0)
