"""The types of a CustomResourceDefinition's own fields: what a typed decoder would accept.

A shape is a word (``string``, ``integer``, ``number``, ``boolean``, ``any``), the name of a map's
shape in :data:`SHAPES`, or one of these with ``[]`` (list of) or ``{}`` (map of) behind it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from apiserver.schema.errors import FieldError, type_invalid
from apiserver.schema.values import kind_of

_SCHEMA_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("id", "$schema", "$ref", "description", "type", "format", "title"), "string"),
    **dict.fromkeys(("pattern", "x-kubernetes-list-type", "x-kubernetes-map-type"), "string"),
    **dict.fromkeys(("maximum", "minimum", "multipleOf"), "number"),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum", "uniqueItems", "nullable"), "boolean"),
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems"), "integer"),
    **dict.fromkeys(("maxProperties", "minProperties"), "integer"),
    **dict.fromkeys(("default", "example", "dependencies", "items", "additionalItems"), "any"),
    **dict.fromkeys(("anyOf", "oneOf", "allOf"), "schema[]"),
    **dict.fromkeys(("properties", "patternProperties", "definitions"), "schema{}"),
    "enum": "any[]",
    "required": "string[]",
    "not": "schema",
    "additionalProperties": "any",
    "externalDocs": "docs",
    "x-kubernetes-preserve-unknown-fields": "boolean",
    "x-kubernetes-embedded-resource": "boolean",
    "x-kubernetes-int-or-string": "boolean",
    "x-kubernetes-list-map-keys": "string[]",
    "x-kubernetes-validations": "rule[]",
}

SHAPES: Final[Mapping[str, Mapping[str, str]]] = {
    "crd": {
        "apiVersion": "string",
        "kind": "string",
        "metadata": "any",
        "spec": "spec",
        "status": "any",
    },
    "spec": {
        "group": "string",
        "names": "names",
        "scope": "string",
        "versions": "version[]",
        "conversion": "conversion",
        "preserveUnknownFields": "boolean",
    },
    "names": {
        "plural": "string",
        "singular": "string",
        "shortNames": "string[]",
        "kind": "string",
        "listKind": "string",
        "categories": "string[]",
    },
    "version": {
        "name": "string",
        "served": "boolean",
        "storage": "boolean",
        "deprecated": "boolean",
        "deprecationWarning": "string",
        "schema": "validation",
        "subresources": "subresources",
        "additionalPrinterColumns": "column[]",
        "selectableFields": "selectable[]",
    },
    "validation": {"openAPIV3Schema": "schema"},
    "subresources": {"status": "any", "scale": "scale"},
    "scale": {
        "specReplicasPath": "string",
        "statusReplicasPath": "string",
        "labelSelectorPath": "string",
    },
    "column": {
        "name": "string",
        "type": "string",
        "format": "string",
        "description": "string",
        "priority": "integer",
        "jsonPath": "string",
    },
    "selectable": {"jsonPath": "string"},
    "conversion": {"strategy": "string", "webhook": "any"},
    "docs": {"description": "string", "url": "string"},
    "rule": {
        "rule": "string",
        "message": "string",
        "messageExpression": "string",
        "reason": "string",
        "fieldPath": "string",
        "optionalOldSelf": "boolean",
    },
    "schema": _SCHEMA_WORDS,
}

MAX_DEPTH: Final = 60
"""Nesting of schemas that is accepted: walking them must not exhaust the stack."""


def check_shape(crd: dict[str, Any]) -> list[FieldError]:
    """Return the fields of *crd* that have the wrong type. Nulls count as absent."""
    return list(_check("crd", crd, "", 0))


def prune_crd(crd: dict[str, Any]) -> list[str]:
    """Drop unknown fields of *crd* and nulls, in place; return the paths of the unknown ones."""
    dropped: list[str] = []
    _prune("crd", crd, "", dropped)
    return dropped


def _check(shape: str, value: Any, path: str, depth: int) -> Iterator[FieldError]:
    if value is None or shape == "any":
        return
    expected = _expected(shape)
    kind = kind_of(value)
    if kind != expected and not (expected == "number" and kind == "integer"):
        detail = f'{path} in body must be of type {expected}: "{kind}"'
        yield type_invalid(path or "<nil>", kind, detail)
    elif depth > MAX_DEPTH and isinstance(value, dict | list):
        yield type_invalid(path, kind, "nested too deeply")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _check_item(shape.removesuffix("[]"), item, f"{path}[{index}]", depth)
    elif isinstance(value, dict):
        for key, below in _fields(shape, value):
            at = f"{path}.{key}" if path else key
            check = _check_item if shape.endswith("{}") else _check
            yield from check(below, value[key], at, depth + 1)


def _check_item(shape: str, value: Any, path: str, depth: int) -> Iterator[FieldError]:
    """Check an item of a list or of a map, where a null is not the same as nothing."""
    if value is None and shape != "any":
        detail = f'{path} in body must be of type {_expected(shape)}: "null"'
        yield type_invalid(path, "null", detail)
    else:
        yield from _check(shape, value, path, depth + 1)


def _expected(shape: str) -> str:
    if shape.endswith("[]"):
        return "array"
    return "object" if shape.endswith("{}") or shape in SHAPES else shape


def _fields(shape: str, value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if shape.endswith("{}"):
        yield from ((key, shape.removesuffix("{}")) for key in value)
        return
    for key, below in SHAPES[shape].items():
        if key in value:
            # a bool, or a list of schemas, is legal to the decoder and refused later
            inner = value[key]
            nested = key in {"items", "additionalProperties"} and isinstance(inner, dict)
            yield key, "schema" if nested else below


def _prune(shape: str, value: Any, path: str, dropped: list[str]) -> None:
    if isinstance(value, list) and shape.endswith("[]"):
        for index, item in enumerate(value):
            _prune(shape.removesuffix("[]"), item, f"{path}[{index}]", dropped)
    elif isinstance(value, dict) and _expected(shape) == "object":
        known = dict(_fields(shape, value))
        for key in list(value):
            below = f"{path}.{key}" if path else key
            if key not in known:
                dropped.append(below)
                del value[key]
            elif value[key] is None and key != "default":
                del value[key]
            else:
                _prune(known[key], value[key], below, dropped)
