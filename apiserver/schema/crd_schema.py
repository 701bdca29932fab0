"""What makes a schema structural, and the rules for its parts, in the words of kube-apiserver."""

import copy
from collections.abc import Mapping
from typing import Any, Final

from apiserver.schema import cel
from apiserver.schema.crd_rules import check_rules
from apiserver.schema.default import default
from apiserver.schema.errors import (
    FieldError,
    forbidden,
    invalid,
    not_supported,
    required,
)
from apiserver.schema.prune import prune_value
from apiserver.schema.structural import parse
from apiserver.schema.values import check

_TYPES: Final = ("array", "boolean", "integer", "number", "object", "string")
_SCALARS: Final = frozenset({"string", "boolean", "integer", "number"})

_UNSUPPORTED: Final = (
    *("$ref", "patternProperties", "dependencies", "definitions"),
    *("id", "$schema", "additionalItems"),
)

_NOT_IN_BRANCHES: Final[Mapping[str, str]] = {
    "description": "must be empty to be structural",
    "type": "must be empty to be structural",
    "title": "must be empty to be structural",
    "nullable": "must be false to be structural",
    "default": "must be undefined to be structural",
    "additionalProperties": "must be undefined to be structural",
    "x-kubernetes-preserve-unknown-fields": "must be false to be structural",
    "x-kubernetes-embedded-resource": "must be false to be structural",
    "x-kubernetes-int-or-string": "must be false to be structural",
    "x-kubernetes-list-map-keys": "must be empty to be structural",
    "x-kubernetes-list-type": "must be undefined to be structural",
    "x-kubernetes-map-type": "must be undefined to be structural",
    "x-kubernetes-validations": "must be empty to be structural",
}
"""Within anyOf and its relatives a schema may only narrow what stands outside of them."""

_GO_WORDS: Final[Mapping[str, str]] = {
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
}
"""Where Go words a mistake in a regular expression otherwise than RE2."""

_INT_OR_STRING: Final = [{"type": "integer"}, {"type": "string"}]


def check_schema(schema: dict[str, Any], path: str) -> list[FieldError]:
    """Return what is wrong with the schema of one version, which stands at *path*."""
    errors = _check_root(schema, path)
    errors += _check_node(schema, path, specified="" if "type" not in schema else "object fields")
    if errors:
        return errors
    errors += _check_defaults(schema, path)
    errors += check_rules(schema, path)
    return errors


def _check_root(schema: dict[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    kind = schema.get("type") or ""
    if not kind:
        errors.append(required(f"{path}.type", "must not be empty at the root"))
    elif kind != "object":
        errors.append(invalid(f"{path}.type", kind, "must be object at the root"))
    if schema.get("nullable"):
        errors.append(forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    return errors + _check_own_fields(schema, path)


def _check_own_fields(schema: dict[str, Any], path: str) -> list[FieldError]:
    """Check what a whole object's schema says on ``apiVersion``, ``kind`` and ``metadata``."""
    errors: list[FieldError] = []
    properties = schema.get("properties") or {}
    for name in ("apiVersion", "kind"):
        kind = (properties.get(name) or {}).get("type", "string")
        if kind != "string":
            errors.append(invalid(f"{path}.properties[{name}].type", kind, "must be string"))
    metadata = properties.get("metadata")
    if metadata is None:
        return errors
    at = f"{path}.properties[metadata]"
    if metadata.get("type") != "object":
        errors.append(invalid(f"{at}.type", metadata.get("type") or "", "must be object"))
    elif set(metadata) - {"type", "properties", "description"} or set(
        metadata.get("properties") or {}
    ) - {"name", "generateName"}:
        text = (
            "must not specify anything other than name and generateName, but metadata is"
            " implicitly specified"
        )
        errors.append(forbidden(at, text))
    return errors


def _check_node(schema: dict[str, Any], path: str, *, specified: str) -> list[FieldError]:
    """Check one schema and those below.

    Args:
        schema: The schema.
        path: Where it stands.
        specified: What kind of place it is, for the complaint that it has no type; empty for none.
    """
    errors = [
        forbidden(f"{path}.{word}", f"{word} is not supported")
        for word in _UNSUPPORTED
        if schema.get(word) not in (None, "")
    ]
    if errors:
        return errors
    errors = _check_type(schema, path, specified=specified)
    errors += _check_extensions(schema, path)
    errors += _check_lists(schema, path)
    errors += _check_pattern(schema, path)
    errors += _check_branches(schema, path)
    return errors + _check_children(schema, path)


def _check_type(schema: dict[str, Any], path: str, *, specified: str) -> list[FieldError]:
    errors: list[FieldError] = []
    kind = schema.get("type") or ""
    untyped = schema.get("x-kubernetes-int-or-string") or schema.get(
        "x-kubernetes-preserve-unknown-fields"
    )
    if not kind:
        if specified and not untyped:
            text = f"must not be empty for specified {specified}"
            errors.append(required(f"{path}.type", text))
    elif kind not in _TYPES:
        errors.append(not_supported(f"{path}.type", kind, _TYPES))
    if schema.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        errors.append(forbidden(f"{path}.uniqueItems", text))
    if kind == "array" and schema.get("items") is None:
        errors.append(required(f"{path}.items", "must be specified"))
    additional = schema.get("additionalProperties")
    if schema.get("properties") and additional is not None and additional is not False:
        text = "additionalProperties and properties are mutual exclusive"
        errors.append(forbidden(f"{path}.additionalProperties", text))
    return errors


def _check_extensions(schema: dict[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    kind = schema.get("type") or ""
    preserve = schema.get("x-kubernetes-preserve-unknown-fields")
    if preserve is False:
        at = f"{path}.x-kubernetes-preserve-unknown-fields"
        errors.append(invalid(at, False, "must be true or undefined"))
    if schema.get("x-kubernetes-embedded-resource"):
        if kind != "object":
            text = "must be object if x-kubernetes-embedded-resource is true"
            errors.append(invalid(f"{path}.type", kind, text))
        if not preserve and not schema.get("properties"):
            text = (
                "must not be empty if x-kubernetes-embedded-resource is true without"
                " x-kubernetes-preserve-unknown-fields"
            )
            errors.append(required(f"{path}.properties", text))
        errors += _check_own_fields(schema, path)
    return errors + _check_map_type(schema.get("x-kubernetes-map-type"), kind, path)


def _check_map_type(map_type: Any, kind: str, path: str) -> list[FieldError]:
    if map_type is None:
        return []
    errors: list[FieldError] = []
    if kind != "object":
        text = "must be object if x-kubernetes-map-type is specified"
        errors.append(invalid(f"{path}.type", kind, text))
    if map_type not in {"atomic", "granular"}:
        at = f"{path}.x-kubernetes-map-type"
        errors.append(not_supported(at, map_type, ["atomic", "granular"]))
    return errors


# -- lists ----------------------------------------------------------------------------------------


def _check_lists(schema: dict[str, Any], path: str) -> list[FieldError]:
    list_type, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys")
    errors: list[FieldError] = []
    items = schema.get("items")
    inner: dict[str, Any] = items if isinstance(items, dict) else {}
    if list_type is not None:
        if schema.get("type") != "array":
            text = "must be array if x-kubernetes-list-type is specified"
            errors.append(invalid(f"{path}.type", schema.get("type") or "", text))
        if list_type not in {"atomic", "set", "map"}:
            at = f"{path}.x-kubernetes-list-type"
            errors.append(not_supported(at, list_type, ["atomic", "set", "map"]))
    if keys and list_type != "map":
        text = "must be map if x-kubernetes-list-map-keys is non-empty"
        at = f"{path}.x-kubernetes-list-type"
        errors.append(required(at, text) if list_type is None else invalid(at, list_type, text))
    if list_type == "set":
        errors += _check_set(inner, f"{path}.items")
    elif list_type == "map":
        errors += _check_map_list(inner, keys or [], path)
    return errors


def _check_set(items: dict[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if items.get("nullable"):
        text = "cannot be nullable when x-kubernetes-list-type is set"
        errors.append(forbidden(f"{path}.nullable", text))
    words = (("object", "x-kubernetes-map-type"), ("array", "x-kubernetes-list-type"))
    for kind, word in words:
        if items.get("type") == kind and items.get(word) != "atomic":
            if kind == "array" and items.get(word) is None:
                continue  # lists are atomic unless they say otherwise
            text = "must be atomic as item of a list with x-kubernetes-list-type=set"
            errors.append(invalid(f"{path}.{word}", items.get(word), text))
    return errors


def _check_map_list(items: dict[str, Any], keys: list[str], path: str) -> list[FieldError]:
    at = f"{path}.x-kubernetes-list-map-keys"
    if not keys:
        return [required(at, "must not be empty if x-kubernetes-list-type is map")]
    if items.get("type") != "object":
        text = "must be object if parent array's x-kubernetes-list-type is map"
        return [invalid(f"{path}.items.type", items.get("type") or "", text)]
    errors: list[FieldError] = []
    properties = items.get("properties") or {}
    if len(set(keys)) < len(keys):
        errors.append(invalid(at, keys, "must not contain duplicate entries"))
    if any(key not in properties for key in keys):
        errors.append(invalid(at, keys, "entries must all be names of item properties"))
    for key in dict.fromkeys(keys):
        if key in properties:
            needed = key in (items.get("required") or ())
            below = f"{path}.items.properties[{key}]"
            errors += _check_map_key(properties[key], below, needed=needed)
    return errors


def _check_map_key(schema: dict[str, Any], path: str, *, needed: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    if schema.get("type") not in _SCALARS:
        text = "must be a scalar type if parent array's x-kubernetes-list-type is map"
        errors.append(invalid(f"{path}.type", schema.get("type") or "", text))
    if schema.get("nullable"):
        text = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
        errors.append(forbidden(f"{path}.nullable", text))
    if not needed and "default" not in schema:
        text = (
            "this property is in x-kubernetes-list-map-keys, so it must have a default or be a"
            " required property"
        )
        errors.append(required(f"{path}.default", text))
    return errors


# -- patterns, branches, children -----------------------------------------------------------------


def _check_pattern(schema: dict[str, Any], path: str) -> list[FieldError]:
    pattern = schema.get("pattern")
    if not pattern:
        return []
    wrong = cel.pattern_error(pattern)
    if not wrong:
        return []
    said, _, where = wrong.partition(": ")
    said = _GO_WORDS.get(said, said)
    text = f"must be a valid regular expression, but isn't: error parsing regexp: {said}: `{where}`"
    return [invalid(f"{path}.pattern", pattern, text)]


def _check_branches(schema: dict[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for word in ("allOf", "anyOf", "oneOf"):
        for index, branch in enumerate(schema.get(word) or ()):
            if _says_int_or_string(schema, word, index):
                continue
            errors += _check_branch(branch, f"{path}.{word}[{index}]")
    if schema.get("not") is not None:
        errors += _check_branch(schema["not"], f"{path}.not")
    return errors


def _says_int_or_string(schema: dict[str, Any], word: str, index: int) -> bool:
    """Say whether the branch is the customary ``anyOf`` of an int-or-string, the one exception."""
    if not schema.get("x-kubernetes-int-or-string"):
        return False
    if word == "anyOf":
        return bool(schema["anyOf"] == _INT_OR_STRING)
    first = word == "allOf" and index == 0
    return bool(first and schema["allOf"][0] == {"anyOf": _INT_OR_STRING})


def _check_branch(branch: dict[str, Any], path: str) -> list[FieldError]:
    errors = [
        forbidden(f"{path}.{word}", text)
        for word, text in _NOT_IN_BRANCHES.items()
        if branch.get(word) not in (None, "", False, [])
    ]
    errors += _check_pattern(branch, path)
    for name, below in (branch.get("properties") or {}).items():
        errors += _check_branch(below, f"{path}.properties[{name}]")
    if isinstance(branch.get("items"), dict):
        errors += _check_branch(branch["items"], f"{path}.items")
    return errors + _check_branches(branch, path)


def _check_children(schema: dict[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, below in (schema.get("properties") or {}).items():
        at = f"{path}.properties[{name}]"
        errors += _check_node(below or {}, at, specified="object fields")
    items, additional = schema.get("items"), schema.get("additionalProperties")
    if isinstance(items, list):
        text = "items must be a schema object and not an array"
        errors.append(forbidden(f"{path}.items", text))
    elif isinstance(items, dict):
        errors += _check_node(items, f"{path}.items", specified="array items")
    if isinstance(additional, dict):
        at = f"{path}.additionalProperties"
        errors += _check_node(additional, at, specified="object fields")
    return errors


# -- defaults -------------------------------------------------------------------------------------


def _check_defaults(schema: dict[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if schema.get("default") is not None:
        errors += _check_default(schema, f"{path}.default")
    for name, below in (schema.get("properties") or {}).items():
        errors += _check_defaults(below, f"{path}.properties[{name}]")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            errors += _check_defaults(schema[word], f"{path}.{word}")
    return errors


def _check_default(schema: dict[str, Any], path: str) -> list[FieldError]:
    node = parse(schema)
    value = copy.deepcopy(schema["default"])
    if prune_value(node, value):
        return [invalid(path, schema["default"], "must not have unknown fields")]
    default(node, value)
    errors = []
    for error in check(node, value, ""):
        below = "" if error.field in {"<nil>", ""} else f".{error.field}"
        errors.append(FieldError(path + below, error.reason, error.bad_value, error.detail))
    return errors
