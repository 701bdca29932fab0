"""Keeps a process and all below it from abstract unix sockets that are not their own.

    scope.py PROGRAM ARGUMENT...

Abstract sockets belong to a network and to no folder, so a sandbox with the machine's network
reaches those of its services, as the runner's account. Landlock stops that from ABI 6 on, without
touching files, so bubblewrap can still mount. Standard library only: also run as a script, to try.

Source: landlock(7), Linux uapi/linux/landlock.h.
"""

import ctypes
import os
import struct
import sys

_CREATE_RULESET = 444
_RESTRICT_SELF = 446
_SET_NO_NEW_PRIVS = 38
_ABSTRACT_UNIX_SOCKET = 1

_libc = ctypes.CDLL(None, use_errno=True)


def enter() -> None:
    """Enter the scope, for good.

    Raises:
        OSError: The kernel cannot.
    """
    attributes = struct.pack("=QQQ", 0, 0, _ABSTRACT_UNIX_SOCKET)
    size = ctypes.c_size_t(len(attributes))
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "Landlock has no scopes here")
    if _libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _libc.syscall(_RESTRICT_SELF, ruleset, 0):
        raise OSError(ctypes.get_errno(), "Landlock refused")
    os.close(ruleset)


if __name__ == "__main__":
    enter()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606  no shell is the point
