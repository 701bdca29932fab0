"""Makes worktrees and sandboxes as an account that is nobody; standard library only.

    python3 -I as_ordinary_user.py DIRECTORY

DIRECTORY holds a copy of the package ``runner``, and is writable. Prints what worked.
"""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(sys.argv[1])
sys.path.insert(0, str(ROOT))

from starting import started  # noqa: E402  a copy of the one beside this file

from runner.drivers.sandbox.prepare import prepare  # noqa: E402  found by the line above
from runner.drivers.sandbox.probe import probe  # noqa: E402  found by the line above
from runner.drivers.sandbox.values import Capabilities, Network, SandboxRequest, Want  # noqa: E402  likewise
from runner.drivers.trash import Trash  # noqa: E402  found by the line above
from runner.drivers.worktree import GitWorktrees, WorktreeSettings  # noqa: E402  likewise
from runner.drivers.worktree_values import WorktreeRequest  # noqa: E402  likewise

UID = "00000001-1111"


def git(folder: Path, *args: str) -> None:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *args]
    subprocess.run(command, cwd=folder, check=True, env={"PATH": "/usr/bin:/bin", "HOME": "/"})


async def worktree(data: Path) -> Path:
    upstream = ROOT / "upstream"
    upstream.mkdir()
    git(upstream, "init", "-q", "-b", "main")
    git(upstream, "commit", "-q", "--allow-empty", "-m", "x")
    trash = Trash(data / "trash")
    worktrees = GitWorktrees(data, trash, WorktreeSettings((ROOT,)))
    made = await worktrees.ensure(WorktreeRequest(UID, "fix-login", str(upstream)))
    (made.path / "new").write_text("new")
    (made.path / "closed").mkdir(mode=0o500)
    assert (await worktrees.inspect(UID)).dirty
    assert await worktrees.save(UID)
    assert await worktrees.remove(UID) is None
    return (await worktrees.ensure(WorktreeRequest("00000002-1111", "two", str(upstream)))).path


def main() -> None:
    data = ROOT / "data"
    data.mkdir(mode=0o700)
    (data / "key.pem").write_text("canary")
    path = asyncio.run(worktree(data))
    print("worktree")
    root = path.parent
    for name in ("home", "tmp"):
        (root / name).mkdir()
    machine = probe()
    script = f"cat {data}/key.pem /etc/shadow; cd {path} && git log --oneline && echo ok > mine"
    request = SandboxRequest(
        ("/bin/sh", "-c", script),
        path,
        root / "home",
        root / "tmp",
        root / "run",
        (path, root / "repo.git"),
        tuple((data / "caches").glob("*/repo.git/objects")),
        environment={"PATH": "/usr/bin:/bin", "HOME": str(root / "home")},
        protected=(data,),
        isolation=Want.REQUIRED,
    )
    for capabilities in (machine, replace(machine, bubblewrap=None)):
        for network in (Network.HOST, Network.NONE):
            prepared = prepare(replace(request, network=network), capabilities)
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            with started(prepared, cwd=path, **pipes) as process:
                out, err = process.communicate(timeout=30)
            assert "canary" not in out, out
            assert "root:" not in out, out
            assert " x\n" in out, err
            assert (path / "mine").stat().st_uid == path.stat().st_uid
            (path / "mine").unlink()
            print(prepared.isolation, network)
    if machine.counts:
        count(machine, request)


FORKS = """
i=0; while [ $i -lt 80 ]; do sleep 30 & i=$((i + 1)); echo $i; done
"""


def count(machine: Capabilities, request: SandboxRequest) -> None:
    """Have two sandboxes fork beside many processes of the same account, which do not count."""
    outside = [subprocess.Popen(("sleep", "30")) for _ in range(40)]
    for limit in (30, 50):
        argv = ("/bin/sh", "-c", FORKS)
        prepared = prepare(replace(request, argv=argv, pids=limit), machine)
        assert prepared.counted
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with started(prepared, cwd=request.cwd, **pipes) as process:
            out, err = process.communicate(timeout=30)
        assert limit - 10 < len(out.split()) < limit, (out, err)
    for process in outside:
        process.kill()
        process.wait()
    print("counted")


main()
