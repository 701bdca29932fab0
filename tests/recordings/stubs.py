"""Scenarios with programs that stand for agents, and with shells, pagers and editors."""

from collections.abc import Callable

from tests.recordings.recorder import Recorder

SHELL = ["bash", "--norc", "--noprofile", "-i"]
PYTHON = ["python3", "-u", "-c"]

_SPINNER = """
import itertools, sys, time
def spin(seconds, text):
    end = time.monotonic() + seconds
    for glyph in itertools.cycle("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"):
        if time.monotonic() > end:
            break
        sys.stdout.write(f"\\r{glyph} {text} ")
        sys.stdout.flush()
        time.sleep(0.12)
    print("\\r\\x1b[Kdone")
"""

Scenario = Callable[[Recorder], None]


def _prompt(r: Recorder) -> None:
    r.see(r"\$ ?$")


def shell(r: Recorder) -> None:
    _prompt(r)
    r.label("idle")
    r.pause(20)
    r.type("ls /\r")
    r.pause(20)


def progress_bar(r: Recorder) -> None:
    _prompt(r)
    r.type("for i in $(seq 1 60); do printf '\\r[%-60s] %d%%' $(printf '#%.0s' $(seq $i)) $i; ")
    r.type("sleep 0.25; done; echo; echo ready\r")
    r.label("executing")
    r.see("^ready")
    r.label("idle")
    r.pause(20)


def build_log(r: Recorder) -> None:
    _prompt(r)
    r.type("for i in $(seq 1 120); do echo cc -c file$i.c; sleep 0.15; done; echo rea''dy\r")
    r.label("executing")
    r.see("^ready", 90)
    r.label("idle")
    r.pause(20)


def silent_compiler(r: Recorder) -> None:
    _prompt(r)
    r.type("python3 -c 'import time; e=time.time()+25\nwhile time.time()<e: pass'; echo ready\r")
    r.label("executing")
    r.see("^ready", 90)
    r.label("idle")
    r.pause(20)


def silent_sleeper(r: Recorder) -> None:
    _prompt(r)
    r.type("sleep 25; echo ready\r")
    r.label("executing")
    r.see("^ready", 90)
    r.label("idle")
    r.pause(20)


def yes_or_no(r: Recorder) -> None:
    _prompt(r)
    r.type("read -p 'Overwrite config.yaml? [y/N] ' a\r")
    r.see(r"\[y/N\] $|\[y/N\]$")
    r.label("waiting")
    r.pause(15)
    r.type("y\r")
    r.label("idle")
    r.pause(20)


def password(r: Recorder) -> None:
    _prompt(r)
    r.type("python3 -c 'import getpass; getpass.getpass(\"Key for vault: \")'\r")
    r.see("^Key for vault")
    r.label("waiting")
    r.pause(15)
    r.type("secret\r")
    r.label("idle")
    r.pause(20)


def line_reader(r: Recorder) -> None:
    _prompt(r)
    r.type("cat > note.txt\r")
    r.pause(0.5)
    r.label("waiting")
    r.pause(15)
    r.type("\x04")
    r.label("idle")
    r.pause(20)


def pager(r: Recorder) -> None:
    _prompt(r)
    r.type("seq 1 500 | LESS= less\r")
    r.see("^:")
    r.label("waiting")
    r.pause(10)
    r.type("G")
    r.pause(10)
    r.type("q")
    r.label("idle")
    r.pause(20)


def editor(r: Recorder) -> None:
    _prompt(r)
    r.type("vim -u NONE -N notes.txt\r")
    r.see("^~")
    r.label("idle")
    r.pause(20)
    r.type("ihello\x1b")
    r.pause(15)


def menu(r: Recorder) -> None:
    r.see("arrow keys")
    r.label("waiting")
    r.pause(12)
    r.type("\x1b[B")
    r.pause(5)
    r.type("\r")
    r.label("executing")
    r.see("^done")
    r.label("")


MENU = (
    _SPINNER
    + """
import termios, tty
print("? Pick a template (Use arrow keys)")
print("\\x1b[36m> minimal\\x1b[0m\\n  full\\n  none")
old = termios.tcgetattr(0)
tty.setcbreak(0)
while sys.stdin.read(1) != "\\n":
    pass
termios.tcsetattr(0, termios.TCSADRAIN, old)
spin(12, "creating")
time.sleep(1)
"""
)


def spinning_agent(r: Recorder) -> None:
    r.see("^> ?$")
    r.label("idle")
    r.pause(20)
    r.type("fix it\r")
    r.label("executing")
    r.see("^done")
    r.label("idle")
    r.pause(20)
    r.type("ask me\r")
    r.see("database")
    r.label("waiting")
    r.pause(12)
    r.type("sqlite\r")
    r.label("idle")
    r.pause(20)


SPINNING = (
    _SPINNER
    + """
while True:
    text = input("> ")
    if "ask" in text:
        input("Which database should I use? ")
    else:
        spin(15, "thinking")
"""
)


def crash(r: Recorder) -> None:
    r.label("executing")
    r.see("Traceback")
    r.label("")
    r.see(r"[$#] ?$")
    r.label("idle")
    r.pause(20)


CRASH = (
    _SPINNER
    + """
spin(15, "working")
import os, traceback
try:
    1 / 0
except ZeroDivisionError:
    traceback.print_exc()
sys.stdout.flush()
os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
"""
)


def titles(r: Recorder) -> None:
    r.label("executing")
    r.see("^finished")
    r.label("idle")
    r.pause(20)


TITLES = """
import itertools, sys, time
for number, glyph in zip(range(20), itertools.cycle("⠂⠐")):
    sys.stdout.write(f"\\x1b]0;{glyph} working {number}\\x07")
    sys.stdout.flush()
    time.sleep(0.9)
sys.stdout.write("\\x1b]0;ready\\x07finished\\n")
sys.stdin.readline()
"""


def notifier(r: Recorder) -> None:
    r.label("executing")
    r.see("may I")
    r.label("waiting")
    r.pause(12)
    r.type("\r")
    r.label("executing")
    r.see("all is done")
    r.label("idle")
    r.pause(15)


NOTIFIER = (
    _SPINNER
    + """
import termios, tty
tty.setcbreak(0)
spin(12, "working")
sys.stdout.write("may I run the tests\\n\\x1b]9;Approval requested: run the tests\\x07")
sys.stdin.read(1)
spin(12, "testing")
sys.stdout.write("all is done\\n\\x1b]777;notify;agent;turn complete\\x1b\\\\")
sys.stdin.read(1)
"""
)


def marked_shell(r: Recorder) -> None:
    r.see(r"\$ ?$")
    r.label("idle")
    r.pause(8)
    r.type("sleep 12\r")
    r.label("executing")
    r.pause(12)
    r.label("idle")
    r.pause(12)


MARKED = """PS1='\\[\\e]133;A\\a\\]$ \\[\\e]133;B\\a\\]'; PS0='\\[\\e]133;C\\a\\]'"""


def stall(r: Recorder) -> None:
    """It spins for ever and does nothing: stuck, as far as its word goes executing."""
    r.label("executing")
    r.pause(60)


STALL = _SPINNER + 'spin(600, "Waiting for the model")\n'

SCENARIOS: dict[str, tuple[list[str], Scenario]] = {
    "shell": (SHELL, shell),
    "progress-bar": (SHELL, progress_bar),
    "build-log": (SHELL, build_log),
    "silent-compiler": (SHELL, silent_compiler),
    "silent-sleeper": (SHELL, silent_sleeper),
    "yes-or-no": (SHELL, yes_or_no),
    "password": (SHELL, password),
    "line-reader": (SHELL, line_reader),
    "pager": (SHELL, pager),
    "editor": (SHELL, editor),
    "menu": ([*PYTHON, MENU], menu),
    "spinning-agent": ([*PYTHON, SPINNING], spinning_agent),
    "crash": ([*PYTHON, CRASH], crash),
    "titles": ([*PYTHON, TITLES], titles),
    "notifier": ([*PYTHON, NOTIFIER], notifier),
    "marked-shell": (["bash", "--noprofile", "--rcfile", "marked.rc", "-i"], marked_shell),
    "stall": ([*PYTHON, STALL], stall),
}
