"""Starts a program under Landlock: run as a script, with ``python -I -S``, standard library only.

    landlock_exec.py --environment FD [--filter FD] [--offline [--listen PORT --handover FD]]
        [--read PATH]... [--write PATH]... [--device PATH]... -- ARGV...

It takes the network away where asked, and sends a socket that listens on the new loopback over
FD, a unix socket, which it closes; it gives up every capability, forbids itself all files but
those named, and the system calls of the filter, and becomes the program, with the environment
that it reads from the descriptor: its own must hold nothing of the pod's. Exit code 126: something
of that failed, and nothing was started. What Landlock cannot do: hide names and sizes of files, or
the list of processes, or keep their modes.

Source: landlock(7), Linux uapi/linux/landlock.h.
"""

import ctypes
import fcntl
import os
import socket
import stat
import struct
import sys
from typing import Final, NoReturn

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION_FLAG: Final = 1
_PATH_BENEATH: Final = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_BASE: Final = (1 << 13) - 1
_READ: Final = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_SCOPES: Final = 0b11  # abstract unix sockets, signals: only within the pod

_SET_NO_NEW_PRIVS: Final = 38
_SET_SECCOMP: Final = 22
_SECCOMP_FILTER: Final = 2
_FILTER_ITEM_BYTES: Final = 8
_CAPBSET_DROP: Final = 24
_SET_SECUREBITS: Final = 28
_CAP_AMBIENT: Final = 47
_CAP_AMBIENT_CLEAR_ALL: Final = 4
_SECUREBITS_NO_ROOT: Final = 0b101111  # noroot, no_setuid_fixup, each locked; keep_caps locked off
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_EPERM_EXIT: Final = 126
_BACKLOG: Final = 1024

_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """Return the version of Landlock that the kernel has; 0 when it has none."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)))


def restrict(reads: list[str], writes: list[str], devices: list[str]) -> None:
    """Forbid this process every file but those.

    Raises:
        OSError: The kernel refused.
    """
    version = abi()
    if version == 0:
        raise OSError("the kernel has no Landlock")
    handled = _BASE
    handled |= _REFER if version >= 2 else 0
    handled |= _TRUNCATE if version >= 3 else 0
    handled |= _IOCTL_DEV if version >= 5 else 0
    scoped = _SCOPES if version >= 6 else 0
    attributes = struct.pack("=QQQ", handled, 0, scoped)[: 24 if version >= 6 else 8]
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    for paths, rights in (
        (reads, _READ),
        (writes, handled & ~_IOCTL_DEV),
        (devices, _READ_FILE | _WRITE_FILE | _IOCTL_DEV),
    ):
        for path in paths:
            _allow(ruleset, path, rights & handled)
    _prctl(_SET_NO_NEW_PRIVS, 1)
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def give_up_capabilities() -> None:
    """Drop every capability, for root too and for good.

    Raises:
        OSError: The kernel refused.
    """
    if os.geteuid() == 0:
        for number in range(64):
            if _libc.prctl(_CAPBSET_DROP, number, 0, 0, 0) != 0:
                break  # beyond the last that this kernel knows, or not ours to drop
        _libc.prctl(_SET_SECUREBITS, _SECUREBITS_NO_ROOT, 0, 0, 0)
    _libc.prctl(_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("=Ii", 0x20080522, 0)
    if _libc.capset(header, bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capabilities cannot be given up")


def leave_network() -> None:
    """Move into a network of our own that has a loopback and nothing else.

    Raises:
        OSError: The kernel refused.
    """
    user, group = os.geteuid(), os.getegid()
    if _libc.unshare(_CLONE_NEWNET) != 0:
        if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "the network cannot be left")
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        up = struct.pack("16sh14x", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(control, 0x8914, up)  # SIOCSIFFLAGS


def hand_over(port: int, fd: int) -> None:
    """Send a socket that listens on the loopback over *fd*, and keep neither; -1: do nothing.

    Raises:
        OSError: It cannot be made.
    """
    if fd < 0:
        return
    with (
        socket.socket(fileno=fd) as end,
        socket.create_server(("127.0.0.1", port), backlog=_BACKLOG) as listener,
    ):
        listener.setblocking(False)
        socket.send_fds(end, [b"\0"], [listener.fileno()])


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("items", ctypes.c_char_p))


def forbid_calls(program: bytes) -> None:
    """Forbid this process the system calls of a seccomp filter.

    Raises:
        OSError: The kernel refused.
    """
    held = _Program(len(program) // _FILTER_ITEM_BYTES, program)
    if _libc.prctl(_SET_SECCOMP, _SECCOMP_FILTER, ctypes.byref(held), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the filter of system calls was refused")


def _read_all(fd: int) -> bytes:
    with os.fdopen(fd, "rb") as file:
        return file.read()


def _environment(content: bytes) -> dict[bytes, bytes]:
    pairs = (item.partition(b"=") for item in content.split(b"\0") if item)
    return {name: value for name, _, value in pairs}


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return  # what is not there, or not ours, needs no rule
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        rights &= _OF_FILES
    _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, fd), 0)
    os.close(fd)


def _call(number: int, *args: object) -> int:
    result = int(_libc.syscall(number, *args))
    if result < 0:
        raise OSError(ctypes.get_errno(), "Landlock refused")
    return result


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl refused")


def main(arguments: list[str]) -> NoReturn:
    """Restrict this process and become the program."""
    named: dict[str, list[str]] = {"--read": [], "--write": [], "--device": []}
    held: dict[str, bytes] = {"--environment": b"", "--filter": b""}
    numbers = {"--listen": -1, "--handover": -1}
    offline = False
    words = iter(arguments)
    for word in words:
        if word == "--":
            break
        if word == "--offline":
            offline = True
        elif word in held:
            held[word] = _read_all(int(next(words)))
        elif word in numbers:
            numbers[word] = int(next(words))
        else:
            named[word].append(next(words))
    program = list(words)
    try:
        if offline:
            leave_network()
            hand_over(numbers["--listen"], numbers["--handover"])
        if os.isatty(0):
            named["--device"].append(os.ttyname(0))
        give_up_capabilities()
        restrict(named["--read"], named["--write"], named["--device"])
        if held["--filter"]:
            forbid_calls(held["--filter"])
        os.execve(program[0], program, _environment(held["--environment"]))  # noqa: S606  no shell is the point
    except OSError as exc:
        sys.stderr.write(f"The sandbox could not be made, nothing was started: {exc.strerror}\n")
        os._exit(_EPERM_EXIT)


if __name__ == "__main__":
    main(sys.argv[1:])
