"""Ways in which processes get away from who started them.

Each is a program that takes a word, by which what it left running is found. Standard library only:
also used as another user.
"""

import os
from pathlib import Path

PYTHON = ("/usr/bin/python3", "-I", "-S", "-c")

_CHAIN = """
import os, sys, time
print('up', flush=True)
if os.fork():
    time.sleep(300)
os.setsid()
end = time.monotonic() + 60
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    time.sleep(0.002)
"""

_SUBREAPER = """
import ctypes, os, subprocess, sys, time
if not os.fork():
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    os.setsid()
    subprocess.Popen(['sh', '-c', f'setsid -f sleep {sys.argv[1]}'], env={})
    print('up', flush=True)
    time.sleep(300)
time.sleep(300)
"""

_TRACED = """
import ctypes, os, subprocess, sys, time
child = subprocess.Popen(['sleep', sys.argv[1]], start_new_session=True, env={})
libc = ctypes.CDLL(None, use_errno=True)
if not os.fork():
    os.setsid()
    libc.ptrace(16, child.pid, 0, 0)
    print('up', flush=True)
    time.sleep(300)
time.sleep(300)
"""

_NAMELESS = """
import os, sys, time
if not os.fork():
    os.setsid()
    for fd in range(3, 64):
        try:
            os.close(fd)
        except OSError:
            pass
    os.execve('/bin/sleep', ['x', sys.argv[1]], {})
print('up', flush=True)
time.sleep(300)
"""

ESCAPES = {
    "in the background": ("sh", "-c", "sleep $0 & echo up; sleep 300"),
    "in a session of its own": ("sh", "-c", "setsid -f sleep $0; echo up; sleep 300"),
    "without its environment": ("sh", "-c", "env -i setsid -f sleep $0; echo up; sleep 300"),
    "forked twice": ("sh", "-c", "(setsid sh -c 'sleep '$0' &' &); echo up; sleep 300"),
    "ignoring all signals": (
        *("sh", "-c"),
        "setsid -f sh -c 'trap \"\" TERM HUP INT QUIT; sleep '$0; echo up; sleep 300",
    ),
    "stopped": ("sh", "-c", "setsid -f sh -c 'kill -STOP $$; : '$0; echo up; sleep 300"),
    "forking on and on": (*PYTHON, _CHAIN),
    "below a subreaper of its own": (*PYTHON, _SUBREAPER),
    "traced by another": (*PYTHON, _TRACED),
    "without name and descriptors": (*PYTHON, _NAMELESS),
    "after its program has ended": ("sh", "-c", "env -i setsid -f sleep $0; echo up"),
}

INSIDE = ("bwrap", "--dev-bind", "/", "/", "--unshare-pid", "--proc", "/proc", "--die-with-parent")
"""A sandbox with a pid namespace, as pods have one."""


def survivors(word: str) -> list[int]:
    """Return the living processes that have *word* among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            named = word.encode() in (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_bytes().rpartition(b")")[2].split()[0]
        except OSError:
            continue
        if named and state not in {b"Z", b"X"}:
            found.append(int(entry.name))
    return found
