"""Holds what a file says against the schema of its kind: one sentence for what is wrong.

What CEL rules of the CRDs forbid is left to the API server: it speaks for itself.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.base import Model
from schemas.crdgen import schema
from schemas.kinds import KINDS
from schemas.ticket import LINE_MESSAGE, LINE_PATTERN

Path = tuple[str | int, ...]

_SAID: Final = {
    "missing": "is missing: add it",
    "string_type": "must be a text: put it in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "string_unicode": "must be valid Unicode",
}
_PATTERNS: Final = {
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": (
        "must be a name: lower-case letters, digits and '-', which neither begins nor ends it"
    ),
    LINE_PATTERN: LINE_MESSAGE,
    r"^[^\x00]*$": "must not hold NUL characters",
}
_LIMITS: Final = {
    "string_too_long": ("max_length", "must be at most {} characters long"),
    "string_too_short": ("min_length", "must be at least {} characters long"),
    "too_long": ("max_length", "must have at most {} items"),
    "too_short": ("min_length", "must have at least {} items"),
    "greater_than_equal": ("ge", "must be at least {}"),
    "greater_than": ("gt", "must be more than {}"),
    "less_than_equal": ("le", "must be at most {}"),
    "less_than": ("lt", "must be less than {}"),
}
_LONGEST_NAME: Final = 64


class ShapeError(ValueError):
    """A value is not as its kind has it."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        """Keys and positions below the spec."""
        self.message = message
        """What to do, without the field's name."""


def field_name(path: Sequence[str | int]) -> str:
    """Return the path as people write it: ``acceptance[0].text``, cut if it is long."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            shown = step if len(step) <= _LONGEST_NAME else f"{step[:_LONGEST_NAME]}…"
            text += f".{shown}" if text else shown
    return text


def spec_of(kind: str, spec: Mapping[str, Any]) -> Model:
    """Return the spec of a resource of that kind, as its model.

    A field that is null is a field that is not there, as the API server has it. Fields that the
    kind does not have are refused: a slip of the pen must not pass for nothing.

    Raises:
        ShapeError: It is not valid; the first thing that is wrong with it.
    """
    known = _known(spec, _schema_of(kind), ())
    try:
        text = json.dumps(known)
    except RecursionError:
        raise ShapeError((), "is nested too deeply") from None
    try:
        return _model_of(kind).model_validate_json(text, strict=True)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        raise _worded(first) from None


def canonical(model: Model) -> dict[str, Any]:
    """Return the whole spec: camelCase, with defaults, without what is not set."""
    return model.manifest()


@cache
def _schema_of(kind: str) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = schema(KINDS[kind])["properties"]["spec"]
    return spec


@cache
def _model_of(kind: str) -> type[Model]:
    annotation = KINDS[kind].model_fields["spec"].annotation
    assert isinstance(annotation, type)  # noqa: S101 - each kind's spec is a model
    assert issubclass(annotation, Model)  # noqa: S101 - as above
    return annotation


def _known(value: Any, node: Mapping[str, Any], path: Path) -> Any:
    """Return the value without its nulls; refuse what the schema does not name."""
    if isinstance(value, dict):
        return _known_mapping(value, node, path)
    if isinstance(value, list) and "items" in node:
        items = [_known(item, node["items"], (*path, at)) for at, item in enumerate(value)]
        _check_distinct(items, node, path)
        return items
    return value


def _known_mapping(value: dict[str, Any], node: Mapping[str, Any], path: Path) -> Any:
    properties = node.get("properties")
    if properties is None:
        extra = node.get("additionalProperties")
        if not isinstance(extra, dict):
            return value
        return {key: _known(item, extra, (*path, key)) for key, item in value.items()}
    result = {}
    for key, item in value.items():
        if key not in properties:
            raise ShapeError((*path, key), unknown(key, properties))
        if item is not None:
            result[key] = _known(item, properties[key], (*path, key))
    return result


def unknown(key: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """Return the sentence on a field that does not exist."""
    near = difflib.get_close_matches(key[:_LONGEST_NAME], list(known), n=1)
    if near:
        return f"there is no such field: did you mean {near[0]}?"
    return "there is no such field: leave it out"


def _check_distinct(items: list[Any], node: Mapping[str, Any], path: Path) -> None:
    kind = node.get("x-kubernetes-list-type")
    if kind not in {"set", "map"}:
        return
    keys = node.get("x-kubernetes-list-map-keys", ())
    seen = set()
    for at, item in enumerate(items):
        said = item
        if kind == "map":
            if not isinstance(item, dict):
                continue  # the model says what it must be
            said = [item.get(key) for key in keys]
        text = json.dumps(said)
        if text in seen:
            raise ShapeError((*path, at), "stands in the list twice: leave one out")
        seen.add(text)


def _worded(error: ErrorDetails) -> ShapeError:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _SAID:
        message = _SAID[kind]
    elif kind in {"enum", "literal_error"}:
        message = "must be one of " + str(context["expected"]).replace("'", "")
    elif kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        message = _PATTERNS.get(pattern, f"must match {pattern}")
    elif kind in {"string_too_short", "too_short"} and context["min_length"] == 1:
        message = "must not be empty"
    elif kind in _LIMITS:
        name, sentence = _LIMITS[kind]
        message = sentence.format(context[name])
    else:
        message = error["msg"].removeprefix("Value error, ")
    return ShapeError(tuple(error["loc"]), message)
