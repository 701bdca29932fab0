from pathlib import Path

import pytest

from runner.shim.shim import note_trouble


def fail() -> None:
    try:
        raise ValueError("what went wrong")
    except ValueError:
        note_trouble()


def test_trouble_is_noted_where_the_run_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fail()
    fail()
    assert (tmp_path / "shim.log").read_text().count("ValueError: what went wrong") == 2


def test_noted_trouble_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shim.log").write_bytes(b"x" * 64 * 1024)
    fail()
    assert (tmp_path / "shim.log").stat().st_size == 64 * 1024


def test_trouble_that_cannot_be_noted_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/proc")
    fail()
