"""`metadata` of a request: its fields and their types, and what may change in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from apiserver import errors
from apiserver.schema.errors import FieldError, forbidden
from apiserver.schema.metadata import validate_parts
from apiserver.store.records import Object

_STRINGS: Final = frozenset(
    {
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
    }
)
_INTEGERS: Final = frozenset({"generation", "deletionGracePeriodSeconds"})
_STRING_MAPS: Final = frozenset({"labels", "annotations"})
_OWNER_FIELDS: Final = {
    "apiVersion": str,
    "kind": str,
    "name": str,
    "uid": str,
    "controller": bool,
    "blockOwnerDeletion": bool,
}

_SERVER_OWNED: Final = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
)
"""Fields that a client cannot change; on update they are taken from the stored object."""


def clean(kind: str, version: str, obj: Object) -> list[str]:
    """Bring `metadata` of *obj* into its known shape, in place; return unknown fields' paths.

    Nulls and empty values vanish as they do in Go. `managedFields` is dropped: it belongs to
    the server.

    Raises:
        ApiError: 400, a field has the wrong type.
    """
    meta = obj.get("metadata")
    if meta is None:
        obj["metadata"] = {}
        return []
    if not isinstance(meta, dict):
        raise _undecodable(kind, version, meta, "Go value of type v1.ObjectMeta")
    unknown: list[str] = []
    cleaned: Object = {}
    for name, value in meta.items():
        if name == "managedFields":
            continue
        check = _CHECKS.get(name)
        if check is None:
            unknown.append(f"metadata.{name}")
        elif value is not None:
            try:
                found = check(f"metadata.{name}", value, unknown)
            except _WrongTypeError as exc:
                where = f"Go struct field ObjectMeta.{exc.field} of type {exc.wanted}"
                raise _undecodable(kind, version, exc.value, where) from exc
            if found not in ("", {}, [], 0):
                cleaned[name] = found
    obj["metadata"] = cleaned
    return unknown


def go_type(value: Any) -> str:
    """Return what Go's JSON decoder calls the type of *value*."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "array" if isinstance(value, list) else "object"


class _WrongTypeError(Exception):
    """A field has another type than it should have."""

    def __init__(self, path: str, value: Any, wanted: str) -> None:
        super().__init__(path)
        self.field = path.removeprefix("metadata.")
        self.value = value
        self.wanted = wanted


def _undecodable(kind: str, version: str, value: Any, where: str) -> errors.ApiError:
    return errors.bad_request(
        f'{kind} in version "{version}" cannot be handled as a {kind}: json: cannot unmarshal'
        f" {go_type(value)} into {where}"
    )


def _string(path: str, value: Any, _unknown: list[str]) -> str:
    if not isinstance(value, str):
        raise _WrongTypeError(path, value, "string")
    return value


def _integer(path: str, value: Any, _unknown: list[str]) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _WrongTypeError(path, value, "int64")
    return value


def _string_map(path: str, value: Any, _unknown: list[str]) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _WrongTypeError(path, value, "map[string]string")
    for item in value.values():
        if item is not None and not isinstance(item, str):
            raise _WrongTypeError(path, item, "string")
    return {key: item or "" for key, item in value.items()}


def _finalizers(path: str, value: Any, _unknown: list[str]) -> list[str]:
    if not isinstance(value, list):
        raise _WrongTypeError(path, value, "[]string")
    for item in value:
        if not isinstance(item, str):
            raise _WrongTypeError(path, item, "string")
    return list(dict.fromkeys(value))


def _owners(path: str, value: Any, unknown: list[str]) -> list[Object]:
    if not isinstance(value, list):
        raise _WrongTypeError(path, value, "[]v1.OwnerReference")
    owners: list[Object] = []
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise _WrongTypeError(path, item, "v1.OwnerReference")
        unknown += [f"{path}[{index}].{name}" for name in item if name not in _OWNER_FIELDS]
        owner = {
            name: item[name] for name in _OWNER_FIELDS if name in item and item[name] is not None
        }
        for name, found in owner.items():
            if not isinstance(found, _OWNER_FIELDS[name]):
                raise _WrongTypeError(f"{path}.{name}", found, _OWNER_FIELDS[name].__name__)
        owners.append(owner)
    return owners


_Check = Callable[[str, Any, list[str]], Any]

_CHECKS: Final[dict[str, _Check]] = {
    **dict.fromkeys(_STRINGS, _string),
    **dict.fromkeys(_INTEGERS, _integer),
    **dict.fromkeys(_STRING_MAPS, _string_map),
    "finalizers": _finalizers,
    "ownerReferences": _owners,
}


def carry_over(meta: Object, old: Object) -> None:
    """Set in *meta* what only the server may decide to what it is in *old*."""
    for name in _SERVER_OWNED:
        if name in old:
            meta[name] = old[name]
        else:
            meta.pop(name, None)
    for name in ("name", "namespace", "generateName"):
        if name in old:
            meta[name] = old[name]


def validate_change(meta: Object, old: Object) -> list[FieldError]:
    """Return what is wrong with turning *old* into *meta*."""
    found = validate_parts(meta)
    if "deletionTimestamp" in old:
        before = set(old.get("finalizers") or [])
        added = [name for name in meta.get("finalizers") or [] if name not in before]
        if added:
            quoted = ", ".join(f'"{name}"' for name in added)
            text = (
                "no new finalizers can be added if the object is being deleted, found new"
                f" finalizers []string{{{quoted}}}"
            )
            found.append(forbidden("metadata.finalizers", text))
    return found
