"""What servers answer over https that is no repository, in words that say what to do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.gitops.mirror import Mirror
from controller.gitops.remote import MirrorError, Remote, UnreachableError
from controller.gitops.upstream import MirrorSettings
from gitaccess.credentials import Credentials
from tests.unit.controller.gitops.git_scene import LOOPBACK, PASSWORD, Team, mirror, served
from tests.unit.runner.drivers.worktree.git_server import GitServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[GitServer, Credentials]]:
    with served(tmp_path, tmp_path) as both:
        yield both


@pytest.fixture
def made(tmp_path: Path, server: tuple[GitServer, Credentials]) -> Mirror:
    found = mirror(tmp_path / "data", MirrorSettings(networks=LOOPBACK))
    found.use(Remote(f"{server[0].url}/team", "main", server[1]))
    return found


async def refusal(made: Mirror) -> MirrorError:
    try:
        assert await made.remote_tip() is None
    except MirrorError as error:
        return error
    with pytest.raises(MirrorError) as caught:
        await made.is_empty()
    return caught.value


def page(status: str, *head: str, body: str = "<html>Hello</html>", tidy: bool = True) -> bytes:
    """Return an answer; one that is not tidy says not where it ends."""
    ends = [f"Content-Length: {len(body)}"] if tidy else []
    return "\r\n".join((f"HTTP/1.{int(tidy)} {status}", *head, *ends, "", body)).encode()


@pytest.mark.parametrize("tidy", [True, False], ids=["tidy", "broken off"])
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Later", "308 Moved"])
async def test_a_redirect_names_the_new_address_without_credentials(
    made: Mirror, server: tuple[GitServer, Credentials], status: str, *, tidy: bool
) -> None:
    where = f"https://ada:{PASSWORD}@git.example:8443/team.git/info/refs?service=x&t=canary"
    server[0].page = page(status, f"Location: {where}", tidy=tidy)
    error = await refusal(made)
    assert error.reason == "RepositoryMoved"
    assert "redirects to https://git.example:8443/team.git: " in error.sentence
    assert "set that as the Repository's url" in error.sentence
    assert "canary" not in error.sentence


async def test_a_redirect_to_a_page_is_no_new_address(
    made: Mirror, server: tuple[GitServer, Credentials]
) -> None:
    server[0].page = page("302 Found", "Location: /users/sign_in?back=canary")
    error = await refusal(made)
    assert error.reason == "RepositoryMoved"
    assert f"redirects to {server[0].url}/users/sign_in, where no repos" in error.sentence
    assert "canary" not in error.sentence


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("", id="none"),
        pytest.param("https://[", id="no address"),
        pytest.param("javascript:alert(1)", id="of another kind"),
        pytest.param("https://git.example/\x1b[31mred/info/refs", id="with control characters"),
        pytest.param(f"https://git.example/{'x' * 9000}/info/refs", id="very long"),
    ],
)
async def test_a_redirect_to_nonsense_is_not_repeated(
    made: Mirror, server: tuple[GitServer, Credentials], location: str
) -> None:
    server[0].page = page("301 Moved", f"Location: {location}")
    error = await refusal(made)
    assert error.reason == "RepositoryMoved"
    assert "redirects elsewhere" in error.sentence


@pytest.mark.parametrize("tidy", [True, False], ids=["tidy", "broken off"])
@pytest.mark.parametrize("number", [429, 500, 501, 502, 503, 504, 520])
async def test_a_server_in_trouble_is_asked_again_and_its_number_is_told(
    made: Mirror, server: tuple[GitServer, Credentials], number: int, *, tidy: bool
) -> None:
    server[0].page = page(f"{number} Trouble", "Content-Type: text/html", tidy=tidy)
    error = await refusal(made)
    assert isinstance(error, UnreachableError)
    assert error.reason == "RemoteUnreachable"
    assert f"answers with HTTP {number}" in error.sentence


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param("text/html; charset=utf-8", "<html>Sign in</html>", id="a login"),
        pytest.param("text/html", "", id="nothing"),
        pytest.param("text/html", "a\tb\n", id="a table"),
        pytest.param("application/json", '{"ok": true}', id="JSON"),
        pytest.param("application/x-git-upload-pack-advertisement", "<html>", id="named so"),
    ],
)
async def test_a_page_is_no_empty_repository(
    made: Mirror, server: tuple[GitServer, Credentials], kind: str, body: str
) -> None:
    server[0].page = page("200 OK", f"Content-Type: {kind}", body=body)
    error = await refusal(made)
    assert error.reason == "NotAGitRepository"
    assert "is no git repository" in error.sentence


async def test_a_repository_that_is_empty_is_one_also_over_https(
    tmp_path: Path, server: tuple[GitServer, Credentials]
) -> None:
    team = Team(tmp_path)
    found = mirror(tmp_path / "data", MirrorSettings(networks=LOOPBACK))
    found.use(Remote(f"{server[0].url}/team.git", "main", server[1]))
    assert await found.remote_tip() is None
    assert await found.is_empty()
    tip = team.push({"a.md": "a"})
    assert not await found.is_empty()
    assert await found.remote_tip() == tip
