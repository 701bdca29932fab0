"""How much of the machine an agent's installation opens: its prefix, never a home."""

from pathlib import Path

import pytest

from runner.drivers.sandbox.paths import SETTINGS, SYSTEM, installation


def program(path: Path, text: str = "\x7fELF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "home" / "ada"
    path.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(path))
    return path


def test_a_program_of_the_system_opens_nothing() -> None:
    assert installation(Path("/usr/bin/env"), ()) == ()


def test_a_version_manager_opens_one_version(home: Path) -> None:
    node = program(home / ".nvm/versions/node/v20/bin/node")
    assert installation(node, ()) == (home / ".nvm/versions/node/v20",)


def test_a_link_opens_where_it_leads_and_nothing_of_the_home(home: Path) -> None:
    real = program(home / ".local/share/pipx/venvs/aider/bin/aider")
    link = home / ".local/bin/aider"
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    assert set(installation(link, ())) == {link, home / ".local/share/pipx/venvs/aider"}


@pytest.mark.parametrize("place", ["bin/agent", ".local/bin/agent", ".cargo/bin/agent", "agent"])
def test_a_home_is_never_opened_as_a_whole(home: Path, place: str) -> None:
    agent = program(home / place)
    (home / ".local/lib").mkdir(parents=True)
    opened = installation(agent, ())
    assert agent in opened
    assert not any(home.is_relative_to(path) for path in opened)
    assert not any(
        (home / secret).is_relative_to(path)
        for path in opened
        for secret in (".ssh/id", ".local/share/keyrings/login", ".cargo/credentials.toml")
    )


def test_the_interpreter_of_a_script_is_opened_too(tmp_path: Path) -> None:
    node = program(tmp_path / "node/bin/node")
    agent = program(tmp_path / "agent/bin/agent", "#!/usr/bin/env -S node --flag\n")
    assert set(installation(agent, (node.parent,))) == {tmp_path / "node", tmp_path / "agent"}


def test_the_python_below_a_virtual_environment_is_opened(tmp_path: Path) -> None:
    base = program(tmp_path / "py/bin/python")
    venv = tmp_path / "venv"
    program(venv / "bin/python")  # a copy, not a link
    (venv / "pyvenv.cfg").write_text(f"home = {base.parent}\nversion = 3.11\n")
    agent = program(venv / "bin/agent", f"#!{venv}/bin/python\n")
    assert set(installation(agent, ())) == {venv, tmp_path / "py"}


def test_links_and_interpreters_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    a, b = tmp_path / "x/bin/a", tmp_path / "y/bin/b"
    program(a, f"#!{b}\n")
    program(b, f"#!{a}\n")
    assert set(installation(a, ())) == {tmp_path / "x", tmp_path / "y"}


def test_the_allow_list_names_no_secrets() -> None:
    for name in (*SYSTEM, *SETTINGS):
        for secret in (
            "/etc/shadow",
            "/etc/ssl/private/key.pem",
            "/etc/ssh/ssh_host_rsa_key",
            "/etc/gshadow",
            "/etc/sudoers",
            "/root/.ssh",
            "/home/x",
            "/run/secrets",
            "/var/lib/x",
            "/etc/kubernetes/admin.conf",
        ):
            assert not Path(secret).is_relative_to(name)
