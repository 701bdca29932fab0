"""Strategic merge patch: the merge patch that knows which lists of the built-in kinds merge.

``kubectl apply`` and ``kubectl patch`` send it for built-in kinds. It has these directives:
``$patch: replace|delete|merge`` in a map or in an item of a list, ``$retainKeys`` in a map,
``$setElementOrder/<list>`` and ``$deleteFromPrimitiveList/<list>`` beside a list.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final

from apiserver.patches.errors import PatchError
from apiserver.schema.errors import compact

_VALUES: Final = ""
"""Instead of a key: the list is a set of plain values."""

_EVERYWHERE: Final[Mapping[str, str]] = {
    "metadata.ownerReferences": "uid",
    "metadata.finalizers": _VALUES,
}
_KEYS: Final[Mapping[str, Mapping[str, str]]] = {
    "ServiceAccount": {"secrets": "name", "imagePullSecrets": "name"},
    "Namespace": {"status.conditions": "type"},
}
"""The lists that merge, and the key of their items. Any other list is replaced."""

_ORDER: Final = "$setElementOrder/"
_DELETE: Final = "$deleteFromPrimitiveList/"
_RETAIN: Final = "$retainKeys"


def strategic_merge(kind: str, target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return *target*, an object of the built-in *kind*, with *patch* merged in.

    Raises:
        PatchError: 400, a directive is malformed.
    """
    keys = {**_EVERYWHERE, **_KEYS.get(kind, {})}
    return _merge_map(keys, "", copy.deepcopy(target), patch)


def _bad(text: str) -> PatchError:
    return PatchError(400, "BadRequest", text)


def _merge_map(
    keys: Mapping[str, str], path: str, target: dict[str, Any], patch: dict[str, Any]
) -> dict[str, Any]:
    directive = patch.get("$patch")
    if directive == "replace":
        return _plain_map(patch)
    if directive == "delete":
        return {}
    if directive not in {None, "merge"}:
        raise _bad(f"Unknown patch type found: {directive}")
    _retain(target, patch.get(_RETAIN))
    for key, value in patch.items():
        if not key.startswith("$"):
            _merge_field(keys, f"{path}.{key}" if path else key, target, key, value)
    for key, value in patch.items():
        if key.startswith(_DELETE):
            _delete_values(target, key.removeprefix(_DELETE), value)
    for key, value in patch.items():
        if key.startswith(_ORDER):
            name = key.removeprefix(_ORDER)
            _reorder(keys.get(f"{path}.{name}" if path else name), target, name, value)
    return target


def _retain(target: dict[str, Any], retained: Any) -> None:
    if retained is None:
        return
    if not isinstance(retained, list):
        raise _bad("invalid retainKeys directive")
    for key in [key for key in target if key not in retained]:
        del target[key]


def _merge_field(
    keys: Mapping[str, str], path: str, target: dict[str, Any], key: str, value: Any
) -> None:
    current = target.get(key)
    if value is None:
        target.pop(key, None)
    elif isinstance(value, dict):
        if value.get("$patch") == "delete":
            target.pop(key, None)
        else:
            start = current if isinstance(current, dict) else {}
            target[key] = _merge_map(keys, path, start, value)
    elif isinstance(value, list) and path in keys:
        start_list = current if isinstance(current, list) else []
        target[key] = _merge_list(keys, path, start_list, value)
    else:
        target[key] = _plain(value)


def _merge_list(
    keys: Mapping[str, str], path: str, target: list[Any], patch: list[Any]
) -> list[Any]:
    name = keys[path]
    if name == _VALUES:
        have = {compact(item) for item in target}
        both = target + [item for item in patch if compact(item) not in have]
        return _in_order(name, both, [compact(item) for item in patch], target)
    if any(not isinstance(item, dict) for item in patch):
        raise _bad(f"expected objects in the list {path}")
    if any(item.get("$patch") == "replace" for item in patch):
        return [_plain_map(item) for item in patch if item.get("$patch") != "replace"]
    before = list(target)
    for item in patch:
        if name not in item:
            raise _bad(f"map: {compact(item)} does not contain declared merge key: {name}")
        at = _position(target, name, item[name])
        if item.get("$patch") == "delete":
            if at is not None:
                del target[at]
        elif at is None:
            target.append(_plain(item))
        else:
            target[at] = _merge_map(keys, path, target[at], item)
    return _in_order(name, target, [compact(item[name]) for item in patch], before)


def _position(items: list[Any], name: str, value: Any) -> int | None:
    for index, item in enumerate(items):
        if isinstance(item, dict) and item.get(name) == value:
            return index
    return None


def _delete_values(target: dict[str, Any], name: str, values: Any) -> None:
    current = target.get(name)
    if not isinstance(values, list):
        raise _bad("invalid deleteFromPrimitiveList directive")
    if isinstance(current, list):
        gone = {compact(value) for value in values}
        target[name] = [item for item in current if compact(item) not in gone]


def _reorder(key: str | None, target: dict[str, Any], name: str, order: Any) -> None:
    """Bring a list into *order*."""
    current = target.get(name)
    if key is None or not isinstance(order, list) or not isinstance(current, list):
        return
    asked = [compact(_identity(item, key)) for item in order]
    target[name] = _in_order(key, current, asked, current)


def _in_order(key: str, items: list[Any], asked: list[str], server: list[Any]) -> list[Any]:
    """Return *items* in the order *asked* for.

    What is not asked for goes in front of the first asked item that it preceded in *server*.
    """
    rank = {name: index for index, name in reversed(list(enumerate(asked)))}
    place = {compact(_identity(item, key)): index for index, item in enumerate(server)}
    named = [(compact(_identity(item, key)), item) for item in items]
    chosen = sorted((pair for pair in named if pair[0] in rank), key=lambda pair: rank[pair[0]])
    rest = [pair for pair in named if pair[0] not in rank]
    rest.sort(key=lambda pair: place.get(pair[0], len(place)))
    merged: list[Any] = []
    for name, item in chosen:
        limit = place.get(name, -1)
        while rest and place.get(rest[0][0], limit) < limit:
            merged.append(rest.pop(0)[1])
        merged.append(item)
    return merged + [item for _, item in rest]


def _identity(item: Any, key: str) -> Any:
    return item.get(key) if key != _VALUES and isinstance(item, dict) else item


def _plain(value: Any) -> Any:
    """Return a copy of *value* without directives."""
    if isinstance(value, dict):
        return _plain_map(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _plain_map(value: dict[str, Any]) -> dict[str, Any]:
    return {key: _plain(item) for key, item in value.items() if not key.startswith("$")}
