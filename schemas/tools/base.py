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
        return model.model_validate({k: v for k, v in values.items() if v is not None})
    except ValidationError as exc:
        raise InvalidArgumentsError(_sentence(model, exc)) from None


def _sentence(model: type[Arguments], error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    said = [_said(model, each["loc"], each["type"], each["msg"]) for each in found[:_MAX_TOLD]]
    if len(found) > _MAX_TOLD:
        said.append(f"and {len(found) - _MAX_TOLD} more")
    return "; ".join(said)


def _said(model: type[Arguments], where: tuple[int | str, ...], kind: str, text: str) -> str:
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    name = name.removeprefix(".")[:120] or "arguments"
    if kind == "extra_forbidden":
        known = ", ".join(model.model_fields) or "none"
        return f"{name}: there is no such argument; there are: {known}"
    if kind == "missing":
        return f"{name}: it is required"
    return f"{name}: {text[:1].lower()}{text[1:]}".replace("tuple should", "list should")


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
