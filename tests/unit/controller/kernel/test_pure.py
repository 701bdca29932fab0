"""Merge patches, redaction, alarms and the clock."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.kernel.alarm import WriteAlarm
from controller.kernel.clock import micro_stamp, seconds, stamp
from controller.kernel.difference import merge_patch
from controller.kernel.key import Key
from controller.kernel.redact import redact

VALUES = st.recursive(
    st.integers(0, 3) | st.sampled_from(["a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
    ),
    max_leaves=8,
)
MANIFESTS = st.dictionaries(st.sampled_from("xyz"), VALUES, max_size=3)


def applied(target: Any, patch: Any) -> Any:
    """Apply a merge patch. Source: RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = applied(result.get(key), value)
    return result


@given(MANIFESTS, MANIFESTS)
def test_a_patch_turns_the_old_manifest_into_the_new_one(old: Any, new: Any) -> None:
    before = copy.deepcopy(old)
    assert applied(old, merge_patch(old, new)) == new
    assert old == before


@given(MANIFESTS)
def test_equal_manifests_need_no_patch(manifest: Any) -> None:
    assert merge_patch(manifest, copy.deepcopy(manifest)) == {}


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        pytest.param("fetch https://ada:hunter2@git.example/x.git", "hunter2", id="url"),
        pytest.param("amjt_laptop-1.abcdefghijklmnop", "abcdefghijklmnop", id="join token"),
        pytest.param("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678", id="bearer"),
        pytest.param("token=abc123def", "abc123def", id="assignment"),
        pytest.param('password: "two words"', "two words", id="quoted"),
        pytest.param("sk-ant-REDACTED", "abcdefghijklmnopqrst", id="provider key"),
        pytest.param("ghp_abcdefghijklmnopqrst", "abcdefghijklmnopqrst", id="git host token"),
        pytest.param(
            "-----BEGIN EC PRIVATE KEY-----\nMIIabc\n-----END EC PRIVATE KEY-----",
            "MIIabc",
            id="private key",
        ),
        pytest.param("-----BEGIN PRIVATE KEY-----\nMIIabc", "MIIabc", id="cut private key"),
    ],
)
def test_secrets_do_not_get_out(text: Any, hidden: Any) -> None:
    assert hidden not in redact(f"it failed: {text}")


def test_what_is_no_secret_stays_and_becomes_one_clean_line() -> None:
    assert (
        redact("exit code 1:\n\tno such\x1b[31m branch\ud800")
        == "exit code 1: no such [31m branch?"
    )


def test_long_texts_are_cut() -> None:
    assert len(redact("x" * 5000)) == 1024


def test_an_alarm_comes_after_twenty_writes_in_a_minute_and_once_a_minute() -> None:
    now = [0.0]
    alarm = WriteAlarm(clock=lambda: now[0])
    key = Key("Kind", "", "a")
    heard = []
    for second in range(130):
        now[0] = float(second)
        heard.append(alarm.note(key))
    assert heard.index(True) == 20
    assert heard.count(True) == 2


def test_writes_that_are_spread_out_are_no_alarm() -> None:
    now = [0.0]
    alarm = WriteAlarm(clock=lambda: now[0])
    for minute in range(200):
        now[0] = minute * 3.5
        assert not alarm.note(Key("Kind", "", "a"))


def test_times_are_written_as_kubernetes_does_and_read_back() -> None:
    assert stamp(1_800_000_000.9) == "2027-01-15T08:00:00Z"
    assert micro_stamp(1_800_000_000.5) == "2027-01-15T08:00:00.500000Z"
    assert seconds("2027-01-15T08:00:00Z") == 1_800_000_000.0
    assert seconds("nonsense") is None
    assert seconds(None) is None
