"""No url, branch, address or redirect makes the controller run, read or reach what it must not."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.gitops.addresses import is_open, pinned
from controller.gitops.mirror import Mirror
from controller.gitops.remote import (
    ADDRESS_NOT_ALLOWED,
    BRANCH_INVALID,
    URL_NOT_ALLOWED,
    Declined,
    MirrorError,
    RefusedError,
    Remote,
    Unreachable,
    UnreachableError,
)
from controller.gitops.upstream import MirrorSettings
from controller.services.notification_addresses import networks
from gitaccess.access import access
from gitaccess.command import Call, Git, GitRunError
from gitaccess.credentials import Credentials
from gitaccess.places import Location, locate
from tests.unit.controller.gitops.git_scene import LOOPBACK, Team, local_mirror, mirror, served
from tests.unit.runner.drivers.worktree.git_server import GitServer

pytestmark = pytest.mark.anyio

SOME = "0" * 39 + "1"


@pytest.fixture
def team(tmp_path: Path) -> Team:
    made = Team(tmp_path)
    made.push({"a.md": "a"})
    return made


@pytest.fixture
def server(team: Team, tmp_path: Path) -> Iterator[tuple[GitServer, Credentials]]:
    with served(tmp_path, team.bare.parent) as both:
        yield both


async def refusal(made: Mirror) -> RefusedError:
    """Ask for all that goes to a server, which must be refused each time; return why."""
    for ask in (made.remote_tip, made.is_empty):
        with pytest.raises(RefusedError):
            await ask()
    pushed = await made.push(SOME, SOME)
    assert isinstance(pushed, Declined)
    with pytest.raises(RefusedError) as caught:
        await made.fetch()
    assert (pushed.reason, pushed.message) == (caught.value.reason, caught.value.sentence)
    return caught.value


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c 'touch {canary}'",
        "ext::touch% {canary}",
        "fd::17",
        "file://{folder}/team.git",
        "file:///{folder}/../team.git",
        "{folder}/team.git",
        "../team.git",
        "~/team.git",
        "--upload-pack=touch {canary}",
        "-utouch {canary}",
        "ssh://-oProxyCommand=touch%20{canary}/x",
        "ssh://git@-oProxyCommand=touch/x",
        "-oProxyCommand=touch {canary}",
        "host:path/of/scp",
        "git://127.0.0.1/x",
        "http://127.0.0.1/x",
        "https://127.0.0.1/../x",
        "https://ada:canary-hunter2@127.0.0.1/x",
        "https://canary-hunter2@127.0.0.1/x",
        "https://127.0.0.1/x\n--upload-pack=touch {canary}",
        "https://[::1]/x",
        "https:///x",
        "https://localhost./x",
        "",
        "\0",
    ],
)
async def test_a_url_that_is_not_opened_here_is_refused_and_nothing_runs(
    url: str, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    made = mirror(tmp_path / "data", MirrorSettings((tmp_path / "other",), LOOPBACK))
    made.use(Remote(url.format(canary=canary, folder=tmp_path), "main"))
    error = await refusal(made)
    assert error.reason == URL_NOT_ALLOWED
    assert "canary-hunter2" not in error.sentence
    assert error.sentence.isprintable()
    assert not canary.exists()


async def test_a_local_folder_is_opened_only_below_one_that_the_operator_allowed(
    tmp_path: Path, team: Team
) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "way-out").symlink_to(team.bare)
    made = mirror(tmp_path / "data", MirrorSettings((allowed,)))
    for url in (f"{allowed}/way-out", f"{allowed}/../team.git", str(team.bare)):
        made.use(Remote(url, "main"))
        assert (await refusal(made)).reason == URL_NOT_ALLOWED
    team.bare.rename(allowed / "team.git")
    made.use(Remote(f"file://{allowed}/team.git", "main"))
    assert await made.remote_tip()


@pytest.mark.parametrize(
    "branch",
    [
        "-x",
        "--upload-pack=touch canary",
        "--receive-pack=touch canary",
        "refs/../x",
        "../../x",
        "a..b",
        "a b",
        "a\nb",
        "a\x00b",
        "a\x7fb",
        "a:b",
        "a^b",
        "a~1",
        "a*",
        "a?",
        "a[b",
        "a\\b",
        "a@{1}",
        "@",
        "HEAD",
        "a.lock",
        "a/.b",
        "/a",
        "a/",
        "a//b",
        "a.",
        "",
        "\ud800",
        "x" * 300,
    ],
)
async def test_a_branch_that_git_would_not_take_is_refused_before_git_is_asked(
    branch: str, tmp_path: Path
) -> None:
    made = mirror(tmp_path / "data", MirrorSettings((tmp_path,)))
    made.use(Remote(str(tmp_path), branch))
    error = await refusal(made)
    assert error.reason == BRANCH_INVALID
    assert error.sentence.isprintable()
    assert not list(tmp_path.rglob("canary"))


@pytest.mark.parametrize(
    "branch", ["+main", "main;touch${IFS}canary", "$(touch${IFS}canary)", "ä/🐛", "%41"]
)
async def test_a_strange_branch_is_a_branch_like_others(
    branch: str, tmp_path: Path, team: Team
) -> None:
    team.force(f"HEAD:refs/heads/{branch}")
    made = local_mirror(tmp_path / "data", team)
    made.use(Remote(str(team.bare), branch))
    assert await made.remote_tip() == await made.fetch() == team.tip()
    assert not list(tmp_path.rglob("canary"))


async def test_a_redirect_is_not_followed(
    tmp_path: Path, team: Team, server: tuple[GitServer, Credentials]
) -> None:
    elsewhere = GitServer(team.bare.parent, tmp_path / "server.pem", "", "")
    server[0].redirect_to = elsewhere.url
    made = mirror(tmp_path / "data", MirrorSettings(networks=LOOPBACK))
    made.use(Remote(f"{server[0].url}/team.git", "main", server[1]))
    try:
        assert (await refusal(made)).reason == "RepositoryMoved"
        assert elsewhere.answers == []
    finally:
        elsewhere.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1"])
async def test_what_answers_on_this_machine_is_not_reached_unless_it_is_allowed(
    host: str, tmp_path: Path, server: tuple[GitServer, Credentials]
) -> None:
    made = mirror(tmp_path / "data", MirrorSettings())
    url = f"https://{host}:{server[0].server_port}/team.git"
    made.use(Remote(url, "main", server[1]))
    error = await refusal(made)
    assert error.reason == ADDRESS_NOT_ALLOWED
    assert "--git-allow" in error.sentence
    assert server[0].answers == []


@pytest.mark.parametrize(
    ("address", "allowed", "expected"),
    [
        ("140.82.121.4", (), True),
        ("2606:50c0:8000::153", (), True),
        ("127.0.0.1", (), False),
        ("10.1.2.3", (), False),
        ("172.16.0.1", (), False),
        ("192.168.1.1", (), False),
        ("100.64.0.1", (), False),
        ("169.254.169.254", (), False),
        ("168.63.129.16", (), False),
        ("100.100.100.200", (), False),
        ("0.0.0.0", (), False),  # noqa: S104  to be refused
        ("224.0.0.1", (), False),
        ("255.255.255.255", (), False),
        ("::1", (), False),
        ("::", (), False),
        ("::127.0.0.1", (), False),
        ("::ffff:127.0.0.1", (), False),
        ("::ffff:140.82.121.4", (), True),
        ("64:ff9b::7f00:1", (), False),
        ("64:ff9b:1::7f00:1", (), False),
        ("2002:7f00:1::", (), False),
        ("fe80::1%eth0", (), False),
        ("fd00:ec2::254", (), False),
        ("fc00::1", (), False),
        ("fec0::1", (), False),
        ("3fff::1", (), False),
        ("ff02::1", (), False),
        ("10.1.2.3", ("10.0.0.0/8",), True),
        ("::ffff:10.1.2.3", ("10.0.0.0/8",), True),
        ("192.168.1.1", ("10.0.0.0/8",), False),
        ("::1", ("::1/128",), True),
        ("no address", ("0.0.0.0/0",), False),
    ],
)
def test_git_connects_to_public_addresses_and_to_those_that_are_allowed(
    address: str, allowed: tuple[str, ...], *, expected: bool
) -> None:
    assert is_open(address, networks(allowed)) is expected


async def test_a_host_that_is_not_known_can_be_asked_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = mirror(tmp_path / "data", MirrorSettings())
    made.use(Remote("https://nowhere.invalid/x", "main"))
    with pytest.raises(UnreachableError, match=r"nowhere\.invalid is not known"):
        await made.fetch()
    assert isinstance(await made.push(SOME, SOME), Unreachable)


async def test_behind_a_proxy_it_may_know_names_that_are_not_known_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "inside.invalid")
    there = locate("https://nowhere.invalid/x", ())
    assert (await pinned(there, ())).addresses == ()
    with pytest.raises(UnreachableError):
        await pinned(locate("https://inside.invalid/x", ()), ())
    with pytest.raises(UnreachableError):
        await pinned(locate("ssh://git@nowhere.invalid/x", ()), ())
    with pytest.raises(RefusedError):
        await pinned(locate("https://127.0.0.1/x", ()), ())


async def test_git_connects_to_the_address_that_was_looked_at(
    tmp_path: Path, server: tuple[GitServer, Credentials]
) -> None:
    git = Git(tmp_path / "home")
    git.prepare()
    there = locate(f"https://nowhere.invalid:{server[0].server_port}/team.git", ())
    with access(replace(there, addresses=("127.0.0.1",)), server[1], git.directory) as way:
        call = Call(
            ("ls-remote", "--", there.url), environment=way.environment, pass_fds=way.descriptors
        )
        with pytest.raises(GitRunError) as caught:
            await git.run(call)
    assert "certificate" in caught.value.stderr  # which is for another name: it was connected to


async def test_ssh_connects_to_the_address_that_was_looked_at_and_knows_the_host_by_its_name(
    tmp_path: Path, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >{told}\nfor last; do :; done\nexec sh -c "$last"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    made = mirror(tmp_path / "data", MirrorSettings(networks=LOOPBACK))
    key = "-----BEGIN KEY-----\ncanarycanary\n-----END KEY-----"
    url = f"ssh://git@localhost:2222{team.bare}"
    made.use(Remote(url, "main", Credentials(ssh_key=key, known_hosts="localhost x")))
    assert await made.fetch() == team.tip()
    words = told.read_text().splitlines()
    assert "HostName=127.0.0.1" in words
    assert "HostKeyAlias=[localhost]:2222" in words
    assert "StrictHostKeyChecking=yes" in words
    assert words[words.index("-p") + 1] == "2222"
    assert "canarycanary" not in told.read_text()
    assert not list((tmp_path / "data").rglob("once-*"))
    with access(
        Location("ssh://git@Host.example/x", local=False, addresses=("::1",)), None, tmp_path
    ) as way:
        assert "HostName=::1 -o HostKeyAlias=host.example" in way.environment["GIT_SSH_COMMAND"]


async def test_a_server_that_says_nothing_is_left_after_a_while(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings = MirrorSettings(networks=LOOPBACK, fetch_seconds=0.5, idle_seconds=0.5)
        made = mirror(tmp_path / "data", settings)
        made.use(Remote(f"https://127.0.0.1:{deaf.getsockname()[1]}/x", "main"))
        for ask in (made.remote_tip, made.fetch):
            with pytest.raises(UnreachableError) as caught:
                await ask()
            assert caught.value.reason == "RemoteSlow"
        assert isinstance(await made.push(SOME, SOME), Unreachable)


async def test_a_certificate_that_is_not_trusted_is_refused(
    tmp_path: Path, server: tuple[GitServer, Credentials]
) -> None:
    made = mirror(tmp_path / "data", MirrorSettings(networks=LOOPBACK))
    made.use(Remote(f"{server[0].url}/team.git", "main", Credentials("ada", "canary-hunter2")))
    error = await refusal(made)
    assert error.reason == "CertificateUntrusted"
    assert server[0].answers == []


async def test_a_wrong_password_is_refused_and_not_repeated(
    tmp_path: Path, server: tuple[GitServer, Credentials]
) -> None:
    made = mirror(tmp_path / "data", MirrorSettings(networks=LOOPBACK))
    wrong = replace(server[1], password="canary-wrong")
    made.use(Remote(f"{server[0].url}/team.git", "main", wrong))
    error = await refusal(made)
    assert error.reason == "AuthenticationFailed"
    assert "canary" not in error.sentence
    assert "canary" not in repr(error) + repr(Remote("x", "y", wrong))


async def test_a_mirror_that_was_told_no_place_asks_nobody(tmp_path: Path) -> None:
    made = mirror(tmp_path / "data", MirrorSettings())
    with pytest.raises(MirrorError, match="not known yet"):
        await made.fetch()
