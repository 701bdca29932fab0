"""The rhythm of the garbage collector, in a process of its own: it holds for a whole process."""

import subprocess
import sys

SCRIPT = """
import asyncio, gc
from controller import garbage

garbage.calm()
seen = []
gc.callbacks.append(lambda phase, info: seen.append((phase, info["generation"])))
kept = [[each] for each in range(300_000)]
assert ("stop", 1) in seen, "young objects are looked at"
assert ("stop", 2) not in seen, "and all of them not"
garbage._FULL_SECONDS = 0.01

async def main():
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(garbage.run())
        while ("stop", 2) not in seen:
            await asyncio.sleep(0.01)
        running.cancel()

asyncio.run(main())
"""


def test_all_objects_are_looked_at_by_the_clock_alone() -> None:
    argv = (sys.executable, "-c", SCRIPT)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
