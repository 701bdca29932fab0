"""The same drivers, as an account without any privilege."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("as_ordinary_user.py")
NOBODY = 65534
PYTHON = "/usr/bin/python3"


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory of nobody's that nobody else's permissions hide."""
    path = Path(tempfile.mkdtemp(prefix="agentsmesh-nobody-", dir="/var/tmp"))
    try:
        package = Path(__file__).parents[5] / "runner"
        shutil.copytree(
            package, path / "runner", ignore=shutil.ignore_patterns("__pycache__"), symlinks=True
        )
        shutil.copy(SCRIPT, path)
        shutil.copy(SCRIPT.with_name("starting.py"), path)
        for folder, _, files in os.walk(path):
            for name in (folder, *(os.path.join(folder, file) for file in files)):
                os.chown(name, NOBODY, NOBODY)
        yield path
    finally:
        shutil.rmtree(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_worktrees_and_sandboxes_need_no_privilege(public: Path) -> None:
    version = "import sys; sys.exit(sys.version_info < (3, 11))"
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", version], check=False).returncode:
        pytest.skip("the system has no Python 3.11 that another account may start")
    account = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    done = subprocess.run(
        [*account, PYTHON, "-I", "-B", public / SCRIPT.name, public],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "worktree"
    assert {"landlock host", "landlock none"} <= set(lines) or "bubblewrap host" in lines
