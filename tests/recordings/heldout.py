"""Scenarios that nothing was tuned on: other prompts, sizes, dialogs and programs than the others'.

They were written and recorded before anything was counted of them; docs/activity.md says what was
done since.
"""

from tests.agents.classes import READY
from tests.recordings.agents import SHELL_CALLS, Plan
from tests.recordings.recorder import Recorder
from tests.recordings.stubs import PYTHON, SHELL, Scenario

SMALL = (80, 24)
WIDE = (160, 50)
LOW = (100, 30)
_SLEEP = "python3 -c 'import time; time.sleep(25)'"
_LONG = {
    "claude": f'TOOL Bash {{"command": "{_SLEEP}", "description": "Run the slow tests"}}',
    "codex": f'TOOL exec_command {{"cmd": "{_SLEEP}", "yield_time_ms": 30000}}',
    "gemini": f'TOOL run_shell_command {{"command": "{_SLEEP}"}}',
    "opencode": f'TOOL bash {{"command": "{_SLEEP}", "description": "Run the slow tests"}}',
}


def _begin(r: Recorder, agent: str, seconds: float = 6) -> None:
    r.see(READY[agent], 180)
    r.pause(5)
    r.label("idle")
    r.pause(seconds)


def _ask(r: Recorder, text: str, until: str) -> None:
    r.paste(text)
    r.label("executing")
    r.see(until, 180)


def long_tool(r: Recorder, agent: str) -> None:
    """A command of it says nothing for 25 seconds."""
    _begin(r, agent)
    _ask(r, f"Please run the tests. {_LONG[agent]}", "ANSWER")
    r.label("idle")
    r.pause(14)


def refused(r: Recorder, agent: str) -> None:
    """The provider answers with an error that no second try mends; then all is well again."""
    _begin(r, agent)
    _ask(r, "PAUSE 9 REFUSE this one", "Not that, it says")
    r.label("idle")
    r.pause(14)
    _ask(r, "PAUSE 9 RELENT and do this", "SAID")
    r.label("idle")
    r.pause(12)


def stalled(r: Recorder, agent: str) -> None:
    """The provider takes the request, and that is all."""
    _begin(r, agent)
    _ask(r, "PAUSE 400 and think about it", "")
    r.pause(45)


def denied(r: Recorder, agent: str) -> None:
    """It asks before another command, and is told no."""
    call = SHELL_CALLS[agent].replace("touch made-here", "mkdir -p build/out")
    _begin(r, agent)
    _ask(r, f"Make the folder of the build, PAUSE 8 {call}", r"\bNo\b|Reject")
    r.label("waiting")
    r.pause(17)
    r.type("\x1b")
    r.label("")
    r.pause(3)
    r.label("idle")
    r.pause(14)


def edit(r: Recorder, agent: str) -> None:
    """It asks before it writes a file, and may."""
    path = f"{r.cwd}/notes.md"
    calls = {
        "claude": f'TOOL Write {{"file_path": "{path}", "content": "first\\nsecond\\n"}}',
        "codex": 'TOOL exec_command {"cmd": "apply_patch <<\'EOF\'\\n*** Begin Patch\\n'
        '*** Add File: notes.md\\n+first\\n*** End Patch\\nEOF"}',
        "gemini": f'TOOL write_file {{"file_path": "{path}", "content": "first\\nsecond\\n"}}',
        "opencode": f'TOOL write {{"filePath": "{path}", "content": "first\\nsecond\\n"}}',
    }
    _begin(r, agent)
    _ask(r, f"PAUSE 7 and write it down: {calls[agent]}", r"\bNo\b|Reject")
    r.label("waiting")
    r.pause(17)
    r.type("\r")
    r.label("executing")
    r.see("ANSWER", 60)
    r.label("idle")
    r.pause(14)


def plan(r: Recorder, agent: str) -> None:
    """It has made a plan, and asks whether to go on."""
    _begin(r, agent)
    _ask(r, 'PAUSE 8 TOOL ExitPlanMode {"plan": "1. Read main.py. 2. Mend it."}', r"\d\. (Yes|No)")
    r.label("waiting")
    r.pause(20)


_CHOICES = (
    '{"questions": [{"question": "Which pets are wanted?", "header": "Pets", "multiSelect": true, '
    '"options": [{"label": "Cats", "description": "Many"}, {"label": "Dogs", "description": "One"},'
    ' {"label": "Fish", "description": "None"}]}, {"question": "And in which town?", "header": '
    '"Town", "multiSelect": false, "options": [{"label": "Bern", "description": "Small"}, '
    '{"label": "Rome", "description": "Large"}]}]}'
)


def choices(r: Recorder, agent: str) -> None:
    """It asks two questions, the first with several answers, and gets none."""
    tool = {"claude": "AskUserQuestion", "opencode": "question"}[agent]
    _begin(r, agent)
    _ask(r, f"PAUSE 7 TOOL {tool} {_CHOICES}", r"\d\.? .*Cats *$")
    r.label("waiting")
    r.pause(17)
    r.type("\x1b")
    r.label("")
    r.pause(3)
    r.label("idle")
    r.pause(14)


def yes_or_no(r: Recorder, agent: str) -> None:
    """It asks for a yes or a no, by its tool for questions."""
    asked = '{"questions": [{"question": "Go on?", "header": "On", "type": "yesno"}]}'
    _begin(r, agent)
    _ask(r, f"PAUSE 7 TOOL ask_user {asked}", r"^\W+(1\. *)?Yes\b")
    r.label("waiting")
    r.pause(17)
    r.type("\r")
    r.label("executing")
    r.see("ANSWER", 60)
    r.label("idle")
    r.pause(14)


def new_file(r: Recorder, agent: str) -> None:
    """Aider: it is told to add a file that is not there, and asks whether to make it; told no."""
    _begin(r, agent, 14)
    _ask(r, "PAUSE 10 what about main.py", "SAID")
    r.pause(1)
    r.label("idle")
    r.pause(14)
    _ask(r, "/add docs/nope.md", r"\(Y\)es/\(N\)o")
    r.label("waiting")
    r.pause(17)
    r.type("n\r")
    r.label("")
    r.pause(3)
    r.label("idle")
    r.pause(16)


AGENTS: dict[str, Plan] = {
    "claude-plan": Plan("claude", plan, "plan", SMALL),
    "claude-edit": Plan("claude", edit, size=SMALL),
    "claude-denied": Plan("claude", denied, size=LOW),
    "claude-choices": Plan("claude", choices, size=SMALL),
    "claude-long-tool": Plan("claude", long_tool, "bypassPermissions", SMALL),
    "claude-refused": Plan("claude", refused, "acceptEdits", WIDE),
    "claude-stalled": Plan("claude", stalled, "plan", LOW),
    "codex-edit": Plan("codex", edit, "plan", SMALL),
    "codex-denied": Plan("codex", denied, size=SMALL),
    "codex-long-tool": Plan("codex", long_tool, "bypassPermissions", LOW),
    "codex-refused": Plan("codex", refused, size=SMALL),
    "codex-stalled": Plan("codex", stalled, "acceptEdits", WIDE),
    "gemini-edit": Plan("gemini", edit, size=SMALL),
    "gemini-denied": Plan("gemini", denied, size=LOW),
    "gemini-yes-or-no": Plan("gemini", yes_or_no, size=SMALL),
    "gemini-long-tool": Plan("gemini", long_tool, "bypassPermissions", SMALL),
    "gemini-refused": Plan("gemini", refused, size=WIDE),
    "gemini-stalled": Plan("gemini", stalled, "plan", SMALL),
    "opencode-edit": Plan("opencode", edit, size=SMALL),
    "opencode-denied": Plan("opencode", denied, size=LOW),
    "opencode-choices": Plan("opencode", choices, size=SMALL),
    "opencode-long-tool": Plan("opencode", long_tool, "bypassPermissions", SMALL),
    "opencode-refused": Plan("opencode", refused, size=WIDE),
    "opencode-stalled": Plan("opencode", stalled, "plan", SMALL),
    "aider-new-file": Plan("aider", new_file, size=SMALL),
    "aider-refused": Plan("aider", refused, size=LOW),
}


# --- programs without a class ------------------------------------------------------------------


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
