"""A pod's ticket is in its home byte for byte, private, whatever the agent put in its way."""

import os
from pathlib import Path

import pytest

from runner.drivers.ticket_file import PATH, TicketFileError, write

CONTENT = "# Ticket tk-1: “Mend”\r\n\r\n\ttabs, \x7f and 🦊\n\n$(HOME) $$ `id`\n no end"


def test_the_file_holds_the_ticket_byte_for_byte_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write(tmp_path, "an older one that is much longer than what follows" * 100)
        write(tmp_path, CONTENT)
    finally:
        os.umask(before)
    file = tmp_path / PATH
    assert file.read_bytes() == CONTENT.encode()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_link_that_the_agent_made_is_replaced_and_never_followed(tmp_path: Path) -> None:
    home, canary = tmp_path / "home", tmp_path / "canary"
    (home / PATH).parent.mkdir(parents=True)
    canary.write_text("alive")
    (home / PATH).symlink_to(canary)
    write(home, CONTENT)
    assert canary.read_text() == "alive"
    assert (home / PATH).read_bytes() == CONTENT.encode()
    assert not (home / PATH).is_symlink()


@pytest.mark.parametrize("what", ["a link as folder", "a file as folder", "a folder as file"])
def test_what_stands_in_its_place_is_told_and_left(tmp_path: Path, what: str) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    home.mkdir()
    outside.mkdir()
    folder = (home / PATH).parent
    match what:
        case "a link as folder":
            folder.symlink_to(outside)
        case "a file as folder":
            folder.write_text("mine")
        case _:
            (home / PATH).mkdir(parents=True)
    with pytest.raises(TicketFileError, match=r"The ticket could not be written to") as caught:
        write(home, CONTENT)
    assert caught.value.reason == "TicketFileBlocked"
    assert list(outside.iterdir()) == []
