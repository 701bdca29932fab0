"""Log files stay small and private, and their last word is found."""

import os
from pathlib import Path

from cli.up.logs import last_line, open_log, rotate


def test_a_log_is_private_and_appended_to(tmp_path: Path):
    path = tmp_path / "x.log"
    for text in (b"one\n", b"two\n"):
        handle = open_log(path)
        os.write(handle, text)
        os.close(handle)
    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_log_that_has_grown_is_moved_aside_while_its_writer_goes_on(tmp_path: Path):
    path = tmp_path / "x.log"
    handle = open_log(path)
    os.write(handle, b"old\n" * 100)
    assert rotate(path, max_bytes=100)
    os.write(handle, b"new\n")
    os.close(handle)
    assert path.read_bytes() == b"new\n"
    assert (tmp_path / "x.log.1").read_bytes() == b"old\n" * 100
    assert not rotate(path, max_bytes=100)


def test_the_last_line_that_says_something_is_found(tmp_path: Path):
    path = tmp_path / "x.log"
    path.write_text("first\n" * 10_000 + "the reason\n\n  \n", encoding="utf-8")
    assert last_line(path) == "the reason"
    assert last_line(tmp_path / "missing") == ""
