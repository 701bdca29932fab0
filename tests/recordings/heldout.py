"""Scenarios that nothing was tuned on: other prompts, sizes, dialogs and programs than the others'.

They were written and recorded before anything was counted of them; docs/activity.md says what was
done since.
"""

from tests.agents.classes import READY
from tests.recordings.agents import SHELL_CALLS, Plan
from tests.recordings.heldout_stubs import LOW, SMALL, WIDE
from tests.recordings.recorder import Recorder

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
    _ask(r, "PAUSE 9 REFUSE this one", r"Not\s+that, it")
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
