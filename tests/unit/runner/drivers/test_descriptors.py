"""The daemon has many descriptors; what it starts has the usual number."""

import resource
import subprocess
import sys

CODE = """
import resource, subprocess, sys
from runner.drivers import descriptors
descriptors.allow_many()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
descriptors.allow_usual(child.pid)
print(resource.prlimit(child.pid, resource.RLIMIT_NOFILE)[0])
child.stdin.close()
child.wait()
"""


def _start_with(soft: int) -> list[int]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    )
    return [int(line) for line in done.stdout.split()]


def test_the_daemon_raises_its_own_limit_and_gives_its_children_the_usual_one() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ours, childs = _start_with(256)
    assert ours == (65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536))
    assert childs == 256
