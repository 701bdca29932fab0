"""Tables, as ``kubectl get`` asks for them: ``meta.k8s.io/v1`` Table.

Columns are those of ``additionalPrinterColumns``: a JSONPath each, whose first find counts.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from apiserver.jsonpath import JsonPath, JsonPathError, parse
from apiserver.schema.errors import compact, go_float, invalid

_NAME_TEXT: Final = (
    "Name must be unique within a namespace. Is required when creating resources, although some"
    " resources may allow a client to request the generation of an appropriate name automatically."
    " Name is primarily intended for creation idempotence and configuration definition. Cannot be"
    " updated. More info:"
    " https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
)
_CREATED_TEXT: Final = (
    "CreationTimestamp is a timestamp representing the server time when this object was created."
    " It is not guaranteed to be set in happens-before order across separate operations. Clients"
    " may not set this value. It is represented in RFC3339 form and is in UTC."
)
_UNREADABLE: Final = "<invalid>"

_DEFAULT_COLUMNS: Final[Sequence[Mapping[str, Any]]] = (
    {
        "name": "Age",
        "type": "date",
        "description": _CREATED_TEXT,
        "jsonPath": ".metadata.creationTimestamp",
    },
)

INCLUDES: Final = frozenset({"", "None", "Metadata", "Object"})
"""What ``includeObject`` may say."""


class IncludeError(ValueError):
    """An unknown ``includeObject``; the text goes to the user with status 400."""


def table(
    columns: Sequence[Mapping[str, Any]],
    objects: Sequence[Mapping[str, Any]],
    now: datetime,
    include: str = "Metadata",
) -> dict[str, Any]:
    """Return ``columnDefinitions`` and ``rows`` for *objects*, the name in the first column.

    Args:
        columns: As in a CRD; without any there is the age. `cell` is the type of the cells where
            the column itself is declared as another.
        objects: One row each, in this order.
        now: What ages count from.
        include: What each row carries beside its cells: ``Metadata`` (also if empty), ``Object``,
            ``None``.

    Raises:
        IncludeError: *include* is none of these.
    """
    if include not in INCLUDES:
        text = "must be 'Metadata', 'Object', 'None', or empty"
        error = invalid("includeObject", include, text)
        raise IncludeError(f"Unable to convert to Table as requested: {error.text()}")
    chosen = columns or _DEFAULT_COLUMNS
    readers = [
        (_path(column.get("jsonPath") or ""), column.get("cell") or column.get("type") or "")
        for column in chosen
    ]
    rows = []
    for obj in objects:
        cells = [(obj.get("metadata") or {}).get("name", "")]
        cells += [_cell(path.first(obj), kind, now) for path, kind in readers]
        rows.append({"cells": cells, "object": _included(obj, include)})
    return {"columnDefinitions": _definitions(chosen), "rows": rows}


def _definitions(columns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    name = {
        "name": "Name",
        "type": "string",
        "format": "name",
        "description": _NAME_TEXT,
        "priority": 0,
    }
    return [name] + [
        {
            "name": column.get("name") or "",
            "type": column.get("type") or "",
            "format": column.get("format") or "",
            "description": column.get("description") or _described(column),
            "priority": column.get("priority") or 0,
        }
        for column in columns
    ]


def _described(column: Mapping[str, Any]) -> str:
    path = column.get("jsonPath") or ""
    return f"Custom resource definition column (in JSONPath format): {path}"


@lru_cache(maxsize=4096)
def _path(text: str) -> JsonPath:
    """Return the path; one that cannot be read finds nothing (a CRD with such is not admitted)."""
    try:
        return parse(text)
    except JsonPathError:
        return JsonPath(text, (lambda _value: (),))


def _included(obj: Mapping[str, Any], include: str) -> Any:
    if include == "None":
        return None
    if include == "Object":
        return obj
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj.get("metadata") or {},
    }


# -- cells ----------------------------------------------------------------------------------------


def _cell(value: Any, kind: str, now: datetime) -> Any:
    """Return what stands in a cell of type *kind*; None where the value does not fit it."""
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "string":
            return _text(value)
        case "integer":
            return int(value) if is_number else None
        case "number":
            return value if is_number else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return _age_of(value, now)
        case _:
            return None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return go_float(value) if isinstance(value, float) else compact(value)


def _age_of(value: Any, now: datetime) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return _UNREADABLE
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return age((now - moment).total_seconds())


def age(seconds: float) -> str:
    """Return a time span as ``kubectl get`` shows it: ``59s``, ``3m10s``, ``2d4h``, ``3y10d``."""
    whole = int(seconds)
    if whole < -1:
        return _UNREADABLE
    if whole < 0:
        return "0s"
    if whole < 120:
        return f"{whole}s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if hours < 3:
        return f"{minutes}m" if minutes >= 10 else _pair(minutes, "m", whole % 60, "s")
    if hours < 48:
        return f"{hours}h" if hours >= 8 else _pair(hours, "h", minutes % 60, "m")
    if days < 365 * 2:
        return f"{days}d" if days >= 8 else _pair(days, "d", hours % 24, "h")
    years = days // 365
    return f"{years}y" if years >= 8 else _pair(years, "y", days % 365, "d")


def _pair(large: int, unit: str, small: int, smaller: str) -> str:
    return f"{large}{unit}{small}{smaller}" if small else f"{large}{unit}"
