"""JSON Patch. Source: RFC 6902, with the liberties of the library that kube-apiserver uses.

A negative index counts from the end, a test for null passes where nothing is, and what stands
before the first slash of a path does not count.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

from apiserver.patches.errors import PatchError
from apiserver.schema.errors import compact

MAX_OPERATIONS: Final = 10_000
MAX_COPIED_BYTES: Final = 3 * 1024 * 1024
"""All ``copy`` operations of a patch together; without a limit they could double an object."""

_MISSING: Final = object()


class _FailedError(Exception):
    """An operation that cannot be carried out."""


def json_patch(target: Any, ops: Any) -> Any:
    """Return *target* after the operations *ops*, all of them or none.

    Raises:
        PatchError: 400, *ops* is no list of operations; 413, too many; 422, one cannot be carried
            out or a test failed.
    """
    operations = _decode(ops)
    document = {"": copy.deepcopy(target)}
    copied = 0
    for operation in operations:
        try:
            copied += _OPERATIONS[operation["op"]](document, operation)
        except _FailedError as exc:
            text = "the server rejected our request due to an error in our request"
            raise PatchError(422, "Invalid", text) from exc
        if copied > MAX_COPIED_BYTES:
            raise _too_large(
                f"Unable to complete the copy, the accumulated size increase of copy is {copied},"
                f" exceeding the limit {MAX_COPIED_BYTES}"
            )
    return document[""]


def _too_large(text: str) -> PatchError:
    return PatchError(413, "RequestEntityTooLarge", f"Request entity too large: {text}")


# -- decoding -------------------------------------------------------------------------------------


def _decode(ops: Any) -> list[dict[str, Any]]:
    if not isinstance(ops, list):
        raise _undecodable(ops, "Go value of type []handlers.jsonPatchOp")
    if len(ops) > MAX_OPERATIONS:
        raise _too_large(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(ops)}"
        )
    for operation in ops:
        if not isinstance(operation, dict):
            raise _undecodable(operation, "Go value of type handlers.jsonPatchOp")
        for name in ("op", "path", "from"):
            value = operation.get(name)
            if value is not None and not isinstance(value, str):
                field = f"Go struct field jsonPatchOp.{name} of type string"
                raise _undecodable(value, field)
    for operation in ops:
        if complaint := _complaint(operation):
            shown = compact(operation)
            raise PatchError(400, "BadRequest", f"invalid operation {shown}: {complaint}")
    return ops


def _complaint(operation: dict[str, Any]) -> str:
    op = operation.get("op")
    if op not in _OPERATIONS:
        return "unsupported operation"
    if operation.get("path") is None:
        return "failed to decode 'path': operation missing path field: missing value"
    if op in {"add", "replace"} and "value" not in operation:
        return "failed to decode 'value': operation, missing value field: missing value"
    if op in {"move", "copy"} and operation.get("from") is None:
        return "failed to decode 'from': operation, missing from field: missing value"
    return ""


def _undecodable(value: Any, wanted: str) -> PatchError:
    kinds: dict[type, str] = {str: "string", bool: "bool", list: "array", dict: "object"}
    kind = kinds.get(type(value), "number")
    return PatchError(
        400, "BadRequest", f"error decoding patch: json: cannot unmarshal {kind} into {wanted}"
    )


# -- places ---------------------------------------------------------------------------------------


def _place(document: dict[str, Any], path: str) -> tuple[Any, str]:
    """Return the map or list that *path* ends in, and its last key. The root stands at ``""``."""
    if path == "":
        return document, ""
    keys = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
    if not keys:
        raise _FailedError
    container = document[""]
    for key in keys[:-1]:
        container = _get(container, key)
    if not isinstance(container, dict | list):
        raise _FailedError
    return container, keys[-1]


def _index(items: list[Any], key: str, *, limit: int) -> int:
    """Return the index that *key* stands for, below *limit*."""
    try:
        index = int(key)
    except ValueError:
        raise _FailedError from None
    if index < 0:
        index += limit
    if not 0 <= index < limit or (not items and limit == 0):
        raise _FailedError
    return index


def _get(container: Any, key: str) -> Any:
    if isinstance(container, dict):
        if key not in container:
            raise _FailedError
        return container[key]
    if isinstance(container, list):
        return container[_index(container, key, limit=len(container))]
    raise _FailedError


def _put(document: dict[str, Any], path: str, value: Any) -> None:
    container, key = _place(document, path)
    if isinstance(container, dict):
        container[key] = value
    elif key == "-":
        container.append(value)
    else:
        container.insert(_index(container, key, limit=len(container) + 1), value)


def _take(document: dict[str, Any], path: str) -> Any:
    container, key = _place(document, path)
    if container is document:
        raise _FailedError  # nothing would be left
    found = _get(container, key)
    if isinstance(container, dict):
        del container[key]
    else:
        del container[_index(container, key, limit=len(container))]
    return found


# -- operations; each returns the bytes that it copied --------------------------------------------


def _add(document: dict[str, Any], operation: dict[str, Any]) -> int:
    _put(document, operation["path"], copy.deepcopy(operation["value"]))
    return 0


def _remove(document: dict[str, Any], operation: dict[str, Any]) -> int:
    _take(document, operation["path"])
    return 0


def _replace(document: dict[str, Any], operation: dict[str, Any]) -> int:
    container, key = _place(document, operation["path"])
    _get(container, key)
    value = copy.deepcopy(operation["value"])
    if isinstance(container, dict):
        container[key] = value
    else:
        container[_index(container, key, limit=len(container))] = value
    return 0


def _move(document: dict[str, Any], operation: dict[str, Any]) -> int:
    _put(document, operation["path"], _take(document, operation["from"]))
    return 0


def _copy(document: dict[str, Any], operation: dict[str, Any]) -> int:
    container, key = _place(document, operation["from"])
    found = _get(container, key)
    size = len(compact(found))
    if size <= MAX_COPIED_BYTES:
        _put(document, operation["path"], copy.deepcopy(found))
    return size


def _test(document: dict[str, Any], operation: dict[str, Any]) -> int:
    container, key = _place(document, operation["path"])
    found: Any = _MISSING
    try:
        found = _get(container, key)
    except _FailedError:
        if isinstance(container, list):
            raise
    wanted = operation.get("value")
    if found is _MISSING:
        found = None
    if compact(found) != compact(wanted):
        raise _FailedError
    return 0


_OPERATIONS: Final[Mapping[str, Callable[[dict[str, Any], dict[str, Any]], int]]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
