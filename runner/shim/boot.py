"""Starts the zygote, with the memory that shims write to close together.

A page that a shim writes to becomes its own, whole, and Python writes to every object that it
uses: it counts references. So what shims use shall not lie between what they do not. All that is
not ours is loaded first; then the gaps that this left are filled; then our own modules, and what
shims make later, come onto pages of their own. That is a tenth of a MiB for each shim: see
``python -m bench many``.
"""

import gc

_OTHERS = (
    *("_thread", "array", "contextlib", "ctypes", "errno", "fcntl", "json", "ptyprocess"),
    *("resource", "select", "signal", "socket", "struct", "termios", "typing"),
)
"""All that the modules of shims import and that is not ours."""

_STEP = 16
_LARGEST = 512
_POOL = 16 * 1024
"""Python keeps small objects in pools, each of one size. Source: Objects/obmalloc.c."""

_EMPTY_BYTES = 33
"""Size of the shortest ``bytes``."""


def main(control_fd: int) -> None:
    """Be the zygote, until the daemon is gone."""
    for name in _OTHERS:
        __import__(name)
    gc.collect()
    filled = _filled()
    __import__("runner.shim.zygote").shim.zygote.main(control_fd)
    filled.clear()


def _filled() -> list[object]:
    """Return as many objects of each size as have room in what there is of pools, and some more."""
    kept: list[object] = []
    for size in range(_STEP, _LARGEST + 1, _STEP):
        count = _POOL // size * 6 // 5
        if size == _STEP:
            kept.extend(object() for _ in range(count))
        elif size < _EMPTY_BYTES:
            kept.extend(float(number) for number in range(count))  # has 24 bytes
        else:
            kept.extend(bytes(size - _EMPTY_BYTES) for _ in range(count))
    return kept
