"""The store's file, when its process is killed in the middle of forgetting old versions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from apiserver.store.records import Key
from apiserver.store.store import Store

pytestmark = pytest.mark.anyio

OBJECTS = 50

WRITER = """
import asyncio, itertools, sys
from pathlib import Path
from apiserver.store.records import Key
from apiserver.store.store import Store

async def main():
    store = Store(Path(sys.argv[1]))
    store.start()
    for number in itertools.count(int(sys.argv[2])):
        key = Key("configmaps", "default", f"m{number % 50}")
        body = {"metadata": {"uid": key.name}, "data": {"number": number, "fill": "x" * 2000}}
        await store.put(key, body)[1]
        print(number, flush=True)
        if number % 7 == 0:
            store.compact(store.revision - 3)
        if number % 11 == 0:
            other = Key("configmaps", "default", "short")
            await store.put(other, {"metadata": {"uid": "s"}})[1]
            await store.remove(other, {"metadata": {"uid": "s"}})[1]

asyncio.run(main())
"""


def write_and_die(path: Path, start: int, after: int) -> int:
    """Write and compact in a process of its own, kill it; return the last number acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(start)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        for _ in range(after):
            assert writer.stdout.readline()
        writer.kill()
        rest = writer.stdout.read().split(b"\n")
    return start + after - 1 + len([line for line in rest[:-1] if line])


async def test_a_kill_during_compaction_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    number = revision = 0
    for after in (60, 83, 97, 131, 150, 177):
        last = write_and_die(path, number, after)
        store = Store(path)
        try:
            assert store.revision > revision
            revision = store.revision
            found = {entry.key.name: entry.load() for entry in store.entries("configmaps")}
            numbers = sorted(
                obj["data"]["number"] for name, obj in found.items() if name != "short"
            )
            # what was acknowledged last, and perhaps one more whose answer was lost
            assert numbers[-1] in {last, last + 1}
            assert numbers == list(range(numbers[-1] - OBJECTS + 1, numbers[-1] + 1))
            assert store.compacted < revision
            store.start()
            past = await store.list_at("configmaps", "default", store.compacted)
            assert {Key("configmaps", "default", f"m{n}") for n in range(OBJECTS)} <= {
                entry.key for entry in past
            }
            number = numbers[-1] + 1
        finally:
            await store.stop()
