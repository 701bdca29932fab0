"""An agent's executable, environment, arguments and home, from its class as data."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.drivers.agents import (
    ExecutableNotFoundError,
    InvalidAgentError,
    Prompt,
    PromptPosition,
    Surroundings,
    argv,
    environment,
    expand,
    has_file,
    resolve,
    write_home,
)
from schemas.quoting import TextFormat

ABOUT = Surroundings(
    "fix-login", "acme", Path("/pods/1/home"), Path("/pods/1/tmp"), Path("/w"), (Path("/usr/bin"),)
)


def test_a_name_is_found_in_the_search_path_in_order(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a/agent").write_text("not executable")
    (tmp_path / "b/agent").write_text("#!/bin/sh\n")
    (tmp_path / "b/agent").chmod(0o755)
    assert resolve("agent", (tmp_path / "a", tmp_path / "b")) == tmp_path / "b/agent"
    assert resolve(str(tmp_path / "b/agent"), ()) == tmp_path / "b/agent"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere-agent", "'nowhere-agent' was not found on this runner (searched {a}, {b})"),
        ("/nowhere/agent", "'/nowhere/agent' does not exist on this runner"),
        ("plain", "/a/plain' is there but may not be executed"),
        ("./agent", "neither a name nor an absolute path"),
        ("", "names no executable"),
        ("a\0b", "names no executable"),
    ],
)
def test_a_missing_executable_says_what_was_searched_and_where(
    tmp_path: Path, name: str, says: str
) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir()
    (a / "plain").write_text("")
    with pytest.raises(ExecutableNotFoundError) as caught:
        resolve(name, (a, b))
    assert says.format(a=a, b=b) in caught.value.message
    assert caught.value.reason == "ExecutableNotFound"


def test_the_environment_holds_nothing_of_the_runners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_SECRET", "canary")
    found = environment(ABOUT)
    assert set(found) == {
        *("TERM", "COLORTERM", "LANG", "PATH", "HOME", "TMPDIR", "USER", "LOGNAME", "SHELL"),
        *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"),
        *("GIT_TERMINAL_PROMPT", "AGENTSMESH_POD", "AGENTSMESH_ORGANIZATION"),
        *("AGENTSMESH_HOME", "AGENTSMESH_WORKTREE"),
    }
    assert found["GIT_AUTHOR_NAME"] == "fix-login"
    assert found["GIT_AUTHOR_EMAIL"] == "fix-login@acme.agentsmesh"
    assert found["HOME"] == "/pods/1/home"


def test_class_pod_and_runner_add_in_this_order() -> None:
    found = environment(
        ABOUT,
        [("MODEL", "class"), ("A", "class"), ("TERM", "dumb")],
        [("MODEL", "pod")],
        ours={"AGENTSMESH_MCP_URL": "http://127.0.0.1:1/mcp", "A": "runner"},
    )
    assert (found["MODEL"], found["A"], found["TERM"]) == ("pod", "runner", "dumb")
    assert found["AGENTSMESH_MCP_URL"] == "http://127.0.0.1:1/mcp"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LD_PRELOAD", "/x.so"),
        ("AGENTSMESH_POD", "other"),
        ("BASH_ENV", "/x"),
        ("GLIBC_TUNABLES", "x"),
        ("A=B", "x"),
        ("A\nB", "x"),
        ("A\0B", "x"),
        ("", "x"),
        ("1A", "x"),
        ("É", "x"),
        ("A", "x\0y"),
    ],
)
def test_reserved_and_impossible_variables_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidAgentError, match="environment"):
        environment(ABOUT, [(name, value)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(MODEL)", "claude"),
        ("--m=$(MODEL)!", "--m=claude!"),
        ("$$(MODEL)", "$(MODEL)"),
        ("$$$(MODEL)", "$claude"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$MODEL ${MODEL} `id` $(id -u)", "$MODEL ${MODEL} `id` $(id -u)"),
        ("$(TWICE)", "$(MODEL)"),
        ("$", "$"),
        ("$$", "$"),
        ("$(", "$("),
        ("", ""),
    ],
)
def test_only_names_are_expanded_and_only_once(text: str, expected: str) -> None:
    assert expand(text, {"MODEL": "claude", "TWICE": "$(MODEL)"}) == expected


@given(st.text())
def test_doubled_dollars_bring_any_text_through(text: str) -> None:
    assert expand(text.replace("$", "$$"), {"A": "x"}) == text


@pytest.mark.parametrize(
    ("prompt", "tail"),
    [
        (Prompt("do it"), ("do it",)),
        (Prompt("--help"), ("--help",)),
        (Prompt("do it", PromptPosition.FLAG, "-p"), ("-p", "do it")),
        (Prompt("do it", PromptPosition.TYPED), ()),
        (Prompt("do it", PromptPosition.NONE), ()),
        (Prompt(""), ()),
        (Prompt("", PromptPosition.FLAG, "-p"), ()),
        (Prompt("$(MODEL) $$"), ("$(MODEL) $$",)),
    ],
)
def test_the_prompt_goes_where_the_class_says(prompt: Prompt, tail: tuple[str, ...]) -> None:
    line = argv(Path("/bin/agent"), ["-m", "$(MODEL)"], {"MODEL": "claude"}, prompt)
    assert line == ("/bin/agent", "-m", "claude", *tail)


def test_a_prompt_of_32_kib_arrives_byte_for_byte() -> None:
    text = ("\"double\" 'single' $(touch x) `id` \\ \r\n\t é 😀 ${HOME} %s; rm -rf *\n" * 999)[
        :32768
    ]
    code = "import sys; sys.stdout.buffer.write(sys.argv[1].encode())"
    line = argv(Path(sys.executable), ["-c", code], {}, Prompt(text))
    assert subprocess.run(line, capture_output=True, check=True).stdout == text.encode()


def test_the_longest_argument_passes_and_a_longer_one_is_refused() -> None:
    longest = "x" * (128 * 1024 - 1)
    line = argv(Path("/bin/true"), [], {}, Prompt(longest))
    subprocess.run(line, check=True)
    with pytest.raises(InvalidAgentError, match="prompt: 131072 bytes"):
        argv(Path("/bin/true"), [], {}, Prompt(longest + "x"))
    with pytest.raises(InvalidAgentError, match="args"):
        argv(Path("/bin/true"), ["é" * 70_000], {}, Prompt())


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_what_no_process_takes_is_refused(text: str) -> None:
    with pytest.raises(InvalidAgentError, match="prompt"):
        argv(Path("/bin/true"), [], {}, Prompt(text))
    with pytest.raises(InvalidAgentError, match="args"):
        argv(Path("/bin/true"), [text], {}, Prompt())


def test_a_flag_that_is_missing_is_said() -> None:
    with pytest.raises(InvalidAgentError, match="flag"):
        argv(Path("/bin/true"), [], {}, Prompt("x", PromptPosition.FLAG))


def test_home_files_are_private_and_replaced(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_home(tmp_path, [(".config/tool/settings.json", "{}"), ("a", "1")])
    finally:
        os.umask(before)
    write_home(tmp_path, [("a", "2")])
    assert (tmp_path / "a").read_text() == "2"
    assert (tmp_path / ".config/tool/settings.json").read_text() == "{}"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".config").stat().st_mode & 0o777 == 0o700
    assert {path.name for path in tmp_path.iterdir()} == {".config", "a"}


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "", "a/", ".", "a\0b", "x/" * 3])
def test_home_files_stay_in_the_home(tmp_path: Path, path: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with pytest.raises(InvalidAgentError, match="homeFiles"):
        write_home(home, [(path, "x")])
    assert [entry.name for entry in tmp_path.iterdir()] == ["home"]


def test_home_files_follow_no_link(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    home.mkdir()
    outside.mkdir()
    (outside / "file").write_text("theirs")
    (home / "folder").symlink_to(outside)
    (home / "file").symlink_to(outside / "file")
    with pytest.raises(InvalidAgentError, match="folder/file"):
        write_home(home, [("folder/file", "x")])
    write_home(home, [("file", "ours")])
    assert (outside / "file").read_text() == "theirs"
    assert not (home / "file").is_symlink()
    (home / "taken").mkdir()
    with pytest.raises(InvalidAgentError, match="taken"):
        write_home(home, [("taken", "x")])
    assert {path.name for path in home.iterdir()} == {"folder", "file", "taken"}


def test_a_session_is_seen_where_its_file_is(tmp_path: Path) -> None:
    pattern = ".claude/projects/*/*.jsonl"
    assert not has_file(tmp_path, pattern)
    folder = tmp_path / ".claude" / "projects" / "-some-where"
    folder.mkdir(parents=True)
    assert not has_file(tmp_path, pattern)
    (folder / "1.jsonl").mkdir()
    (folder / "2.jsonl").symlink_to("/etc/hostname")
    assert not has_file(tmp_path, pattern), "neither folders nor links are sessions"
    (folder / "3.jsonl").touch()
    assert has_file(tmp_path, pattern)
    assert has_file(tmp_path, ".claude/projects/*/3.json?")


def test_sessions_are_not_looked_for_behind_links(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "s.db").touch()
    home = tmp_path / "home"
    home.mkdir()
    (home / "data").symlink_to(tmp_path / "elsewhere")
    assert not has_file(home, "data/s.db")


@pytest.mark.parametrize("value", ['say "hi"', "C:\\new", "two\nlines", "é\x7f"])
def test_what_is_put_into_json_or_toml_stays_within_its_quotes(value: str) -> None:
    text = '{"at": "$(WORKTREE)/x"}'
    names = {"WORKTREE": value}
    assert json.loads(expand(text, names, TextFormat.JSON)) == {"at": f"{value}/x"}
    table = expand('[projects."$(WORKTREE)"]\ntrust = "yes"', names, TextFormat.TOML)
    assert tomllib.loads(table) == {"projects": {value: {"trust": "yes"}}}
