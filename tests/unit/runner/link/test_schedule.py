import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.clock import wall_seconds
from runner.link.backoff import Backoff
from runner.link.enrol import read_token
from runner.link.errors import Refused
from runner.link.identity import About, Identity
from runner.link.pin import endpoint_of, is_pin
from runner.link.schedule import Due, renewal, retry_seconds

IDENTITY = Identity(b"", b"", b"", About("acme", "one", "u", "s", 1), 0.0, 0.0)


@given(st.floats(10, 1e6), st.floats(0, 1e5))
def test_a_fresh_certificate_is_renewed_between_half_and_two_thirds_of_what_is_left(
    lifetime: float, backdate: float
) -> None:
    now = wall_seconds()
    identity = replace(IDENTITY, not_before=now - backdate, not_after=now + lifetime)
    due = renewal(identity, fresh=True, now=now)
    assert lifetime / 2 - 1 <= due.wall - now <= lifetime * 2 / 3 + 1


def test_renewals_are_spread() -> None:
    now = wall_seconds()
    identity = replace(IDENTITY, not_before=now, not_after=now + 86400)
    moments = {round(renewal(identity, fresh=False, now=now).wall) for _ in range(50)}
    assert len(moments) > 30


@pytest.mark.parametrize("jump", [-1e6, 0.0, 1e6])
def test_a_jump_of_the_wall_clock_never_delays_a_renewal(jump: float) -> None:
    due = Due(wall=1000.0, monotonic=50.0)
    assert due.remaining(wall=1000.0 - 10 + jump, monotonic=50.0) <= 0


@given(st.floats(1, 1e6))
def test_a_failed_renewal_is_tried_again_before_the_end(remaining: float) -> None:
    assert 0.5 <= retry_seconds(remaining) <= max(0.5, min(600.0, remaining / 5))


def test_waits_grow_to_a_cap_and_begin_again() -> None:
    backoff = Backoff()
    assert max(Backoff().next_seconds() for _ in range(50)) <= 1.0
    for _ in range(20):
        assert backoff.next_seconds() <= 30.0
    backoff.reset()
    assert backoff.next_seconds() <= 1.0
    assert backoff.next_seconds(at_least_seconds=5.0) >= 5.0


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("127.0.0.1:7443", ("127.0.0.1", 7443)), ("[::1]:7443", ("::1", 7443))],
)
def test_endpoints_are_read(endpoint: str, expected: tuple[str, int]) -> None:
    assert endpoint_of(endpoint) == expected


@pytest.mark.parametrize("endpoint", ["", "host", "host:", ":7443", "host:x", "host:70000"])
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        endpoint_of(endpoint)


def test_a_pin_is_a_hash() -> None:
    assert is_pin("sha256:" + "0" * 64)
    assert not is_pin("sha256:" + "0" * 63)
    assert not is_pin("sha256:" + "0" * 64 + "\n")


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    assert read_token(path) is None
    path.write_text("amjt_laptop." + "x" * 43 + "\n")
    path.chmod(0o644)
    with pytest.raises(Refused, match="chmod 600"):
        read_token(path)
    path.chmod(0o600)
    assert read_token(path) == "amjt_laptop." + "x" * 43


def test_a_file_that_holds_no_token_is_named_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text("hunter2")
    with pytest.raises(Refused) as refused:
        read_token(path)
    assert "hunter2" not in str(refused.value)
    assert str(path) in str(refused.value)


def test_the_monotonic_clock_is_the_other_half_of_a_moment() -> None:
    now = time.monotonic()
    assert Due(wall=1e12, monotonic=now - 1).remaining(wall=0.0, monotonic=now) < 0
