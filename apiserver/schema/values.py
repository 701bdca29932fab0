"""Checking values against a structural schema, in the words of kube-apiserver.

Where an object replaces an older one, a value that was there before is not complained about again
(ratcheting, as in Kubernetes since 1.33): lists whose type is not ``map`` count as one value.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from apiserver.schema import formats
from apiserver.schema.equality import identical
from apiserver.schema.errors import (
    FieldError,
    compact,
    go_float,
    invalid,
    not_supported,
    quote,
    required,
    too_long,
    too_many,
    type_invalid,
)
from apiserver.schema.structural import MISSING, Node

_MAX_FLOAT32: Final = 3.4028234663852886e38

_KINDS: Final[Mapping[type, str]] = {
    str: "string",
    bool: "boolean",
    dict: "object",
    list: "array",
    type(None): "null",
}


def check(node: Node, value: Any, path: str, old: Any = MISSING) -> list[FieldError]:
    """Return what is wrong with *value*, nothing of it where it is the same as *old*."""
    errors: list[FieldError] = []
    _collect(node, value, path, old, errors)
    return errors


def _collect(node: Node, value: Any, path: str, old: Any, errors: list[FieldError]) -> None:
    if old is not MISSING and identical(value, old):
        return
    kind = _KINDS.get(type(value)) or kind_of(value)
    if kind == node.type and not node.special:
        if kind != "boolean":
            _BY_KIND[kind](node, value, path, old, errors)
    elif kind != "null" or (node.type and not node.nullable):
        _collect_special(node, value, kind, path, old, errors)


def _collect_special(
    node: Node, value: Any, kind: str, path: str, old: Any, errors: list[FieldError]
) -> None:
    if not _type_fits(node, value, kind):
        expected = "integer,string" if node.int_or_string else node.type
        detail = f'{path} in body must be of type {expected}: "{kind}"'
        errors.append(type_invalid(path or "<nil>", kind, detail))
    if node.any_of or node.one_of or node.all_of or node.not_ is not None:
        errors += _check_junctors(node, value, path)
    by_kind = _BY_KIND.get(kind)
    if by_kind is not None:
        by_kind(node, value, path, old, errors)
    if node.enum is not None and not any(identical(value, word) for word in node.enum):
        supported = [word if isinstance(word, str) else compact(word) for word in node.enum]
        errors.append(not_supported(path, value, supported))


def kind_of(value: Any) -> str:
    """Return the JSON type of *value*, with integers apart from other numbers."""
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    if isinstance(value, int):
        return "integer" if -(2**63) <= value < 2**63 else "number"
    return "number"


def _type_fits(node: Node, value: Any, kind: str) -> bool:
    if node.int_or_string:
        return kind in {"integer", "string"} or _is_whole(value)
    if not node.type or node.type == kind:
        return True
    if node.type == "number":
        return kind == "integer"
    return node.type == "integer" and _is_whole(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


# -- strings and numbers --------------------------------------------------------------------------


def _check_string(node: Node, value: str, path: str, _old: Any, errors: list[FieldError]) -> None:
    most, least = node.max_length, node.min_length
    if most is not None and len(value) > most:
        errors.append(too_long(path, most))
    elif least is not None and len(value) < least:
        detail = f"{path} in body should be at least {least} chars long"
        errors.append(invalid(path, value, detail))
    elif node.pattern is not None and not node.pattern.found_in(value):
        detail = f"{path} in body should match '{node.pattern.text}'"
        errors.append(invalid(path, value, detail))
    if node.format and node.type == "string":
        accepts = formats.checker(node.format)
        if accepts is not None and not accepts(value):
            detail = f"{path} in body must be of type {node.format}: {quote(value)}"
            errors.append(type_invalid(path, value, detail))


def _check_number(node: Node, value: float, path: str, _old: Any, errors: list[FieldError]) -> None:
    _check_width(node, value, path, errors)
    raw = node.raw
    step, most, least = raw.get("multipleOf"), raw.get("maximum"), raw.get("minimum")
    if step and not _is_multiple(value, step):
        detail = f"{path} in body should be a multiple of {_number(step)}"
        errors.append(invalid(path, value, detail))
    if most is not None:
        exclusive = bool(raw.get("exclusiveMaximum"))
        if value > most or (exclusive and value == most):
            words = "less than" if exclusive else "less than or equal to"
            errors.append(invalid(path, value, f"{path} in body should be {words} {_number(most)}"))
    if least is not None:
        exclusive = bool(raw.get("exclusiveMinimum"))
        if value < least or (exclusive and value == least):
            words = "greater than" if exclusive else "greater than or equal to"
            text = f"{path} in body should be {words} {_number(least)}"
            errors.append(invalid(path, value, text))


def _check_width(node: Node, value: float, path: str, errors: list[FieldError]) -> None:
    """Check that a number fits what ``type`` and ``format`` promise."""
    whole = isinstance(value, int) or value.is_integer()
    fits, words = True, node.format
    if node.type == "integer" and not node.int_or_string:
        limit = 2**31 if node.format == "int32" else 2**63
        fits = whole and -limit <= value < limit  # never `in range`: with a float it counts
        words = f"with format {node.format}" if node.format else "(default format)"
    elif node.type == "number" and node.format == "float":
        fits = abs(value) <= _MAX_FLOAT32
        words = "with format float"
    if not fits:
        detail = f"Checked value must be of type {node.type} {words} in {path}"
        errors.append(invalid("<nil>", "", detail))


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    try:
        return (value / step).is_integer()
    except OverflowError:
        return False


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else go_float(value)


# -- lists and maps -------------------------------------------------------------------------------


def _check_list(
    node: Node, value: list[Any], path: str, old: Any, errors: list[FieldError]
) -> None:
    if node.items is not None:
        before = by_keys(node, old)
        for index, item in enumerate(value):
            was = before.get(key_of(node, item), MISSING) if before else MISSING
            _collect(node.items, item, f"{path}[{index}]", was, errors)
    raw = node.raw
    least, most = raw.get("minItems"), raw.get("maxItems")
    if least is not None and len(value) < least:
        detail = f"{path} in body should have at least {least} items"
        errors.append(invalid(path, len(value), detail))
    if most is not None and len(value) > most:
        errors.append(too_many(path, len(value), most))
    if raw.get("uniqueItems") and len({compact(item) for item in value}) < len(value):
        errors.append(invalid(path, "", f"{path} in body shouldn't contain duplicates"))


def by_keys(node: Node, old: Any) -> dict[str, Any]:
    """Return the items of *old* by their keys; nothing if the list is no map list."""
    if node.list_type != "map" or not isinstance(old, list):
        return {}
    return {key_of(node, item): item for item in reversed(old) if isinstance(item, dict)}


def key_of(node: Node, item: Any) -> str:
    """Return what identifies *item* in a map list."""
    return compact(keys_of(node, item))


def keys_of(node: Node, item: Any) -> dict[str, Any]:
    """Return the key fields of *item*, defaults filled in, without those that are absent."""
    keys: dict[str, Any] = {}
    if not isinstance(item, dict) or node.items is None:
        return keys
    for name in node.map_keys:
        child = node.items.properties.get(name)
        value = item.get(name, child.default if child is not None else MISSING)
        if value is not MISSING:
            keys[name] = value
    return keys


def _check_map(
    node: Node, value: dict[str, Any], path: str, old: Any, errors: list[FieldError]
) -> None:
    raw = node.raw
    least, most = raw.get("minProperties"), raw.get("maxProperties")
    if least is not None and len(value) < least:
        detail = f"{path} in body should have at least {least} properties"
        errors.append(invalid(path, len(value), detail))
        return
    if most is not None and len(value) > most:
        errors.append(too_many(path, len(value), most))
        return
    before = old if isinstance(old, dict) else {}
    prefix = f"{path}." if path else ""
    for key, item in value.items():
        child = node.properties.get(key) or node.additional
        if child is not None:
            _collect(child, item, prefix + key, before.get(key, MISSING), errors)
    errors += [required(prefix + key) for key in node.required if key not in value]


_Check = Callable[[Node, Any, str, Any, list[FieldError]], None]

_BY_KIND: Final[Mapping[str, _Check]] = {
    "string": _check_string,
    "integer": _check_number,
    "number": _check_number,
    "array": _check_list,
    "object": _check_map,
}


# -- anyOf and its relatives ----------------------------------------------------------------------


def _check_junctors(node: Node, value: Any, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if node.any_of:
        failures = [check(branch, value, path) for branch in node.any_of]
        if all(failures):
            errors.append(_whole(path, "must validate at least one schema (anyOf)"))
            errors += failures[0]
    if node.one_of:
        errors += _check_one_of(node, value, path)
    if node.all_of:
        failures = [check(branch, value, path) for branch in node.all_of]
        errors += [error for failure in failures for error in failure]
        if any(failures):
            words = "must validate all the schemas (allOf)"
            none = "" if not all(failures) else ". None validated"
            errors.append(_whole(path, words + none))
    if node.not_ is not None and not check(node.not_, value, path):
        errors.append(_whole(path, "must not validate the schema (not)"))
    return errors


def _check_one_of(node: Node, value: Any, path: str) -> list[FieldError]:
    failures = [check(branch, value, path) for branch in node.one_of]
    fitting = sum(not failure for failure in failures)
    if fitting == 1:
        return []
    words = "must validate one and only one schema (oneOf). Found "
    if fitting:
        return [_whole(path, f"{words}{fitting} valid alternatives")]
    return [_whole(path, f"{words}none valid"), *failures[0]]


def _whole(path: str, words: str) -> FieldError:
    return invalid("<nil>", "", f'"{path}" {words}')


# -- sets and maps --------------------------------------------------------------------------------


def duplicates(node: Node, value: Any, path: str) -> list[FieldError]:
    """Return the items that occur twice in lists that are sets or maps, at any depth."""
    errors: list[FieldError] = []
    if not node.lists_below:
        return errors
    if isinstance(value, dict):
        for key, item in value.items():
            child = node.child(key)
            if child is not None and child.lists_below:
                errors += duplicates(child, item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        if node.list_type in {"set", "map"}:
            errors += _repeated(node, value, path)
        if node.items is not None and node.items.lists_below:
            for index, item in enumerate(value):
                errors += duplicates(node.items, item, f"{path}[{index}]")
    return errors


def _repeated(node: Node, value: list[Any], path: str) -> list[FieldError]:
    times: dict[str, int] = {}
    errors: list[FieldError] = []
    for index, item in enumerate(value):
        shown = keys_of(node, item) if node.list_type == "map" else item
        key = compact(shown)
        times[key] = times.get(key, 0) + 1
        if times[key] == 2:
            errors.append(FieldError(f"{path}[{index}]", "FieldValueDuplicate", shown, ""))
    return errors
