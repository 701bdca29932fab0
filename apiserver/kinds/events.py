"""Events, in both of their versions."""

from __future__ import annotations

from typing import Any, Final

from typing_extensions import override

from apiserver.kinds.names import qualified_name
from apiserver.kinds.strategy import Context, Strategy
from apiserver.schema.errors import FieldError, invalid, required
from apiserver.store.records import Object

_LONGEST_WORD: Final = 128
_LONGEST_MESSAGE: Final = 1024
_SYSTEM: Final = frozenset({"default", "kube-system"})

_ALWAYS: Final[dict[str, Any]] = {
    "involvedObject": {},
    "source": {},
    "firstTimestamp": None,
    "lastTimestamp": None,
    "eventTime": None,
    "reportingComponent": "",
    "reportingInstance": "",
}
"""Fields that every event of core/v1 shows, whether set or not."""

_ALWAYS_NEW: Final[dict[str, Any]] = {
    "regarding": {},
    "deprecatedSource": {},
    "deprecatedFirstTimestamp": None,
    "deprecatedLastTimestamp": None,
    "eventTime": None,
}
"""The same for events.k8s.io/v1."""


def _fill(obj: Object, always: dict[str, Any]) -> None:
    for name, value in always.items():
        if obj.get(name) is None:
            obj[name] = dict(value) if isinstance(value, dict) else value


def _namespace_errors(obj: Object, field: str) -> list[FieldError]:
    about = (obj.get(field) or {}).get("namespace", "")
    namespace = obj["metadata"].get("namespace", "")
    allowed = _SYSTEM if obj.get("eventTime") else {"default"}
    if about == namespace or (not about and namespace in allowed):
        return []
    return [invalid("involvedObject.namespace", about, "does not match event.namespace")]


def _timed_errors(obj: Object, controller: str, message: str) -> list[FieldError]:
    """Return what is wrong with an event that says when it happened: it must say more."""
    found: list[FieldError] = []
    reporter = obj.get(controller) or ""
    found += [invalid(controller, reporter, text) for text in qualified_name(reporter)]
    for name in (controller, "reportingInstance", "action", "reason"):
        value = obj.get(name) or ""
        if not value:
            found.append(required(name))
        elif len(value) > _LONGEST_WORD and name != controller:
            text = f"can have at most {_LONGEST_WORD} characters"
            found.append(invalid(name, "", text))
    if len(obj.get(message) or "") > _LONGEST_MESSAGE:
        text = f"can have at most {_LONGEST_MESSAGE} characters"
        found.append(invalid("message", "", text))
    return found


class EventStrategy(Strategy):
    """The rules of core/v1."""

    @override
    def default(self, obj: Object) -> None:
        """Show what every event shows."""
        _fill(obj, _ALWAYS)

    @override
    def validate(self, ctx: Context, obj: Object, old: Object | None) -> list[FieldError]:
        """Check that the event and its subject share a namespace, and what a timed one needs."""
        found = _namespace_errors(obj, "involvedObject")
        if obj.get("eventTime"):
            found += _timed_errors(obj, "reportingComponent", "message")
        return found


class NewEventStrategy(Strategy):
    """The rules of events.k8s.io/v1."""

    @override
    def default(self, obj: Object) -> None:
        """Show what every event shows."""
        _fill(obj, _ALWAYS_NEW)

    @override
    def validate(self, ctx: Context, obj: Object, old: Object | None) -> list[FieldError]:
        """Check what this version requires, of new events more than of changed ones."""
        found = _namespace_errors(obj, "regarding")
        if obj.get("eventTime"):
            found += _timed_errors(obj, "reportingController", "note")
        if old is not None:
            return found
        if not obj.get("eventTime"):
            found.append(required("eventTime"))
        if obj.get("type") not in {"Normal", "Warning"}:
            text = f"has invalid value: {obj.get('type') or ''}"
            found.append(invalid("type", "", text))
        for name in ("FirstTimestamp", "LastTimestamp", "Count", "Source"):
            if value := obj.get(f"deprecated{name}"):
                field = name[0].lower() + name[1:]
                found.append(invalid(field, value, "needs to be unset"))
        return found


class EventConversion:
    """`events.k8s.io/v1`: the same events as in core, with other field names."""

    _PAIRS: Final = (
        ("involvedObject", "regarding"),
        ("message", "note"),
        ("source", "deprecatedSource"),
        ("firstTimestamp", "deprecatedFirstTimestamp"),
        ("lastTimestamp", "deprecatedLastTimestamp"),
        ("count", "deprecatedCount"),
        ("reportingComponent", "reportingController"),
    )

    def served(self, obj: Object) -> Object:
        """Return the core event *obj* with this version's names."""
        for core, new in self._PAIRS:
            if core in obj:
                obj[new] = obj.pop(core)
        for name in ("reportingController", "reportingInstance"):
            if not obj.get(name):
                obj.pop(name, None)
        obj["apiVersion"] = "events.k8s.io/v1"
        return obj

    def stored(self, obj: Object) -> Object:
        """Return *obj* as an event of core/v1."""
        for core, new in self._PAIRS:
            if new in obj:
                obj[core] = obj.pop(new)
        _fill(obj, _ALWAYS)
        obj["apiVersion"] = "v1"
        return obj
