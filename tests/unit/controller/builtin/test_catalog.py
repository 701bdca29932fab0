"""What holds for each class that comes with the controller."""

import json
import re
import tomllib

import pytest

from controller.builtin.catalog import Builtin, builtin, builtins, digest
from controller.reconcilers.agentclass.checks import first
from schemas.agentclass import AgentClass, AgentClassSpec
from schemas.quoting import TextFormat

EACH = pytest.mark.parametrize("each", builtins(), ids=lambda each: each.name)


def spec(each: Builtin) -> AgentClassSpec:
    return AgentClass.model_validate(each.manifest).spec


def test_the_five_agents_come_with_the_controller() -> None:
    assert [each.name for each in builtins()] == [
        *("aider", "claude-code", "codex", "gemini", "opencode")
    ]
    with pytest.raises(KeyError):
        builtin("another")


@EACH
def test_a_builtin_class_is_right_and_says_nothing_that_is_not_known(each: Builtin) -> None:
    assert first(AgentClass.model_validate(each.manifest)) is None
    said = spec(each).model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert said == each.spec


@EACH
def test_what_the_api_server_adds_by_default_is_no_change(each: Builtin) -> None:
    filled = spec(each).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert filled != each.spec
    assert digest(filled) == each.digest


@EACH
def test_pods_can_say_all_that_the_agent_knows(each: Builtin) -> None:
    said = spec(each)
    modes = said.permission_modes
    assert said.model is not None
    assert modes is not None
    assert None not in (modes.plan, modes.default, modes.accept_edits, modes.bypass_permissions)
    assert said.resume is not None
    assert said.resume.args
    assert said.version_command
    assert all(option.description for option in said.options)
    assert said.readiness.regex is not None
    re.compile(said.readiness.regex)


@EACH
def test_its_files_are_what_they_say(each: Builtin) -> None:
    for file in spec(each).home_files:
        match file.format:
            case TextFormat.JSON:
                json.loads(file.content)
            case TextFormat.TOML:
                tomllib.loads(file.content)
            case TextFormat.TEXT:
                assert "$(" not in file.content


@EACH
def test_no_key_is_in_a_class(each: Builtin) -> None:
    said = spec(each)
    assert said.keys
    assert all(key.optional for key in said.keys), "people sign in, or have a gateway"
    assert not {key.env for key in said.keys} & {each.name for each in said.environment}
