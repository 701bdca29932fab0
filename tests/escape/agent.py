# ruff: noqa: PTH101, PTH102, PTH106, PTH108, PTH115, PTH116, PTH208, PTH211, SIM115
# a way out is a system call, and said as one
"""Tries every way out of a pod and prints what came of each; standard library only.

    agent.py TARGETS

TARGETS is a JSON object of places and processes that are none of the pod's. For each way a line
``WAY name held`` or ``WAY name open`` is printed, ``broken`` where the attempt itself went wrong;
``WAYS TRIED`` comes last. Each way is tried by a process of its own, and does no harm.
"""

import ctypes
import errno
import fcntl
import json
import os
import platform
import resource
import signal
import socket
import struct
import sys
import termios
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

T: dict[str, Any] = {}
WAYS: dict[str, tuple[str, Callable[[], bool]]] = {}
SECONDS = 20
CANARY = "canary-7f3kq9xw2m"
X86 = {
    "ptrace": 101, "process_vm_readv": 310, "add_key": 248, "keyctl": 250, "io_uring_setup": 425,
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "finit_module": 313,
    "open_by_handle_at": 304, "syslog": 103, "kexec_load": 246, "mount": 165, "umount2": 166,
    "unshare": 272, "shmget": 29, "shmat": 30, "fsopen": 430,
}  # fmt: skip
ARM = {
    "ptrace": 117, "process_vm_readv": 270, "add_key": 217, "keyctl": 219, "io_uring_setup": 425,
    "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "finit_module": 273,
    "open_by_handle_at": 265, "syslog": 116, "kexec_load": 104, "mount": 40, "umount2": 39,
    "unshare": 97, "shmget": 194, "shmat": 196, "fsopen": 430,
}  # fmt: skip
NUMBERS = X86 if platform.machine() == "x86_64" else ARM
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def way(text: str) -> Callable[[Callable[[], bool]], Callable[[], bool]]:
    """Register a way under its function's name; it returns whether it led out."""

    def add(function: Callable[[], bool]) -> Callable[[], bool]:
        WAYS[function.__name__] = (text, function)
        return function

    return add


def call(name: str, *args: Any) -> int:
    answer = int(libc.syscall(NUMBERS[name], *args))
    if answer < 0:
        raise OSError(ctypes.get_errno(), name)
    return answer


def reached(name: str, *args: Any) -> bool:
    """Whether the kernel looked at the arguments of the call at all."""
    try:
        call(name, *args)
    except OSError as exc:
        return exc.errno not in {errno.EPERM, errno.EACCES, errno.ENOSYS}
    return True


def readable(path: str) -> bool:
    with open(path, "rb") as file:
        return bool(file.read(1)) or True


def opened_for_writing(*paths: str) -> bool:
    """Whether one of the files can be opened to be written; nothing is."""
    for path in paths:
        with suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
            return True
    return False


def made(folder: str) -> bool:
    place = os.path.join(folder, f"escaped-{os.getpid()}")
    os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    os.unlink(place)
    return True


def namespace() -> None:
    """Become root of a user namespace, with mounts of its own."""
    user, group = os.getuid(), os.getgid()
    call("unshare", 0x10000000 | 0x00020000)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {user} 1"),
        ("gid_map", f"0 {group} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(text)


# --- files ---


@way("read a file in another pod's home")
def other_home() -> bool:
    return readable(f"{T['other']}/home/secret")


@way("read another pod's worktree")
def other_worktree() -> bool:
    return readable(f"{T['other']}/worktree/README")


@way("write into another pod's worktree")
def other_worktree_write() -> bool:
    return made(f"{T['other']}/worktree")


@way("change the mode of another pod's files")
def other_mode() -> bool:
    path = f"{T['other']}/worktree/README"
    os.chmod(path, os.stat(path).st_mode & 0o7777)  # to what it is
    return True


@way("read another pod's repository")
def other_repository() -> bool:
    return readable(f"{T['other']}/repo.git/HEAD")


@way("read another pod's temporary files")
def other_tmp() -> bool:
    return bool(os.listdir(f"{T['other']}/tmp")) or True


@way("read what another pod's terminal has shown")
def other_transcript() -> bool:
    folder = f"{T['other']}/transcript"
    return any(readable(f"{folder}/{name}") for name in os.listdir(folder))


@way("connect to the process that holds another pod's terminal")
def other_shim() -> bool:
    return connected_to(T["other_shim"])


@way("connect to the process that holds its own terminal")
def own_shim() -> bool:
    return connected_to(T["own"] + "/runs/1-0/shim.sock")


@way("change what its own terminal has shown")
def own_transcript() -> bool:
    return made(T["own"] + "/transcript")


@way("list the pods of the runner")
def pods() -> bool:
    return len(os.listdir(os.path.dirname(T["own"]))) > 1


@way("read the runner's private key")
def runner_key() -> bool:
    return readable(T["runner_key"])


@way("read the runner's journal")
def runner_journal() -> bool:
    return readable(T["runner_journal"])


@way("read the administrator's kubeconfig")
def kubeconfig() -> bool:
    return readable(T["kubeconfig"])


@way("read any other file of the mesh")
def mesh_data() -> bool:
    for folder, folders, names in os.walk(T["data"]):
        folders[:] = [each for each in folders if each not in {"pods", "caches", "settings"}]
        for name in names:
            with suppress(OSError):
                return readable(os.path.join(folder, name))
    return False


@way("link a file of the runner's into its own home")
def hard_link() -> bool:
    os.link(T["runner_key"], os.path.join(os.environ["HOME"], f"linked-{os.getpid()}"))
    return True


@way("read a home of the machine")
def host_home() -> bool:
    return readable(T["host_home"])


@way("read the machine's passwords")
def passwords() -> bool:
    return readable("/etc/shadow")


@way("change the machine's settings or programs")
def system_write() -> bool:
    for folder in ("/etc", "/usr/local/bin", "/usr/bin", "/opt", "/var", "/"):
        with suppress(OSError):
            return made(folder)
    return False


@way("leave files in the machine's /tmp")
def host_tmp() -> bool:
    Path(T["mark"]).touch()
    return True  # where it is, is looked at from outside


@way("change the objects that its repository borrows")
def cache_objects() -> bool:
    return any(made(folder) for folder in borrowed())


@way("read or change configuration, hooks and refs of the cache")
def cache_config() -> bool:
    return any(readable(os.path.join(os.path.dirname(folder), "config")) for folder in borrowed())


def borrowed() -> list[str]:
    return Path(T["own"], "repo.git/objects/info/alternates").read_text().split()


# --- processes ---


@way("see that another pod's processes are there")
def other_processes() -> bool:
    fields = Path(f"/proc/{T['other_pid']}/stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[19]) == T["other_started"]


@way("read the environment of another process")
def environments() -> bool:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                if CANARY.encode() in Path(f"/proc/{entry}/environ").read_bytes():
                    return True
    return False


@way("read the machine's files through another process")
def other_root() -> bool:
    for pid in (1, T["runner_pid"], T["other_pid"], os.getppid()):
        with suppress(OSError):
            return readable(f"/proc/{pid}/root{T['runner_key']}")
    return False


@way("list the open files of the runner")
def runner_descriptors() -> bool:
    return bool(os.listdir(f"/proc/{T['runner_pid']}/fd"))


@way("read the memory of another process")
def other_memory() -> bool:
    with suppress(OSError):
        os.close(os.open(f"/proc/{T['other_pid']}/mem", os.O_RDONLY))
        return True
    nowhere = (ctypes.c_ulong * 2)(0, 8)
    try:
        call("process_vm_readv", T["other_pid"], nowhere, 1, nowhere, 1, 0)
    except OSError as exc:
        return exc.errno == errno.EFAULT  # it was asked where, and not who
    return True


@way("trace another process")
def trace() -> bool:
    call("ptrace", 0x4206, T["other_pid"], 0, 0)  # seize: it goes on
    return True


@way("signal another pod's process")
def signal_other() -> bool:
    os.kill(T["other_pid"], 0)
    return True


@way("signal the runner")
def signal_runner() -> bool:
    os.kill(T["runner_pid"], 0)
    return True


@way("change the limits or priority of another process")
def limits_of_others() -> bool:
    with suppress(OSError):
        resource.prlimit(T["other_pid"], resource.RLIMIT_CORE, (0, 0))
        return True
    os.setpriority(
        os.PRIO_PROCESS, T["other_pid"], os.getpriority(os.PRIO_PROCESS, T["other_pid"]) + 1
    )
    return True


@way("type into another pod's terminal")
def other_terminal() -> bool:
    return opened_for_writing(T["other_terminal"])


@way("type into a terminal by ioctl (TIOCSTI)")
def typing() -> bool:
    fcntl.ioctl(0, termios.TIOCSTI, b"\n")
    return True


@way("find descriptors that it was not given")
def descriptors() -> bool:
    kept = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            if int(name) > 2 and not target.startswith(("/proc/", "anon_inode", "pipe:")):
                kept.add(target)
    return bool(kept)


# --- between processes ---


def connected_to(address: str) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(address)
    return True


@way("connect to an abstract unix socket of the machine")
def abstract_socket() -> bool:
    return connected_to(T["abstract"])


@way("connect to a unix socket of the machine by its path")
def path_socket() -> bool:
    return connected_to(T["socket"])


@way("read the machine's shared memory (/dev/shm)")
def shared_memory() -> bool:
    return readable(T["shared"])


@way("attach to shared memory of System V")
def system_v_memory() -> bool:
    call("shmget", T["shm_key"], 0, 0o600)
    return True


@way("use the kernel's keys")
def keys() -> bool:
    return reached("keyctl", 0, -4, 0)


# --- privileges ---


def status(field: str) -> str:
    line = next(line for line in open("/proc/self/status") if line.startswith(field + ":"))
    return line.split()[1]


@way("have capabilities")
def capabilities() -> bool:
    return int(status("CapEff"), 16) != 0


@way("gain privileges by a set-uid program")
def set_uid_programs() -> bool:
    return status("NoNewPrivs") != "1"


@way("leave a set-uid program behind for others")
def set_uid_file() -> bool:
    place = Path(os.environ["HOME"], f"set-uid-{os.getpid()}")
    place.touch()
    place.chmod(0o4755)
    return bool(place.stat().st_mode & 0o4000)


@way("mount something")
def mounting() -> bool:
    home = os.environ["HOME"].encode()
    call("mount", b"none", home, b"tmpfs", 0, None)
    call("umount2", home, 2)
    return True


@way("uncover the machine's files within a user namespace")
def user_namespace() -> bool:
    namespace()
    for place in (b"/proc", b"/tmp", b"/etc", b"/dev", T["data"].encode(), b"/"):
        with suppress(OSError):
            call("umount2", place, 2)
    with suppress(OSError):
        return readable(T["runner_key"])
    home = os.environ["HOME"]
    with suppress(OSError):
        call("mount", b"/", home.encode(), None, 4096 | 16384, None)
        with suppress(OSError):
            return readable(home + T["runner_key"])
    os.chroot("/proc/1/root")
    return readable(T["runner_key"])


@way("climb out of a root directory of its own")
def change_root() -> bool:
    namespace()
    inner = os.path.join(os.environ["HOME"], f"root-{os.getpid()}")
    os.mkdir(inner)
    os.chroot(inner)
    for _ in range(40):
        os.chdir("..")
    os.chroot(".")
    return readable(T["runner_key"])


@way("make a device and open it")
def device() -> bool:
    place = os.path.join(os.environ["HOME"], f"device-{os.getpid()}")
    os.mknod(place, 0o060600, os.makedev(8, 0))
    try:
        os.close(os.open(place, os.O_RDONLY))
    except OSError as exc:
        return exc.errno in {errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM}  # no such disk here
    finally:
        os.unlink(place)
    return True


@way("open disks or the machine's memory in /dev")
def devices() -> bool:
    for name in ("mem", "kmsg", "port", "sda", "vda", "nvme0n1", "loop-control", "kvm", "fuse"):
        with suppress(OSError):
            os.close(os.open(f"/dev/{name}", os.O_RDWR))
            return True
    return False


@way("write to the kernel's settings (/proc/sys, sysrq)")
def kernel_settings() -> bool:
    return opened_for_writing(
        "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger"
    )


@way("write below /sys")
def kernel_objects() -> bool:
    return opened_for_writing(
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/kernel/uevent_helper",
        "/sys/power/state",
        "/sys/kernel/profiling",
        "/sys/devices/system/cpu/cpu0/uevent",
    )


@way("change control groups")
def control_groups() -> bool:
    roots = [
        line.split()[1] for line in open("/proc/mounts") if line.split()[2] in {"cgroup", "cgroup2"}
    ]
    for root in ("/sys/fs/cgroup", *roots):
        with suppress(OSError):
            place = os.path.join(root, f"escaped-{os.getpid()}")
            os.mkdir(place)
            os.rmdir(place)
            return True
    return False


@way("use io_uring, past the filter of calls")
def io_uring() -> bool:
    return reached("io_uring_setup", 8, bytes(120))


@way("load programs into the kernel, or watch it (bpf, perf)")
def kernel_programs() -> bool:
    return reached("bpf", 0, bytes(64), 64) or reached("perf_event_open", bytes(128), 0, -1, -1, 0)


@way("hold up the kernel (userfaultfd)")
def page_faults() -> bool:
    return reached("userfaultfd", 1)


@way("load a module into the kernel")
def modules() -> bool:
    return reached("finit_module", -1, b"", 0)


@way("open files by number, past every mount")
def handles() -> bool:
    return reached("open_by_handle_at", -100, bytes(64), 0)


@way("read the kernel's log")
def kernel_log() -> bool:
    return reached("syslog", 10, None, 0)


# --- network ---


@way("send raw packets")
def raw_sockets() -> bool:
    for family, protocol in ((socket.AF_INET, 1), (17, 0x0300)):
        with suppress(OSError):
            socket.socket(family, socket.SOCK_RAW, protocol).close()
            return True
    return False


@way("change the machine's firewall")
def firewall() -> bool:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as sock:
        message = struct.pack(
            "=IHHIIBBH", 20, 0x0A00, 5, 1, 0, 2, 0, 0
        )  # name a table: not allowed
        sock.send(message)
        sock.settimeout(5)
        return struct.unpack_from("=i", sock.recv(4096), 16)[0] != -errno.EPERM


@way("call another pod's tools with its own token")
def other_tools() -> bool:
    if os.environ["AGENTSMESH_MCP_URL"] == T["other_url"]:
        return False  # a network of its own: that port is its own there
    headers = {
        "Authorization": f"Bearer {os.environ['AGENTSMESH_MCP_TOKEN']}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
    request = urllib.request.Request(T["other_url"], body, headers)  # noqa: S310  http is meant
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return int(answer.status) == 200
    except urllib.error.HTTPError:
        return False


@way("reach a service on the machine's loopback")
def host_loopback() -> bool:
    socket.create_connection(("127.0.0.1", T["tcp"]), 5).close()
    return True


@way("see a network interface besides the loopback")
def interfaces() -> bool:
    return any(name != "lo" for _, name in socket.if_nameindex())


# --- how it is run ---


def tried(function: Callable[[], bool]) -> str:
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        try:
            code = 0 if function() else 1
        except (OSError, ValueError, LookupError) as exc:
            code = 1 if isinstance(exc, OSError) else 2
            if code == 2:
                traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    _, how = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(how)
    return {0: "open", 1: "held"}.get(code, "held" if code == -signal.SIGSYS else f"broken {code}")


def results() -> Iterator[tuple[str, str]]:
    for name, (_, function) in WAYS.items():
        yield name, tried(function)


def plant() -> None:
    """Leave traps for the runner's own git and for whatever of it looks at the files."""
    trap = f"touch {T['trap']}"
    repository, worktree = Path(T["own"], "repo.git"), Path(T["own"], "worktree")
    if not repository.is_dir():
        return
    hooks = repository / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in (
        "post-checkout",
        "pre-commit",
        "reference-transaction",
        "post-index-change",
        "pre-push",
    ):
        (hooks / name).write_text(f"#!/bin/sh\n{trap}\n")
        (hooks / name).chmod(0o755)
    with (repository / "config").open("a") as file:
        file.write(
            f"[core]\n\tfsmonitor = {trap}\n\thooksPath = {hooks}\n\tsshCommand = {trap}\n"
            f"\tpager = {trap}\n\teditor = {trap}\n[diff]\n\texternal = {trap}\n"
            f'[filter "trap"]\n\tclean = {trap}; cat\n\tsmudge = {trap}; cat\n\tprocess = {trap}\n'
            f'[credential]\n\thelper = "!{trap}"\n[gc]\n\trecentObjectsHook = {trap}\n'
            f"[uploadpack]\n\tpackObjectsHook = {trap}\n"
        )
    (repository / "objects/info/alternates").open("a").write(f"{T['other']}/repo.git/objects\n")
    (worktree / ".gitattributes").write_text("* filter=trap diff=trap merge=trap\n")
    (worktree / "README").write_text("changed\n")
    os.mkfifo(worktree / "fifo")
    with (worktree / "large").open("wb") as file:
        file.truncate(1 << 27)
    os.symlink(T["runner_key"], worktree / "key")
    os.symlink("/dev/zero", worktree / "endless")
    inner = worktree / "nested/.git"
    inner.mkdir(parents=True)
    (inner / "config").write_text(f"[core]\n\tfsmonitor = {trap}\n\tbare = false\n")
    (inner / "HEAD").write_text("ref: refs/heads/x\n")
    for name in ("objects", "refs"):
        (inner / name).mkdir()


def main() -> None:
    T.update(json.loads(sys.argv[1]))
    T["own"] = os.path.dirname(os.environ["AGENTSMESH_HOME"])
    for name, result in results():
        print(f"WAY {name} {result}", flush=True)
    plant()
    print("WAYS TRIED", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
