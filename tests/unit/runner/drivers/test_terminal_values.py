from dataclasses import asdict

from runner.drivers.terminal_values import State

SAID = {
    "pid": 1,
    "child_pid": 2,
    "head": 3,
    "lost_bytes": 0,
    "cols": 120,
    "rows": 40,
    "stopping": False,
}


def test_a_state_is_read_from_older_and_newer_shims() -> None:
    old = State.told(SAID)
    assert (old.line_mode, old.unread, old.last_key) == (False, None, "")
    new = {**SAID, "line_mode": True, "unread": 5, "last_key": "one", "echo": False}
    new |= {"frozen": True, "of tomorrow": [1]}
    assert asdict(State.told(new)) == {k: v for k, v in new.items() if k != "of tomorrow"}
