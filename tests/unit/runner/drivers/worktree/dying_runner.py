"""Does things to worktrees, each in a process that dies before its Nth change of the file system.

    python dying_runner.py < lines of: DATA_DIR UPSTREAM UID VERB N

Answers each line with ``done``, ``killed`` or what went wrong. The processes are forked from this
one, which has imported everything and runs no event loop of its own.
"""

import asyncio
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from runner.drivers.trash import Trash
from runner.drivers.worktree import GitWorktrees, WorktreeSettings
from runner.drivers.worktree_values import WorktreeRequest

CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "subprocess.Popen"}


def act(data_dir: str, upstream: str, uid: str, verb: str, left: int) -> None:
    """Do it, and die by SIGKILL on the way."""

    def count(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        flags = args[2] if event == "open" and isinstance(args[2], int) else 0
        written = flags & (os.O_WRONLY | os.O_RDWR) and data_dir in str(args[0])
        if event in CHANGES or written:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    async def acted() -> None:
        root = Path(data_dir)
        settings = WorktreeSettings((Path(upstream).parent,))
        worktrees = GitWorktrees(root, Trash(root / "trash"), settings)
        if verb == "ensure":
            await worktrees.ensure(WorktreeRequest(uid, "fix-login", upstream))
        else:
            await worktrees.save(uid)
            await worktrees.remove(uid)

    sys.addaudithook(count)
    asyncio.run(acted())


def main() -> None:
    """Fork for each line."""
    for line in sys.stdin:
        *what, last = line.split()
        child = os.fork()
        if child == 0:
            try:
                act(*what, int(last))
            except BaseException:  # noqa: BLE001  a forked child must not return
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        print({0: "done", -signal.SIGKILL: "killed"}.get(code, f"failed {code}"), flush=True)


main()
