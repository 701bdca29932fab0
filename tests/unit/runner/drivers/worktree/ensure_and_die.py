"""Does one thing to a worktree and dies, by SIGKILL, before the Nth change of the file system.

python ensure_and_die.py DATA_DIR UPSTREAM UID VERB N
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from runner.drivers.trash import Trash
from runner.drivers.worktree import GitWorktrees, WorktreeSettings
from runner.drivers.worktree_values import WorktreeRequest

CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "subprocess.Popen"}


def main() -> None:
    data_dir, upstream, uid, verb, last = sys.argv[1:]
    left = int(last)

    def count(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        writes = (
            event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if event in CHANGES or (writes and str(data_dir) in str(args[0])):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    async def act() -> None:
        root = Path(data_dir)
        worktrees = GitWorktrees(
            root, Trash(root / "trash"), WorktreeSettings((Path(upstream).parent,))
        )
        if verb == "ensure":
            await worktrees.ensure(WorktreeRequest(uid, "fix-login", upstream))
        else:
            await worktrees.save(uid)
            await worktrees.remove(uid)

    sys.addaudithook(count)
    asyncio.run(act())
    print("done", flush=True)


main()
