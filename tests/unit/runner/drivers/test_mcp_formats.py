"""What each agent is told of its MCP server, and what of the class stays."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.drivers.agents import InvalidAgentError, Prompt, PromptPosition, argv
from runner.drivers.mcp_formats import Format, Given, configure

URL = "http://127.0.0.1:19007/mcp"
HOME = Path("/pods/1/home")
MCP_JSON = "/pods/1/home/.agentsmesh/mcp.json"


def told(
    wanted: Format, environment: Mapping[str, str] | None = None, **home_files: str
) -> tuple[tuple[str, ...], Mapping[str, str], Mapping[str, str]]:
    found = configure(wanted, Given(URL, HOME, environment or {}, home_files))
    return found.args, found.environment, found.home_files


def test_nobody_is_told_where_the_class_says_so() -> None:
    assert told(Format.NONE) == ((), {}, {})


def test_claude_reads_a_file_of_its_home_and_no_other() -> None:
    args, environment, files = told(Format.CLAUDE)
    assert args == ("--mcp-config", MCP_JSON, "--strict-mcp-config")
    assert environment == {}
    server = {
        "type": "http",
        "url": URL,
        "headers": {"Authorization": "Bearer ${AGENTSMESH_MCP_TOKEN}"},
        "alwaysLoad": True,
    }
    assert {path: json.loads(text) for path, text in files.items()} == {
        name: {"mcpServers": {"agentsmesh": server}}
        for name in (".agentsmesh/mcp.json", ".claude.json")
    }


def test_claude_finds_the_server_also_where_it_lists_its_users_servers() -> None:
    mine = {"hasCompletedOnboarding": True}
    _, _, files = told(Format.CLAUDE, **{".claude.json": json.dumps(mine)})
    found = json.loads(files[".claude.json"])
    assert found["hasCompletedOnboarding"]
    assert set(found["mcpServers"]) == {"agentsmesh"}
    _, _, files = told(Format.CLAUDE, {"CLAUDE_CONFIG_DIR": str(HOME / "c")})
    assert set(files) == {".agentsmesh/mcp.json", "c/.claude.json"}
    _, _, files = told(Format.CLAUDE, {"CLAUDE_CONFIG_DIR": "/elsewhere"})
    assert set(files) == {".agentsmesh/mcp.json"}, "nothing is written outside of the home"


def test_codex_is_told_by_an_argument() -> None:
    args, environment, files = told(Format.CODEX)
    assert args[0] == "-c"
    assert tomllib.loads(args[1]) == {
        "mcp_servers": {"agentsmesh": {"url": URL, "bearer_token_env_var": "AGENTSMESH_MCP_TOKEN"}}
    }
    assert len(args) == 2
    assert (environment, files) == ({}, {})


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_codex_reads_every_value_as_it_was(url: str) -> None:
    args = configure(Format.CODEX, Given(url, HOME)).args
    assert tomllib.loads(args[1])["mcp_servers"]["agentsmesh"]["url"] == url


def test_gemini_reads_the_settings_of_its_home() -> None:
    args, environment, files = told(Format.GEMINI)
    assert (args, environment) == ((), {"GEMINI_CLI_TRUST_WORKSPACE": "true"})
    assert told(Format.GEMINI, {"GEMINI_CLI_TRUST_WORKSPACE": "false"})[1] == {}, "its own word"
    server = {
        "httpUrl": URL,
        "headers": {"Authorization": "Bearer $AGENTSMESH_MCP_TOKEN"},
        "trust": True,
        "timeout": 600000,
    }
    assert {path: json.loads(text) for path, text in files.items()} == {
        ".gemini/settings.json": {"mcpServers": {"agentsmesh": server}}
    }


def test_opencode_is_told_by_a_variable() -> None:
    args, environment, files = told(Format.OPENCODE)
    assert (args, files) == ((), {})
    assert {name: json.loads(value) for name, value in environment.items()} == {
        "OPENCODE_CONFIG_CONTENT": {
            "mcp": {
                "agentsmesh": {
                    "type": "remote",
                    "url": URL,
                    "enabled": True,
                    "oauth": False,
                    "timeout": 600000,
                    "headers": {"Authorization": "Bearer {env:AGENTSMESH_MCP_TOKEN}"},
                }
            }
        }
    }


def test_what_the_class_gives_stays_around_it() -> None:
    mine = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "mcpServers": {"own": {"httpUrl": "http://own"}, "agentsmesh": {"httpUrl": "stolen"}},
    }
    _, _, files = told(Format.GEMINI, **{"./.gemini//settings.json": json.dumps(mine)})
    found = json.loads(files[".gemini/settings.json"])
    assert found["security"] == mine["security"]
    assert found["mcpServers"]["own"] == {"httpUrl": "http://own"}
    assert found["mcpServers"]["agentsmesh"]["httpUrl"] == URL
    mine = {"permission": "allow", "mcp": {"own": {"type": "local", "command": ["é\ud800"]}}}
    _, environment, _ = told(Format.OPENCODE, {"OPENCODE_CONFIG_CONTENT": json.dumps(mine)})
    found = json.loads(environment["OPENCODE_CONFIG_CONTENT"])
    assert found.pop("mcp").items() >= mine.pop("mcp").items()
    assert found == mine
    _, _, files = told(Format.CLAUDE, **{".agentsmesh/mcp.json": '{"mcpServers": {"own": {}}}'})
    assert set(json.loads(files[".agentsmesh/mcp.json"])["mcpServers"]) == {"own", "agentsmesh"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{'a': SECRET}", "is not JSON, so the MCP server cannot be added: Expecting property"),
        ("// comment\n{}", "is not JSON"),
        ("[" * 100_000, "is not JSON, so the MCP server cannot be added: it cannot be read."),
        ("[1]", "it has to be a JSON object"),
        ('{"mcp": 3, "mcpServers": []}', "has to be a JSON object"),
    ],
)
def test_what_cannot_be_added_to_names_the_field_and_not_its_content(text: str, says: str) -> None:
    with pytest.raises(InvalidAgentError) as caught:
        told(Format.GEMINI, **{".gemini/settings.json": text})
    assert caught.value.message.startswith("homeFiles: .gemini/settings.json")
    assert says in caught.value.message
    assert "SECRET" not in caught.value.message
    with pytest.raises(InvalidAgentError) as caught:
        told(Format.OPENCODE, {"OPENCODE_CONFIG_CONTENT": text})
    assert caught.value.message.startswith("environment: OPENCODE_CONFIG_CONTENT")


def test_gemini_is_configured_where_it_looks() -> None:
    for environment, path in (
        ({"GEMINI_CLI_HOME": "/pods/1/home/conf"}, "conf/.gemini/settings.json"),
        ({"HOME": "/pods/1/home/a/../b"}, "b/.gemini/settings.json"),
        ({"HOME": "/elsewhere", "GEMINI_CLI_HOME": "/pods/1/home"}, ".gemini/settings.json"),
    ):
        assert set(told(Format.GEMINI, environment)[2]) == {path}
    for environment in ({"HOME": "/elsewhere"}, {"GEMINI_CLI_HOME": "/pods/1/home/../2"}):
        with pytest.raises(InvalidAgentError, match=r"outside of the pod's home"):
            told(Format.GEMINI, environment)


@pytest.mark.parametrize("prompt", ["Fix it.", "--help", "-- $(HOME)"])
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        pytest.param((), ("{ours}", "{prompt}"), id="no arguments of the class"),
        pytest.param(("--model", "m"), ("--model", "m", "{ours}", "{prompt}"), id="options"),
        pytest.param(
            ("--allowedTools", "a", "b", "--"),
            ("--allowedTools", "a", "b", "{ours}", "--", "{prompt}"),
            id="the end of the options is marked",
        ),
        pytest.param(
            ("-v", "--", "say --"), ("-v", "{ours}", "--", "say --", "{prompt}"), id="more behind"
        ),
    ],
)
def test_a_prompt_stays_a_prompt(
    args: tuple[str, ...], expected: tuple[str, ...], prompt: str
) -> None:
    """Claude takes any number of values for --mcp-config: the next option ends them."""
    ours, _, _ = told(Format.CLAUDE)
    line = argv(Path("/bin/claude"), args, {}, Prompt(prompt, PromptPosition.ARGUMENT), ours)
    wanted: list[str] = []
    for word in expected:
        wanted += ours if word == "{ours}" else [prompt if word == "{prompt}" else word]
    assert line == ("/bin/claude", *wanted)
    behind = line[line.index("--mcp-config") + 2]
    assert behind == "--strict-mcp-config"


def test_claude_is_told_that_the_key_of_its_environment_is_to_be_used() -> None:
    key = "sk-ant-api03-" + "a" * 75 + "LastTwentyCharacters"
    theirs = {"customApiKeyResponses": {"approved": ["another"], "rejected": ["no"]}}
    _, _, files = told(
        Format.CLAUDE, {"ANTHROPIC_API_KEY": key}, **{".claude.json": json.dumps(theirs)}
    )
    answers = json.loads(files[".claude.json"])["customApiKeyResponses"]
    assert answers == {"approved": ["another", "LastTwentyCharacters"], "rejected": ["no"]}
    assert not any(key in text for text in files.values())
    assert "LastTwenty" not in files[".agentsmesh/mcp.json"]


def test_of_a_short_key_nothing_is_written() -> None:
    _, _, files = told(Format.CLAUDE, {"ANTHROPIC_API_KEY": "sk-" + "b" * 40})
    assert not any("bbbb" in text for text in files.values())
