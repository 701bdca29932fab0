"""Which names reach git."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.git import names
from runner.git.errors import InvalidBranchError, NotAllowedError

PIECES = st.sampled_from(
    [*"aZ0-./@{~^:?*[\\ \t\x7f\"'$é_", "..", "@{", ".lock", "//", "HEAD", "-x"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=8).map("".join))
def test_what_is_accepted_git_accepts_as_well(name: str) -> None:
    try:
        names.check_branch(name)
    except InvalidBranchError:
        return
    done = subprocess.run(
        ["git", "check-ref-format", "--branch", name], capture_output=True, check=False
    )
    assert done.returncode == 0, name


@pytest.mark.parametrize(
    "name", ["main", "fix/login", "v1.2", "a-b_c", "feature/ä", 'quo"te', "agentsmesh/x-1", "a@b"]
)
def test_ordinary_branches_are_accepted(name: str) -> None:
    assert names.check_branch(name) == name


def test_the_runners_own_branch_is_one() -> None:
    branch = names.default_branch("12345678-aaaa", "a" * 253)
    assert names.check_branch(branch) == branch
    assert branch.endswith("-12345678")


@pytest.mark.parametrize(
    ("url", "protocol"),
    [
        ("https://git.acme.example/shop.git", "https"),
        ("https://git.acme.example:8443/a/b", "https"),
        ("ssh://git@git.acme.example/shop.git", "ssh"),
        ("ssh://git.acme.example:22/~ada/shop", "ssh"),
    ],
)
def test_git_may_speak_one_protocol_only(url: str, protocol: str) -> None:
    assert names.locate(url, ()).protocol == protocol


@pytest.mark.parametrize("url", ["/x", "file:///x", "file://host/x", "./x", "~/x", "/x\ny"])
def test_no_folder_is_opened_where_none_is_allowed(url: str) -> None:
    with pytest.raises(NotAllowedError):
        names.locate(url, ())


def test_a_message_never_repeats_a_password() -> None:
    with pytest.raises(NotAllowedError) as caught:
        names.locate("https://ada:hunter2secret@git.acme.example/x", ())
    assert "hunter2secret" not in caught.value.message
    assert "authSecretRef" in caught.value.message
    with pytest.raises(NotAllowedError) as caught:
        names.locate("ftp://ada:hunter2secret@git.acme.example/x", (Path("/srv"),))
    assert "hunter2secret" not in caught.value.message
