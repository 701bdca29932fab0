"""Where messages are kept: what the command line and the environment say."""

from pathlib import Path

import pytest

from controller.app import store_settings
from controller.settings import MESSAGE_STORE_URL, parse
from controller.store.open import StoreSettings

URL = "postgresql://mesh:s3cr3t@db.example/messages"


def test_without_a_word_messages_are_in_the_data_directory(tmp_path: Path) -> None:
    settings = parse(["--data-dir", str(tmp_path)], {})
    assert store_settings(settings) == StoreSettings(path=tmp_path / "messages.db")


def test_the_url_of_a_database_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    arguments = ["--data-dir", str(tmp_path), "--message-store-url-file", str(file)]
    assert store_settings(parse(arguments, {})) == StoreSettings(url_file=file)


def test_the_url_of_a_database_comes_from_the_environment_and_is_never_shown(
    tmp_path: Path,
) -> None:
    settings = parse(["--data-dir", str(tmp_path)], {MESSAGE_STORE_URL: URL})
    assert store_settings(settings) == StoreSettings(url=URL)
    assert "s3cr3t" not in f"{settings!r} {store_settings(settings)!r}"


def test_both_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data-dir", str(tmp_path), "--message-store-url-file", "url"]
    with pytest.raises(SystemExit):
        parse(arguments, {MESSAGE_STORE_URL: URL})
    said = capsys.readouterr().err
    assert "give one of them" in said
    assert "s3cr3t" not in said


def test_no_argument_takes_a_url(tmp_path: Path) -> None:
    for flag in ("--message-store-url", "--message-store"):
        settings = ["--data-dir", str(tmp_path), flag, "url"]
        with pytest.raises(SystemExit):
            parse(settings, {})
