"""Scenarios that nothing was tuned on, with programs that have no class."""

from tests.recordings.recorder import Recorder
from tests.recordings.stubs import PYTHON, SHELL, Scenario

SMALL = (80, 24)
WIDE = (160, 50)
LOW = (100, 30)


def _shell(r: Recorder) -> None:
    r.see(r"[$#] ?$")
    r.pause(0.5)


def _asked(command: str, seen: str, answer: str) -> Scenario:
    """Return a scenario in which a command asks for something."""

    def scenario(r: Recorder) -> None:
        _shell(r)
        r.type(f"{command}\r")
        r.see(seen, 60)
        r.label("waiting")
        r.pause(16)
        r.type(answer)
        r.label("")
        r.pause(3)
        r.label("idle")
        r.pause(18)

    return scenario


def _working(command: str) -> Scenario:
    """Return a scenario in which a command works and ends."""

    def scenario(r: Recorder) -> None:
        _shell(r)
        r.type(f"{command}; echo a''ll of it\r")
        r.label("executing")
        r.see("^all of it", 120)
        r.label("idle")
        r.pause(20)

    return scenario


def interpreter(r: Recorder) -> None:
    """At its prompt, at work, at its prompt."""
    r.see(">>>")
    r.label("idle")
    r.pause(20)
    r.type("print(sum(i % 7 for i in range(160_000_000)))\r")
    r.label("executing")
    r.see(r"^\d{6,}", 180)
    r.label("idle")
    r.pause(18)


_AGENT = """
import shutil, socket, sys, time
def work(seconds, verb):
    began = time.monotonic()
    while (gone := time.monotonic() - began) < seconds:
        sys.stdout.write(f"\\r\\x1b[K\\x1b[35m* {verb}... ({gone:.0f}s, 1.2k tokens)\\x1b[0m")
        sys.stdout.flush()
        time.sleep(0.4)
    sys.stdout.write("\\r\\x1b[K")
"""

COUNTING = (
    _AGENT
    + """
import termios, tty
tty.setcbreak(0)
while True:
    sys.stdout.write("\\x1b[1mbuddy\\x1b[0m> ")
    sys.stdout.flush()
    line = ""
    while (key := sys.stdin.read(1)) not in "\\r\\n":
        line += key
    print()
    work(14, "Pondering")
    if "deploy" in line:
        print("I am about to deploy to production.")
        print("  1) go ahead\\n  2) leave it\\n\\nWhat do you want me to do?")
        sys.stdin.read(1)
        work(12, "Deploying")
    print("That is done.")
"""
)


def counting_agent(r: Recorder) -> None:
    """An agent that counts seconds, and asks with a numbered list that ends in a question."""
    r.see("^buddy>")
    r.label("idle")
    r.pause(18)
    r.type("look\r")
    r.label("executing")
    r.see("That is done")
    r.label("idle")
    r.pause(18)
    r.type("deploy\r")
    r.label("executing")
    r.see("What do you want")
    r.label("waiting")
    r.pause(16)
    r.type("1")
    r.label("executing")
    r.see(r"done\.[\s\S]*done\.")
    r.label("idle")
    r.pause(18)


UNHINTED = """
import sys, termios, tty
tty.setcbreak(0)
sys.stdout.write("\\x1b[?1049h\\x1b[?25l\\x1b[H\\x1b[1mChoose a plan\\x1b[0m\\r\\n\\r\\n")
sys.stdout.write("\\x1b[7m  Starter   \\x1b[0m\\r\\n  Team\\r\\n  Company\\r\\n")
sys.stdout.flush()
sys.stdin.read(1)
sys.stdout.write("\\x1b[?1049l\\x1b[?25hchosen\\r\\n")
sys.stdout.flush()
sys.stdin.read(1)
"""


def unhinted_menu(r: Recorder) -> None:
    """A menu on the whole screen that says nothing of keys."""
    r.see("Company")
    r.label("waiting")
    r.pause(20)


SILENT_NETWORK = """
import socket, sys
a, b = socket.socketpair()
print("Asking the model ...", flush=True)
a.settimeout(30)
try:
    a.recv(1)
except TimeoutError:
    pass
print("The answer is 42.", flush=True)
sys.stdin.readline()
"""


def silent_network(r: Recorder) -> None:
    """It waits for an answer of the network, and neither says nor does anything."""
    r.see("Asking")
    r.label("executing")
    r.see("42", 60)
    r.label("idle")
    r.pause(16)


def segfault(r: Recorder) -> None:
    """A program breaks down, and a shell is what is left."""
    _shell(r)
    r.type("i=0; while [ $i -lt 20 ]; do echo test $i ok; i=$((i+1)); sleep 0.6; done; ")
    r.type("sh -c 'kill -SEGV $$'; echo le''ft\r")
    r.label("executing")
    r.see("^left", 60)
    r.label("idle")
    r.pause(22)


_SLOW_DOTS = "for i in $(seq 1 8); do printf '.'; sleep 3.5; done; echo"
_BURSTS = "for i in 1 2 3 4; do seq 1 400; sleep 6; done"
_BAR = (
    'i=0; while [ $i -lt 25 ]; do printf "\\r%3d%% [%-25s] 3.1MB/s" $((i*4)) '
    "\"$(printf '%*s' $i | tr ' ' =)\"; i=$((i+1)); sleep 0.8; done; echo"
)
_YES = "printf 'Need to get 120 MB of archives.\\nDo you want to continue? [Y/n] '; read a"
_TYPED = "printf 'Type the name of the repository to confirm its removal: '; read a"
_EXTERNAL = "mkdir -p .ssh; ssh-keygen -q -t ed25519 -f .ssh/key -N x; ssh-keygen -q -f .ssh/key"
_DASH = ["dash", "-i"]

STUBS: dict[str, tuple[list[str], Scenario, tuple[int, int]]] = {
    "interpreter": ([*("python3", "-q")], interpreter, SMALL),
    "apt-like": (SHELL, _asked(_YES, r"\[Y/n\]", "n\r"), SMALL),
    "typed-name": (SHELL, _asked(_TYPED, "removal: *$", "acme\r"), LOW),
    "key-overwrite": (SHELL, _asked(_EXTERNAL, r"^Overwrite", "n\r"), SMALL),
    "pass-phrase": (
        SHELL,
        _asked("openssl genrsa -aes256 -out k.pem 2048", "phrase", "hunter2\rhunter2\r"),
        LOW,
    ),
    "new-package": (SHELL, _asked("npm init", r"^package name", "\x03"), SMALL),
    "git-log": (
        SHELL,
        _asked(
            "git init -q .; for i in $(seq 1 40); do git -c user.name=a -c user.email=a@b commit "
            "-q --allow-empty -m c$i; done; LESS= git log",
            "^:",
            "q",
        ),
        SMALL,
    ),
    "manual": (SHELL, _asked("LESS= man -l page.1", "Manual page|lines 1-|^:", "q"), SMALL),
    "calculator": (SHELL, _asked("bc -q", "bc -q", "quit\r"), LOW),
    "slow-dots": (SHELL, _working(_SLOW_DOTS), SMALL),
    "bursts": (SHELL, _working(_BURSTS), SMALL),
    "download": (_DASH, _working(_BAR), SMALL),
    "pipeline": (SHELL, _working("(sleep 20; echo x) | sort | tee out.txt >/dev/null"), LOW),
    "packing": (SHELL, _working("timeout 20 gzip -9 </dev/urandom >/dev/null"), WIDE),
    "segfault": (_DASH, segfault, SMALL),
    "counting-agent": ([*PYTHON, COUNTING], counting_agent, SMALL),
    "unhinted-menu": ([*PYTHON, UNHINTED], unhinted_menu, SMALL),
    "silent-network": ([*PYTHON, SILENT_NETWORK], silent_network, LOW),
}


PAGE = ".TH PAGE 1\n.SH NAME\npage \\- of a manual\n" + ".PP\nSome more of it.\n" * 60
"""For ``man``."""
