"""What .gitmodules says is checked before it becomes a path, a name or an address."""

from pathlib import Path

import pytest

from gitaccess.places import Location
from runner.git.errors import NotAllowedError
from runner.git.modules import Module, is_same_host, read_modules, refusal, resolve

HTTPS = Location("https://forge.example/acme/app.git", local=False)
SSH = Location("ssh://git@forge.example/acme/app", local=False)


def test_only_what_has_a_path_is_a_submodule() -> None:
    listing = (
        b"submodule.lib.path\nlibs/a.b\0submodule.lib.url\n../x\0core.pager\nless\0"
        b"submodule.a.b.path\nx\0submodule.a.b.update\nnone\0submodule.z.url\ny\0"
    )
    assert read_modules(listing) == (
        Module("lib", "libs/a.b", "../x"),
        Module("a.b", "x", "", never=True),
    )


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("../../hooks", "x"),
        ("a/../b", "x"),
        ("a//b", "x"),
        ("/a", "x"),
        ("", "x"),
        ("-a", "x"),
        (".git", "x"),
        ("a/.GIT ", "x"),
        ("a/git~1/x", "x"),
        ("a\\..\\b", "x"),
        ("a\nb", "x"),
        ("a" * 201, "x"),
        ("x", "../x"),
        ("x", "/x"),
        ("x", "a/.git/hooks"),
        ("x", "a/.Git./hooks"),
        ("x", "-x"),
        ("x", "a//b"),
        ("x", "a\x1b[2J"),
    ],
)
def test_names_and_paths_that_lead_elsewhere_are_refused(name: str, path: str) -> None:
    module = Module(name, path, "../x")
    assert refusal(module, (module,))


def test_plain_names_and_paths_are_taken() -> None:
    modules = (Module("libs/one", "third party/one", ""), Module("libs/one-more", "x", ""))
    assert [refusal(module, modules) for module in modules] == ["", ""]


@pytest.mark.parametrize("other", ["lib/modules/x", "LIB/x", "lib/objects"])
def test_names_within_each_other_are_refused_both(other: str) -> None:
    modules = (Module("lib", "x", ""), Module(other, "y", ""))
    assert all(refusal(module, modules) for module in modules)


@pytest.mark.parametrize(
    ("main", "url", "expected"),
    [
        (HTTPS, "../lib.git", "https://forge.example/acme/lib.git"),
        (HTTPS, "../../other/lib", "https://forge.example/other/lib"),
        (HTTPS, "./lib", "https://forge.example/acme/app.git/lib"),
        (HTTPS, "https://FORGE.example:443/x/y", "https://FORGE.example:443/x/y"),
        (SSH, "git@forge.example:acme/lib.git", "ssh://git@forge.example/acme/lib.git"),
        (SSH, "../lib", "ssh://git@forge.example/acme/lib"),
    ],
)
def test_addresses_on_the_same_host_are_taken(main: Location, url: str, expected: str) -> None:
    assert resolve(url, main, main, ()).url == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/acme/lib",
        "https://forge.example:8443/acme/lib",
        "https://forge.example:99999/acme/lib",
        "https://forge.example.evil/acme/lib",
        "https://ada:secret@forge.example/acme/lib",
        "https://ada@forge.example/acme/lib",
        "http://forge.example/acme/lib",
        "ssh://git@forge.example/acme/lib",
        "git@forge.example:acme/lib",
        "../../../lib",
        "https://forge.example/acme/../../x",
        "file:///etc",
        "/etc",
        "ext::sh -c id",
        "--upload-pack=id",
        "ssh://-oProxyCommand=id/x",
        "fd::3",
        "",
        "../x\ny",
    ],
)
def test_addresses_elsewhere_are_refused(url: str) -> None:
    with pytest.raises(NotAllowedError) as caught:
        resolve(url, HTTPS, HTTPS, ())
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("url", ["ssh://other@forge.example/x", "ssh://git@forge.example:2222/x"])
def test_another_account_or_port_is_another_host(url: str) -> None:
    with pytest.raises(NotAllowedError):
        resolve(url, SSH, SSH, ())


def test_folders_are_opened_only_below_what_is_allowed(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    (allowed / "lib").mkdir(parents=True)
    (allowed / "link").symlink_to(tmp_path)
    main = Location(str(allowed / "app"), local=True)
    assert resolve("../lib", main, main, (allowed,)).url == str(allowed / "lib")
    for url in ("../link/x", "../../x", str(tmp_path), HTTPS.url):
        with pytest.raises(NotAllowedError):
            resolve(url, main, main, (allowed,))
    with pytest.raises(NotAllowedError):
        resolve(str(allowed / "lib"), HTTPS, HTTPS, (allowed,))


def test_objects_of_git_lfs_come_from_the_same_host_by_https() -> None:
    assert is_same_host("https://forge.example/lfs", HTTPS)
    assert is_same_host("https://forge.example/lfs", SSH)
    for url in ("https://other.example/lfs", "http://forge.example/lfs", "file:///x", "ext::x"):
        assert not is_same_host(url, HTTPS)
        assert not is_same_host(url, SSH)
    assert not is_same_host("https://forge.example/lfs", Location("/srv/app", local=True))
