"""The same drivers, as an account without any privilege."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ptyprocess
import pytest

SCRIPT = Path(__file__).with_name("as_ordinary_user.py")
MCP_SCRIPT = Path(__file__).with_name("mcp_as_ordinary_user.py")
NOBODY = 65534
PYTHON = "/usr/bin/python3"


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory of nobody's that nobody else's permissions hide."""
    path = Path(tempfile.mkdtemp(prefix="agentsmesh-nobody-", dir="/var/tmp"))
    try:
        for name in ("runner", "gitaccess"):
            package = Path(__file__).parents[5] / name
            ours = shutil.ignore_patterns("__pycache__")
            shutil.copytree(package, path / name, ignore=ours, symlinks=True)
        for script in (SCRIPT, MCP_SCRIPT, SCRIPT.with_name("starting.py")):
            shutil.copy(script, path)
        shutil.copytree(Path(ptyprocess.__file__).parent, path / "ptyprocess")
        for folder, _, files in os.walk(path):
            for name in (folder, *(os.path.join(folder, file) for file in files)):
                os.chown(name, NOBODY, NOBODY)
        yield path
    finally:
        shutil.rmtree(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_worktrees_and_sandboxes_need_no_privilege(public: Path) -> None:
    lines = _run(public, SCRIPT)
    assert lines[0] == "worktree"
    assert {"landlock host", "landlock none"} <= set(lines) or "bubblewrap host" in lines


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_the_socket_of_a_pod_without_network_needs_no_privilege(public: Path) -> None:
    assert set(_run(public, MCP_SCRIPT)) == {"bubblewrap", "landlock"}


def _run(public: Path, script: Path) -> list[str]:
    """Return what the script says as nobody."""
    version = "import sys; sys.exit(sys.version_info < (3, 11))"
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", version], check=False).returncode:
        pytest.skip("the system has no Python 3.11 that another account may start")
    account = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    done = subprocess.run(
        [*account, PYTHON, "-I", "-B", public / script.name, public],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
