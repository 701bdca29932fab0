"""The main job as a user without any privilege: what is root's is not needed."""

import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import PROGRAM, Mesh, agent_class, agent_pod, is_clear, make_origin, until
from tests.e2e.harness import repository as repository_at

NOBODY = 65534
_ROOT = Path(__file__).parents[2]
_AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="every test runs as an ordinary user already"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv"),
]


def _program(home: Path) -> tuple[str, ...]:
    """Return how that user starts our program, with nothing of our environment."""
    plain = {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    packages = sysconfig.get_path("purelib")
    paths = f"{_ROOT}:{_ROOT / 'proto'}:{packages}"  # where our interpreter is out of reach
    ways: list[tuple[dict[str, str], tuple[str, ...]]] = [
        (plain, (PROGRAM,)),
        ({**plain, "PYTHONPATH": paths}, ("/usr/bin/python3", "-P", "-m", "cli.main")),
    ]
    for environment, program in ways:
        words = [f"{name}={value}" for name, value in environment.items()]
        argv = (*_AS_NOBODY, "env", "-i", *words, *program)
        done = subprocess.run([*argv, "version"], capture_output=True, check=False)
        if done.returncode == 0:
            return argv
    pytest.skip("an ordinary user can read neither our interpreter nor this tree")


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    """Start a mesh as that user; kubectl goes on as root."""
    with tempfile.TemporaryDirectory(prefix="mesh-user-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        make_origin(folder / "git")
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        made = Mesh(folder, folder / "data", program=_program(folder))
        made.up()
        try:
            yield made
            made.kubectl("delete", "agentpods", "--all", "-n", "default", "--timeout=60s")
        finally:
            made.down()


def test_the_main_job_needs_no_privilege(mesh: Mesh):
    script = """
echo "$1"; cat /etc/shadow 2>&1 | grep -c root:
echo done > work.txt; git add work.txt; git commit -qm 'Do the work'; echo the-end; read x
"""
    mesh.apply(
        repository_at("origin", f"file://{mesh.folder}/git/origin.git"),
        agent_class("worker", script, "argument"),
    )
    mesh.apply(agent_pod("plain", "worker", prompt="Fix it.", repositoryRef={"name": "origin"}))
    pod = mesh.ready("plain")
    uid = pod["metadata"]["uid"]
    until(lambda: "the-end" in mesh.logs("plain"), what="the agent has worked")
    assert mesh.logs("plain").split()[:3] == ["Fix", "it.", "0"]
    assert pod["status"]["sandbox"]["isolation"] in {"bubblewrap", "landlock"}
    for part in ("apiserver", "controller", "runner"):
        assert Path(f"/proc/{mesh.pid(part)}").stat().st_uid == NOBODY
    mesh.replace("runner")
    assert mesh.ready("plain")["status"]["observed"]["pid"] == pod["status"]["observed"]["pid"]
    mesh.delete("plain")
    is_clear(mesh, uid)


def test_a_data_directory_of_somebody_else_is_refused_in_one_sentence(mesh: Mesh):
    argv = [*mesh.program, "up", "--data-dir", "/var/lib/agentsmesh-e2e"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "/var/lib/agentsmesh-e2e cannot be used (Permission denied)" in done.stderr
    assert "--data-dir" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
