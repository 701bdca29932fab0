"""What all tools share: strict arguments, compact results, and their JSON schemas.

A field's docstring becomes its description in the schema that the agent's model reads, so each is
short: tokens are money.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.names import Scope

Key = Annotated[str, Field(min_length=1, max_length=253)]
"""Name of a resource: an id of the tools."""

Time = Annotated[str, Field(max_length=40)]
"""RFC 3339, in UTC."""

_MAX_TOLD: Final = 4
"""So many wrong arguments are named in one sentence."""

_UNION_PARTS: Final = frozenset({"bool", "int", "float", "constrained-str", "str"})
"""What pydantic adds to where an error is, for each type that a setting may have."""
_KINDS_OF_SETTING: Final = "it must be a text of at most 4096 characters, a number, true or false"

_EXACT: Final = 2**53
"""Larger whole numbers are not all there as floats."""


class Arguments(BaseModel):
    """Arguments of a tool: unknown ones are refused, nothing is converted, null means absent."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


class Result(BaseModel):
    """Result of a tool; what is not known is left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def structured(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return self.model_dump(mode="json", exclude_none=True)


class Category(StrEnum):
    """What a tool is about."""

    DISCOVERY = "Discovery"
    TERMINAL = "Terminal"
    BINDING = "Binding"
    CHANNEL = "Channel"
    TICKET = "Ticket"
    POD = "Pod"


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool, as agents see it."""

    name: str
    category: Category
    description: str
    """What it does and when to use it, in a sentence or two."""
    arguments: type[Arguments]
    result: type[Result]
    scope: Scope | None = None
    """What the caller must hold on the pod that `pod_key` names; None: nothing."""
    read_only: bool = False
    """Whether it changes nothing (MCP ``readOnlyHint``)."""


class InvalidArgumentsError(ValueError):
    """Arguments are unknown, missing or out of range: one sentence that names them, no values."""


def parsed(model: type[Arguments], values: dict[str, Any]) -> Arguments:
    """Return *values* as *model*.

    Raises:
        InvalidArgumentsError: They do not fit.
    """
    try:
        given = {name: _exact(value) for name, value in values.items() if value is not None}
        return model.model_validate(given)
    except ValidationError as exc:
        raise InvalidArgumentsError(_sentence(model, exc)) from None


def _sentence(model: type[Arguments], error: ValidationError) -> str:
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    found: dict[str, str] = {}
    for each in errors:
        where = tuple(part for part in each["loc"] if part not in _UNION_PARTS)
        name = _name(where)
        is_union = len(where) < len(each["loc"])
        found.setdefault(
            name, _KINDS_OF_SETTING if is_union else _said(model, each["type"], each["msg"])
        )
    # What is wrong with an item is not also said of its list.
    inner = [name for name in found if not any(each.startswith(f"{name}[") for each in found)]
    told = [f"{name}: {found[name]}" for name in inner[:_MAX_TOLD]]
    if len(inner) > _MAX_TOLD:
        told.append(f"and {len(inner) - _MAX_TOLD} more")
    return "; ".join(told)


def _name(where: tuple[int | str, ...]) -> str:
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    return name.removeprefix(".")[:120] or "arguments"


def _said(model: type[Arguments], kind: str, text: str) -> str:
    match kind:
        case "extra_forbidden":
            known = ", ".join(model.model_fields) or "none"
            return f"there is no such argument; there are: {known}"
        case "missing":
            return "it is required"
        case "tuple_type":
            return "it must be a list"
        case "dict_type":
            return "it must be an object"
        case _:
            return f"{text[:1].lower()}{text[1:]}".replace("tuple should", "list should").replace(
                " after validation", ""
            )


def _exact(value: Any) -> Any:
    """Return the value with whole numbers as such. Source: JSON Schema, integer: 2.0 is one."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if isinstance(value, list):
        return [_exact(each) for each in value]
    if isinstance(value, dict):
        return {key: _exact(each) for key, each in value.items()}
    return value


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of *model*: no references, no titles, no null beside a type."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})
    found = _plain(schema, definitions)
    assert isinstance(found, dict)  # noqa: S101 - a model is an object
    found.setdefault("properties", {})
    found.pop("description", None)
    return found


def _plain(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_plain(each, definitions) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        beside = {key: value for key, value in node.items() if key != "$ref"}
        referred = {k: v for k, v in definitions[name].items() if k != "description"}
        return _plain({**referred, **beside}, definitions)
    if "anyOf" in node:
        choices = [each for each in node["anyOf"] if each.get("type") != "null"]
        if len(choices) == 1:
            beside = {key: value for key, value in node.items() if key != "anyOf"}
            return _plain({**choices[0], **beside}, definitions)
    return {
        key: _properties(value, definitions) if key == "properties" else _plain(value, definitions)
        for key, value in node.items()
        if key != "title" and not (key == "default" and value is None)
    }


def _properties(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the properties: their names are no keywords, `title` among them."""
    return {name: _plain(value, definitions) for name, value in node.items()}
