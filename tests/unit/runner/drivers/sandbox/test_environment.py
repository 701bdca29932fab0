"""A pod's environment reaches its agent, and nothing that stands around it."""

import ast
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runner.drivers.sandbox.values import Capabilities
from tests.unit.runner.drivers.sandbox.conftest import Pod
from tests.unit.runner.drivers.sandbox.starting import started

CANARY = "canary-4hd82kq1"
LIBRARY = """\
#include <fcntl.h>
#include <unistd.h>
static void act(void) {{ close(open("{outside}/loaded", O_CREAT | O_WRONLY, 0600)); }}
int gconv_init(void *step) {{ act(); return 1; }}
int gconv(void) {{ return 1; }}
__attribute__((constructor)) static void loaded(void) {{ act(); }}
"""


def test_the_agent_has_its_environment_and_no_other(pod: Pod, level: Capabilities) -> None:
    environment = {"PATH": "/usr/bin:/bin", "KEY": CANARY, "LINES": "a\nb=c\t$x ", "EMPTY": ""}
    code = "import os; print(sorted(os.environb.items()))"
    done = pod.run(level, sys.executable, "-I", "-c", code, environment=environment)
    want = dict(environment)
    if level.bubblewrap is not None:
        want |= {"TMPDIR": "/tmp", "PWD": str(pod.request.cwd)}
    found = ast.literal_eval(done.stdout)
    assert {k.decode(): v.decode() for k, v in found if k != b"LC_CTYPE"} == want, done.stderr


def test_no_value_is_in_a_command_line_or_an_environment_around_it(
    pod: Pod, level: Capabilities
) -> None:
    prepared = pod.prepared(level, "/bin/cat", environment={"KEY": CANARY})
    assert CANARY not in repr(prepared)
    assert not any(CANARY in word for word in prepared.argv)
    assert CANARY not in str(dict(prepared.environment))


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_no_library_of_the_pod_is_loaded_outside_the_sandbox(
    pod: Pod, level: Capabilities, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    tree = pod.request.cwd
    (tree / "x.c").write_text(LIBRARY.format(outside=outside))
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tree / "PLANT.so", tree / "x.c"], check=True)
    (tree / "gconv-modules").write_text(
        "module PLANT// INTERNAL PLANT 1\nmodule INTERNAL PLANT// PLANT 1\n"
    )
    shutil.copytree("/usr/lib/locale/C.utf8", tree / "C.UTF-8")
    planted = {
        "PATH": f"{tree}:/usr/bin:/bin",
        "LD_PRELOAD": str(tree / "PLANT.so"),
        "GCONV_PATH": str(tree),
        "LOCPATH": str(tree),
        "LC_ALL": "xx_XX.PLANT",
        "LANG": "xx_XX.PLANT",
        "PYTHONPATH": str(tree),
        "PYTHONIOENCODING": "PLANT",
    }
    pod.run(level, "/bin/sh", "-c", "iconv -f PLANT -t UTF-8 < /dev/null", environment=planted)
    assert not (outside / "loaded").exists()


def test_processes_around_the_agent_are_known_by_the_pods_mark_alone(
    pod: Pod, level: Capabilities
) -> None:
    request = replace(pod.request, environment={"KEY": CANARY, "PATH": "/usr/bin:/bin"})
    prepared = Pod(pod.data_dir, request).prepared(level, "/bin/sh", "-c", "echo up; read x")
    outside = dict(prepared.environment) | {"AGENTSMESH_POD_UID": "uid-1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with started(prepared, env=outside, cwd=pod.request.cwd, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        seen = Path(f"/proc/{process.pid}/environ").read_bytes()
        if level.bubblewrap is not None:
            assert CANARY.encode() not in seen
            assert b"AGENTSMESH_POD_UID=uid-1" in seen.split(b"\0")
        assert CANARY.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.communicate("\n")


def test_descriptors_of_the_sandbox_are_closed_to_the_agent(pod: Pod, level: Capabilities) -> None:
    code = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"
    done = pod.run(level, sys.executable, "-c", code)
    assert done.stdout == "[0, 1, 2, 3]\n", done.stderr  # the last is the listing itself
    if level.bubblewrap is not None:
        script = "for fd in /proc/1/fd/*; do readlink $fd; done"
        links = pod.run(level, "/bin/sh", "-c", script).stdout.split()
        assert not [link for link in links if link.startswith("/") and link != os.devnull]
