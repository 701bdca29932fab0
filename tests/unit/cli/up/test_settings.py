"""What `up` was asked for reaches the controller, and the detached process."""

from pathlib import Path

import pytest

from cli.errors import Usage
from cli.main import parser
from cli.up import detached
from cli.up.parts import Parts
from cli.up.ports import Ports
from cli.up.settings import settings


def test_the_file_with_the_messages_url_is_passed_on(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://mesh:s3cr3t@db/messages\n")
    argv = ["up", "--data-dir", str(tmp_path / "data"), "--message-store-url-file", str(file)]
    wanted = settings(parser().parse_args(argv))
    assert wanted.message_store_url_file == file
    controller = Parts(wanted, Ports(1, 2, 3)).controller().arguments()
    for arguments in (controller, detached._arguments(wanted)):
        at = arguments.index("--message-store-url-file")
        assert arguments[at + 1] == str(file)
        assert "s3cr3t" not in str(arguments)


def test_a_file_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    argv = ["up", "--data-dir", str(tmp_path), "--message-store-url-file", str(tmp_path / "no")]
    with pytest.raises(Usage, match="there is no such file"):
        settings(parser().parse_args(argv))


def test_networks_for_git_are_passed_on(tmp_path: Path) -> None:
    argv = ["up", "--data-dir", str(tmp_path), "--git-allow", "10.1.2.3/8", "--git-allow", "::1"]
    wanted = settings(parser().parse_args(argv))
    controller = Parts(wanted, Ports(1, 2, 3)).controller().arguments()
    for arguments in (controller, detached._arguments(wanted)):
        given = [arguments[at + 1] for at, each in enumerate(arguments) if each == "--git-allow"]
        assert given == ["10.0.0.0/8", "::1/128"]


def test_what_is_no_network_is_told_at_once(tmp_path: Path) -> None:
    argv = ["up", "--data-dir", str(tmp_path), "--git-allow", "intranet"]
    with pytest.raises(Usage, match="must be an address or a network"):
        settings(parser().parse_args(argv))
