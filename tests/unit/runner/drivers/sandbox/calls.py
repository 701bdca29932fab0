"""Tries system calls and prints what each was answered with: NAME ERRNO. Run within a pod."""

import ctypes
import errno
import fcntl
import os
import platform
import resource
import socket
import sys
import termios
from collections.abc import Callable
from pathlib import Path

from runner.drivers.sandbox.syscalls import ARCHITECTURES

NUMBERS = ARCHITECTURES[platform.machine()].numbers
libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *args: int | bytes | None) -> None:
    if libc.syscall(NUMBERS[name], *args) < 0:
        raise OSError(ctypes.get_errno(), name)


def tty() -> int:
    return os.openpty()[1]


def created(mode: int) -> None:
    os.umask(0)
    os.close(os.open(f"new-{mode:o}", os.O_CREAT | os.O_WRONLY, mode))


def changed(mode: int) -> None:
    created(0o644)
    Path("new-644").chmod(mode)


def foreign() -> None:
    """Call getpid by the numbers of 32-bit programs; it must not be answered with a pid."""
    import mmap

    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"  # mov eax, 20; int 0x80; ret
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    if (answer := run()) < 0:
        raise OSError(-answer, "getpid")


TRIES: dict[str, Callable[[], object]] = {
    "keyctl": lambda: call("keyctl", 0, -3, 0),
    "add_key": lambda: call("add_key", b"user", b"x", b"y", 1, -3),
    "request_key": lambda: call("request_key", b"user", b"x", None, -3),
    "io_uring_setup": lambda: call("io_uring_setup", 8, bytes(120)),
    "bpf": lambda: call("bpf", 0, bytes(64), 64),
    "perf_event_open": lambda: call("perf_event_open", bytes(128), 0, -1, -1, 0),
    "userfaultfd": lambda: call("userfaultfd", 1),
    "finit_module": lambda: call("finit_module", 0, b"", 0),
    "fsopen": lambda: call("fsopen", b"tmpfs", 0),
    "openat2": lambda: call("openat2", -100, b".", bytes(24), 24),
    "open_by_handle_at": lambda: call("open_by_handle_at", -100, bytes(64), 0),
    "syslog": lambda: call("syslog", 10, None, 0),
    "setxattr": lambda: os.setxattr(".", "user.x", b"y"),
    "chmod-setuid": lambda: changed(0o4755),
    "chmod-setgid": lambda: changed(0o2755),
    "open-setuid": lambda: created(0o4755),
    "mknod-setuid": lambda: os.mknod("node", 0o104755),
    "new-cgroup": lambda: call("unshare", 0x10000000 | 0x02000000),
    "alg": lambda: socket.socket(38, socket.SOCK_SEQPACKET),
    "vsock": lambda: socket.socket(40, socket.SOCK_STREAM),
    "packet": lambda: socket.socket(17, socket.SOCK_RAW),
    "netfilter": lambda: socket.socket(16, socket.SOCK_RAW, 12),
    "sctp": lambda: socket.socket(2, socket.SOCK_STREAM, 132),
    "tiocsti": lambda: fcntl.ioctl(tty(), termios.TIOCSTI, b"x"),
    "tiocsetd": lambda: fcntl.ioctl(tty(), termios.TIOCSETD, b"\x15\0\0\0"),
    "foreign": foreign,
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "shmget": lambda: call("shmget", 0, 4096, 0o1600),
    "limits": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1)),
    # what has to work
    "chmod": lambda: changed(0o755),
    "own-limits": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    "socketpair": socket.socketpair,
    "tcp": lambda: socket.socket(socket.AF_INET),
    "udp6": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
    "netlink": lambda: socket.socket(16, socket.SOCK_RAW, 0),
    "user-namespace": lambda: call("unshare", 0x10000000),
}

for name in sys.argv[1:]:
    number = os.fork()
    if number == 0:
        try:
            TRIES[name]()
        except OSError as exc:
            answer = errno.errorcode.get(exc.errno or 0, str(exc))
        else:
            answer = "done"
        os.write(1, f"{name} {answer}\n".encode())
        os._exit(0)
    os.waitpid(number, 0)
