"""Which system calls a pod may not make: a filter for the kernel, built as bytes.

It closes ways around a sandbox that is made of files and namespaces: keys of the machine, set-uid
programs left behind for others, the machine's control groups, drivers loaded by asking for them.
Nothing is killed: a call is answered as a kernel without the thing would answer. User namespaces,
mounts in them and ptrace stay: browsers, debuggers and sandboxes within a pod need them.

Source: seccomp(2), Linux uapi/linux/filter.h.
"""

import errno
import functools
import itertools
import platform
import struct
from collections.abc import Iterator, Sequence
from typing import Final

from runner.drivers.sandbox.syscalls import ARCHITECTURES, Architecture

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16

_REFUSED: Final = (
    # the machine's own: its kernel, clock, disks
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "settimeofday", "clock_settime",
    "syslog", "vhangup", "iopl", "ioperm", "uselib", "lookup_dcookie",
    # files by number, past every mount; memory of others; ways into the kernel
    "open_by_handle_at", "migrate_pages", "move_pages", "bpf", "perf_event_open", "userfaultfd",
)  # fmt: skip

_UNKNOWN: Final = (
    # keys belong to the account, and are shared with the machine
    "add_key", "request_key", "keyctl",
    # it opens files and sockets past every filter
    "io_uring_setup", "io_uring_enter", "io_uring_register",
    # what they ask for is in memory, where a filter cannot look: C libraries know another way
    "clone3", "openat2",
    # the new way to mount; the old one stays
    "open_tree", "open_tree_attr", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick",
    "mount_setattr",
)  # fmt: skip

_ATTRIBUTES: Final = ("setxattr", "lsetxattr", "fsetxattr", "setxattrat")
"""A file of root's with capabilities in an attribute is one that makes its user root."""

_SHARED_MEMORY: Final = ("shmget", "semget", "msgget", "mq_open")
"""Belong to the account: only a sandbox with an IPC namespace may have them."""

_MODES: Final = (
    ("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2), ("creat", 1), ("mknod", 1),
    ("mknodat", 2),
)  # fmt: skip
_OPENS: Final = (("open", 1), ("openat", 2))
"""Where the flags are; the mode follows."""

_SET_ID: Final = 0o6000
_CREATES: Final = 0o100 | 0o20000000  # O_CREAT, and O_TMPFILE's own bit: else the mode is garbage

_TERMINAL: Final = (0x5412, 0x541C, 0x5423)
"""TIOCSTI and TIOCLINUX type and paste for others; TIOCSETD loads drivers of modems."""

_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_INTERNET_PROTOCOLS: Final = (0, 1, 6, 17, 58, 255, 262)
"""ICMP, TCP, UDP, ICMPv6, raw, MPTCP. Others load drivers."""

_NETLINK_PROTOCOLS: Final = (0, 4, 15, 16)
"""Routes, sockets, devices and generic. Not the firewall's."""

_NEW_CGROUPS: Final = 0x02000000
"""A namespace of control groups: whoever has one may mount them, and root's account (a user's, too,
below his own session) may then end or starve what runs in them."""

_Block = list[tuple[int, int, int, int]]


@functools.cache
def program(machine: str = "", *, namespaces: bool = True) -> bytes:
    """Return the filter for *machine* (``uname -m``), by default this one; empty when unknown.

    *namespaces* tells whether the pod has namespaces of its own, as bubblewrap gives. Without
    them it may not make unix sockets (but pairs), nor shared memory by name, nor set limits of
    other processes.
    """
    architecture = ARCHITECTURES.get(machine or platform.machine())
    if architecture is None:
        return b""
    unknown = _return(errno.ENOSYS)
    code: _Block = [_load(_ARCHITECTURE_AT), (_EQUAL, 1, 0, architecture.audit), unknown]
    code.append(_load(_NUMBER_AT))
    if architecture.foreign is not None:
        code += [(_AT_LEAST, 0, 1, architecture.foreign), unknown]
    for number, block in _rules(architecture, namespaces=namespaces):
        code += [(_EQUAL, 0, len(block), number), *block]
    code.append(_return())
    return b"".join(struct.pack("=HBBI", *each) for each in code)


def _rules(architecture: Architecture, *, namespaces: bool) -> Iterator[tuple[int, _Block]]:
    """Yield what is done for a number; every block ends with a return."""
    unknown = _UNKNOWN if namespaces else _UNKNOWN + _SHARED_MEMORY
    blocks = itertools.chain(
        ((name, [_return(errno.EPERM)]) for name in _REFUSED),
        ((name, [_return(errno.ENOSYS)]) for name in unknown),
        ((name, [_return(errno.EOPNOTSUPP)]) for name in _ATTRIBUTES),
        ((name, _without(at, _SET_ID)) for name, at in _MODES),
        ((name, _created(at)) for name, at in _OPENS),
        ((name, _without(0, _NEW_CGROUPS)) for name in ("clone", "unshare")),
        [
            ("ioctl", [_argument(1), *_among(_TERMINAL, errno.EPERM), _return()]),
            ("socketpair", _only(0, (_UNIX,), errno.EAFNOSUPPORT)),
            ("socket", _socket(unix=namespaces)),
        ],
        [] if namespaces else [("prlimit64", _own_limits())],
    )
    for name, block in blocks:
        if (number := architecture.numbers.get(name)) is not None:
            yield number, block


def _socket(*, unix: bool) -> _Block:
    internet = _only(2, _INTERNET_PROTOCOLS, errno.EPROTONOSUPPORT)
    netlink = _only(2, _NETLINK_PROTOCOLS, errno.EPROTONOSUPPORT)
    return [
        _argument(0),
        (_EQUAL, 0, 1, _UNIX),
        _return(0 if unix else errno.EPERM),
        (_EQUAL, 1, 0, _INET),
        (_EQUAL, 0, len(internet), _INET6),
        *internet,
        (_EQUAL, 0, len(netlink), _NETLINK),
        *netlink,
        _return(errno.EAFNOSUPPORT),
    ]


def _own_limits() -> _Block:
    """Refuse to set the limits of a process by its number; one's own are those of 0."""
    return [
        _argument(0),
        (_EQUAL, 4, 0, 0),
        _argument(2),
        (_EQUAL, 0, 3, 0),
        _argument(2, high=True),
        (_EQUAL, 0, 1, 0),
        _return(),
        _return(errno.EPERM),
    ]


def _created(flags_at: int) -> _Block:
    return [
        _argument(flags_at),
        (_ANY_BIT, 1, 0, _CREATES),
        _return(),
        *_without(flags_at + 1, _SET_ID),
    ]


def _without(argument: int, bits: int) -> _Block:
    return [_argument(argument), (_ANY_BIT, 0, 1, bits), _return(errno.EPERM), _return()]


def _only(argument: int, values: Sequence[int], error: int) -> _Block:
    return [_argument(argument), *_among(values, 0), _return(error)]


def _among(values: Sequence[int], error: int) -> _Block:
    """Answer when the loaded word is one of *values*; else go on behind."""
    return list(itertools.chain.from_iterable(((_EQUAL, 0, 1, v), _return(error)) for v in values))


def _argument(index: int, *, high: bool = False) -> tuple[int, int, int, int]:
    """Load half an argument; both architectures are little-endian."""
    return _load(_ARGUMENTS_AT + 8 * index + (4 if high else 0))


def _load(at: int) -> tuple[int, int, int, int]:
    return _LOAD, 0, 0, at


def _return(error: int = 0) -> tuple[int, int, int, int]:
    return _RETURN, 0, 0, _ERRNO | error if error else _ALLOW
