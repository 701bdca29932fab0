"""What of the kernel a pod can reach: no setting of the machine."""

import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runner.drivers.sandbox.syscalls import ARCHITECTURES
from runner.drivers.sandbox.values import Capabilities
from tests.unit.runner.drivers.sandbox.conftest import Pod

OWN = (
    *("sys/fs/mqueue/", "sys/kernel/sem", "sys/kernel/shm", "sys/kernel/msg"),
    *(
        "sys/kernel/auto_msgmni",
        "sys/kernel/ns_last_pid",
        "sys/kernel/pid_max",
    ),  # of the pod's own namespaces
    "pressure/",  # everybody's: to be woken
)
"""What an ordinary account may open, below /proc."""

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
    found = done.stdout.splitlines()
    if os.geteuid() != 0:
        own = tuple(f"writable /proc/{name}" for name in OWN)
        found = [line for line in found if not line.startswith(own)]
    assert found == ["looked"], done.stderr


def test_what_programs_need_of_proc_is_there(pod: Pod, level: Capabilities) -> None:
    script = (
        "cat /proc/meminfo /proc/cpuinfo /proc/sys/kernel/osrelease /proc/self/status"
        " /proc/sys/kernel/random/uuid /proc/stat > /dev/null && echo all"
    )
    assert pod.run(level, "/bin/sh", "-c", script).stdout == "all\n"


CALLS = Path(__file__).with_name("calls.py")
ROOT = Path(__file__).parents[5]
ANSWERS = {
    "EPERM": (
        *("bpf", "perf_event_open", "userfaultfd", "finit_module", "open_by_handle_at", "syslog"),
        *("chmod-setuid", "chmod-setgid", "open-setuid", "mknod-setuid", "new-cgroup"),
        *("tiocsti", "tiocsetd"),
    ),
    "ENOSYS": ("keyctl", "add_key", "request_key", "io_uring_setup", "fsopen", "openat2"),
    "ENOTSUP": ("setxattr",),
    "EAFNOSUPPORT": ("alg", "vsock", "packet"),
    "EPROTONOSUPPORT": ("netfilter", "sctp"),
    "done": (*("chmod", "own-limits", "socketpair", "tcp", "udp6", "netlink", "user-namespace"),),
}
WITHOUT_NAMESPACES = {"unix": "EPERM", "shmget": "ENOSYS", "limits": "EPERM"}


def answers(pod: Pod, level: Capabilities, *names: str) -> dict[str, str]:
    environment = {**pod.request.environment, "PYTHONPATH": str(ROOT)}
    argv = (sys.executable, str(CALLS), *names)
    done = pod.run(level, *argv, environment=environment, readable=(ROOT,))
    assert done.stderr == ""
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.mark.skipif(platform.machine() not in ARCHITECTURES, reason="no filter for this machine")
def test_calls_around_the_sandbox_are_answered_with_an_error(pod: Pod, level: Capabilities) -> None:
    want = {name: answer for answer, names in ANSWERS.items() for name in names}
    if level.bubblewrap is None:
        want |= WITHOUT_NAMESPACES
        if os.geteuid() != 0:
            want["syslog"] = "EPERM"
    else:
        want |= {"unix": "done", "shmget": "done"}
    if platform.machine() == "x86_64":
        want["foreign"] = "ENOSYS"
    if level.bubblewrap is None:  # terminals of its own are closed there
        del want["tiocsti"], want["tiocsetd"]
    assert answers(pod, level, *want) == want


def test_abstract_sockets_of_the_machine_are_out_of_reach(pod: Pod, level: Capabilities) -> None:
    if level.bubblewrap is not None and not level.scopes:
        pytest.skip("this kernel cannot")
    with socket.socket(socket.AF_UNIX) as outside:
        name = f"\0agentsmesh-{os.getpid()}-scope"
        outside.bind(name)
        outside.listen()
        connect = f"import socket; socket.socket(1).connect({name!r})"
        done = pod.run(level, sys.executable, "-c", connect)
        assert "PermissionError" in done.stderr
        own = (
            "import socket; s = socket.socket(1); s.bind('\\0own'); s.listen();"
            "socket.socket(1).connect('\\0own'); print('own')"
        )
        if level.bubblewrap is not None:
            assert pod.run(level, sys.executable, "-c", own).stdout == "own\n"


def test_processes_outside_cannot_be_traced_signalled_or_read(
    pod: Pod, level: Capabilities
) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as other:
        code = (
            "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True)\n"
            f"print(libc.ptrace(16, {other.pid}, None, None))\n"
            "for name in ('mem', 'environ', 'maps', 'root/etc/shadow'):\n"
            f"    try: open(f'/proc/{other.pid}/{{name}}', 'rb').read(1); print(name)\n"
            "    except OSError: pass\n"
            f"try: os.kill({other.pid}, 9)\n"
            "except OSError: print('alive')\n"
        )
        done = pod.run(level, sys.executable, "-c", code)
        assert done.stdout == "-1\nalive\n", done
        assert other.poll() is None
        other.kill()


def test_a_debugger_works_within_the_pod(pod: Pod, level: Capabilities) -> None:
    code = (
        "import ctypes, os; libc = ctypes.CDLL(None)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    libc.ptrace(0, 0, None, None); os.kill(os.getpid(), 19); os._exit(5)\n"
        "_, status = os.waitpid(pid, 0); assert os.WIFSTOPPED(status)\n"
        "assert libc.ptrace(7, pid, None, None) == 0\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    assert pod.run(level, sys.executable, "-c", code).stdout == "5\n"


def test_threads_children_and_event_loops_work(pod: Pod, level: Capabilities) -> None:
    code = (
        "import asyncio, subprocess, threading\n"
        "async def main():\n"
        "    it = await asyncio.create_subprocess_exec('/bin/echo', 'hi', stdout=-1)\n"
        "    print((await it.communicate())[0].decode().strip())\n"
        "asyncio.run(main())\n"
        "t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n"
    )
    assert pod.run(level, sys.executable, "-c", code).stdout == "hi\nthread\n"


def test_a_sandbox_within_the_pod_works(pod: Pod, level: Capabilities) -> None:
    """As agents make around their tools; of a root runner it may not mount a /proc."""
    if level.bubblewrap is None:
        pytest.skip("Landlock lets nobody mount")
    inner = (
        str(level.bubblewrap), "--unshare-user", "--unshare-pid", "--unshare-net",
        *("--ro-bind", "/", "/", "--dev", "/dev", "--", "/bin/echo", "within"),
    )  # fmt: skip
    done = pod.run(level, *inner)
    assert done.stdout == "within\n", done.stderr
