"""What of the kernel a pod can reach: no setting of the machine."""

import sys

from runner.drivers.sandbox.values import Capabilities
from tests.unit.runner.drivers.sandbox.conftest import Pod

LOOK = """\
import os
def held(path, flags):
    try:
        os.close(os.open(path, flags | os.O_NONBLOCK))
    except OSError:
        return False
    return True
for folder, folders, names in os.walk("/proc"):
    if folder == "/proc":
        folders[:] = [name for name in folders if not name.isdecimal()]
        folders[:] = [name for name in folders if name not in ("self", "thread-self")]
    for name in names:
        path = os.path.join(folder, name)
        if os.path.islink(path) or os.path.samestat(os.stat(path), os.stat("/dev/null")):
            continue
        if held(path, os.O_WRONLY):
            print("writable", path)
print("looked")
"""


def test_no_file_of_the_kernel_can_be_opened_for_writing(pod: Pod, level: Capabilities) -> None:
    done = pod.run(level, sys.executable, "-c", LOOK)
    assert done.stdout == "looked\n", done.stderr


def test_what_programs_need_of_proc_is_there(pod: Pod, level: Capabilities) -> None:
    script = (
        "cat /proc/meminfo /proc/cpuinfo /proc/sys/kernel/osrelease /proc/self/status"
        " /proc/sys/kernel/random/uuid /proc/stat > /dev/null && echo all"
    )
    assert pod.run(level, "/bin/sh", "-c", script).stdout == "all\n"
