"""The same custody without any privilege: all tests of it once more, as an account that is nobody.

No control groups then: what gets away is found by its parent, its namespace and its marks.
"""

import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534
PYTHON = "/usr/bin/python3"
_ROOT = Path(__file__).parents[3]
_TESTS = ("tests/process/runner/test_custody.py", "tests/unit/runner/converge/test_custodian.py")
_AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(400),
    pytest.mark.skipif(os.geteuid() != 0, reason="every test runs as an ordinary user already"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv"),
]


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="agentsmesh-nobody-", dir="/var/tmp") as text:
        os.chown(text, NOBODY, NOBODY)
        yield Path(text)


def test_nothing_gets_away_from_an_ordinary_user(home: Path) -> None:
    packages = sysconfig.get_path("purelib")
    plain = {"HOME": str(home), "TMPDIR": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    environment = plain | {"PYTHONPATH": f"{_ROOT}:{_ROOT / 'proto'}:{packages}"}
    python = (*_AS_NOBODY, PYTHON, "-P", "-B", "-m", "pytest")
    asked = subprocess.run(
        [*python, "--version"], cwd=_ROOT, env=environment, capture_output=True, check=False
    )
    if asked.returncode != 0:
        pytest.skip("an ordinary user can read neither our interpreter nor this tree")
    done = subprocess.run(
        [*python, "-q", "-p", "no:cacheprovider", "-m", "faults or not faults", *_TESTS],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=380,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout
