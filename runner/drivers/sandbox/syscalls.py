"""Numbers of system calls by architecture.

Source: Linux, arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h;
from 424 on they are the same everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Architecture:
    """How the kernel names an architecture in a filter, and its numbers."""

    audit: int
    """Source: Linux uapi/linux/audit.h, AUDIT_ARCH_*."""

    numbers: Mapping[str, int]
    """A call that the architecture does not have is absent."""

    foreign: int | None = None
    """Numbers from here on belong to another ABI of the same architecture."""


_COMMON: Final = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "clone3": 435,
    "openat2": 437,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "fchmodat2": 452,
    "setxattrat": 463,
    "open_tree_attr": 467,
}

_X86_64: Final = {
    "open": 2, "ioctl": 16, "shmget": 29, "socket": 41, "socketpair": 53, "clone": 56,
    "semget": 64, "msgget": 68, "creat": 85, "chmod": 90, "fchmod": 91, "syslog": 103,
    "mknod": 133, "uselib": 134, "vhangup": 153, "acct": 163, "settimeofday": 164, "swapon": 167,
    "swapoff": 168, "reboot": 169, "iopl": 172, "ioperm": 173, "init_module": 175,
    "delete_module": 176, "quotactl": 179, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190,
    "lookup_dcookie": 212, "clock_settime": 227, "mq_open": 240, "kexec_load": 246,
    "add_key": 248, "request_key": 249, "keyctl": 250, "migrate_pages": 256, "openat": 257,
    "mknodat": 259, "fchmodat": 268, "unshare": 272, "move_pages": 279, "perf_event_open": 298,
    "prlimit64": 302, "open_by_handle_at": 304, "finit_module": 313, "kexec_file_load": 320,
    "bpf": 321, "userfaultfd": 323,
}  # fmt: skip

_AARCH64: Final = {
    "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "lookup_dcookie": 18, "ioctl": 29,
    "mknodat": 33, "fchmod": 52, "fchmodat": 53, "openat": 56, "vhangup": 58, "quotactl": 60,
    "acct": 89, "unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106,
    "clock_settime": 112, "syslog": 116, "reboot": 142, "settimeofday": 170, "mq_open": 180,
    "msgget": 186, "semget": 190, "shmget": 194, "socket": 198, "socketpair": 199,
    "add_key": 217, "request_key": 218, "keyctl": 219, "clone": 220, "swapon": 224,
    "swapoff": 225, "migrate_pages": 238, "move_pages": 239, "perf_event_open": 241,
    "prlimit64": 261, "open_by_handle_at": 265, "finit_module": 273, "bpf": 280,
    "userfaultfd": 282, "kexec_file_load": 294,
}  # fmt: skip

ARCHITECTURES: Final[Mapping[str, Architecture]] = MappingProxyType(
    {
        "x86_64": Architecture(0xC000003E, {**_X86_64, **_COMMON}, foreign=0x40000000),
        "aarch64": Architecture(0xC00000B7, {**_AARCH64, **_COMMON}),
    }
)
"""By what ``uname -m`` says. ``foreign`` of x86_64 is x32."""
