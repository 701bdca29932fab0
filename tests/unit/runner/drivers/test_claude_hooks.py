import json
from typing import Any

import pytest

from runner.drivers.agents import expand
from runner.drivers.claude_hooks import with_hooks

URL = "http://127.0.0.1:19000/mcp"


def settings(words: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(words[words.index("--settings") + 1])
    return found


def test_hooks_go_to_the_pods_own_port_with_its_token_from_the_environment() -> None:
    (group,) = settings(with_hooks((), URL))["hooks"]["Stop"]
    (hook,) = group["hooks"]
    assert hook["type"] == "http"
    assert hook["url"] == "http://127.0.0.1:19000/hooks"
    assert hook["headers"] == {"Authorization": "Bearer $AGENTSMESH_MCP_TOKEN"}
    assert hook["allowedEnvVars"] == ["AGENTSMESH_MCP_TOKEN"]


def test_settings_and_hooks_that_are_there_stay() -> None:
    theirs = {"hooks": [{"type": "command", "command": "true"}]}
    given = json.dumps({"model": "x", "hooks": {"Stop": [theirs], "SessionEnd": [theirs]}})
    found = settings(with_hooks(("--a", "--settings", given, "--b"), URL))
    assert found["model"] == "x"
    assert found["hooks"]["SessionEnd"] == [theirs]
    assert found["hooks"]["Stop"][0] == theirs
    assert len(found["hooks"]["Stop"]) == 2


def test_the_other_way_to_write_the_flag_is_known() -> None:
    (word,) = with_hooks(('--settings={"a":1}',), URL)
    assert json.loads(word.partition("=")[2])["a"] == 1


def test_ours_stand_before_what_is_no_option_any_more() -> None:
    words = with_hooks(("--verbose", "--", "--settings", "{}"), URL)
    assert words[0] == "--verbose"
    assert words[1] == "--settings"
    assert words[3:] == ("--", "--settings", "{}")


@pytest.mark.parametrize(
    "text", ["/home/settings.json", "[1]", '{"hooks": 1}', '{"hooks": {"Stop": 1}}']
)
def test_settings_that_cannot_be_added_to_stay_as_they_are(text: str) -> None:
    assert with_hooks(("--settings", text), URL) == ("--settings", text)


def test_no_expansion_touches_them() -> None:
    for word in with_hooks((), URL):
        assert expand(word, {"AGENTSMESH_MCP_TOKEN": "x"}) == word
