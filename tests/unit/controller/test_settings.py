"""Where messages are kept: what the command line and the environment say."""

from pathlib import Path

import pytest

from controller.app import store_settings
from controller.services.notification_addresses import networks
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


def test_folders_of_repositories_and_networks_of_git_are_named_one_by_one(tmp_path: Path) -> None:
    settings = parse(["--data-dir", str(tmp_path)], {})
    assert (settings.allow_local_repositories, settings.git_networks) == ((), ())
    settings = parse(
        [
            *("--data-dir", str(tmp_path)),
            *("--allow-local-repositories", str(tmp_path / "a")),
            *("--allow-local-repositories", str(tmp_path / "b")),
            *("--git-allow", "10.0.0.0/8"),
        ],
        {},
    )
    assert settings.allow_local_repositories == (tmp_path / "a", tmp_path / "b")
    assert settings.git_networks == networks(("10.0.0.0/8",))


def test_a_network_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(["--data-dir", str(tmp_path), "--git-allow", "everywhere"], {})
    assert "--git-allow" in capsys.readouterr().err
