"""A disk that is really full: the agent goes on, and what is missing is said, then and later."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

AGENT = """
import os, sys, time
go = sys.argv[1]
line = b"x" * 1022 + b"\\n"
for number in range(400):
    os.write(1, line)
os.write(1, b"full\\n")
while not os.path.exists(go + "/room"): time.sleep(0.02)
time.sleep(0.3)
os.write(1, b"room again\\n")
while not os.path.exists(go + "/end"): time.sleep(0.02)
"""

SCRIPT = """
import asyncio, json, subprocess, sys
from pathlib import Path
from runner.drivers.terminal import Chunk, Ended, Gap, Launch, Terminals
from runner.drivers.terminal_transcript import lost, size
from runner.terminals.keeping import Missing
from runner.terminals.recording import recorded

ROOT, AGENT = Path(sys.argv[1]), sys.argv[2]
DISK = ROOT / "disk"

async def until(true):
    async with asyncio.timeout(30):
        while not (value := true()):
            await asyncio.sleep(0.02)
        return value

async def main():
    said = {}
    async with Terminals() as terminals:
        launch = Launch(
            uid="pod-1", epoch=1, restart=0, run_dir=ROOT / "run",
            transcript_dir=DISK / "transcript",
            argv=(sys.executable, "-I", "-S", "-c", AGENT, str(ROOT)), environment={}, cwd=ROOT,
        )
        await terminals.start(launch)
        directory = launch.transcript_dir
        await until(lambda: lost(directory))
        async with asyncio.timeout(30):
            while (state := await terminals.state(launch.run_dir)).lost_bytes < 100_000:
                await asyncio.sleep(0.02)
        said["while full"] = [list(each) for each in lost(directory)]
        said["condition"] = Missing(0, tuple(lost(directory))).condition().message
        subprocess.run(["mount", "-o", "remount,size=8m", str(DISK)], check=True)
        (ROOT / "room").touch()
        def last():
            item = terminals.read(directory, size(directory) - 12, 100)
            return isinstance(item, Chunk) and item.data == b"room again\\r\\n"
        try:
            await until(last)
        finally:
            (ROOT / "end").touch()
        items = []
        async for item in terminals.follow(directory, launch.run_dir, 0):
            match item:
                case Chunk(): items.append(["chunk", item.offset, item.end])
                case Gap(): items.append(["gap", item.start, item.end])
                case Ended(): items.append(["ended", item.offset, item.observed.lost_bytes])
        said["lost"] = [list(each) for each in lost(directory)]
        said["followed"] = items
        said["recorded"] = [
            [each.gap.from_offset, each.gap.to_offset]
            for each in recorded(directory, 80, 24) if each.HasField("gap")
        ]
    print(json.dumps(said))

asyncio.run(main())
"""


@pytest.fixture
def said(tmp_path: Path) -> dict[str, list[list[int]]]:
    """Run an agent whose transcript is on a disk of 256 KiB, in a mount namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mapped = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    mount = 'mount -t tmpfs -o size=256k tmpfs "$1" && shift && exec "$@"'
    argv = [sys.executable, "-c", SCRIPT, str(tmp_path), AGENT]
    done = subprocess.run(
        ["unshare", "--mount", *mapped, "sh", "-c", mount, "sh", str(disk), *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_full_disk_stops_no_agent_and_the_gap_is_said(said: dict[str, list[list[int]]]) -> None:
    ((start, end),) = said["lost"]
    assert said["while full"][0][0] == start
    assert said["while full"][0][1] > start
    assert "could not be written and are lost" in str(said["condition"])
    assert end == 400 * 1024 + len("full\r\n")
    assert said["recorded"] == [[start, end]]
    kinds = [kind for kind, *_ in said["followed"]]
    assert kinds.count("gap") == 1
    at = 0
    for kind, begin, stop in said["followed"][:-1]:
        assert begin == at
        at = stop
        if kind == "gap":
            assert [begin, stop] == [start, end]
    assert said["followed"][-1] == ["ended", at, end - start]
