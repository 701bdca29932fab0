"""Three-way merge of a ticket's fields: what one side changed never undoes what another did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from controller.gitops.files.ticketfile import X_STATUS
from controller.gitops.files.weave import weave
from schemas.ticket import TicketRun, TicketSpec

_SETS: Final = frozenset({"labels", "assignees", "dependsOn"})
_MERGED: Final = _SETS | {"acceptance", "body", X_STATUS}
"""What more than one can change at the same time."""
_MAX_BODY_BYTES: Final = 65_536
_DEFAULTS: Final = TicketSpec(title="-").manifest()
"""What a field that is not there says; those without a default are absent."""
_MAX_ATTEMPTS: Final = TicketRun(agent_class_name="any").max_attempts


@dataclass(frozen=True, slots=True)
class Merged:
    """What is to be changed, and what is not."""

    changes: Mapping[str, Any]
    """For ``edit``: fields of the spec that are to be other than in *theirs*; None removes."""
    conflicts: tuple[str, ...] = ()
    """Fields of ours that were not taken, as theirs was changed too: ``state``, ``body``,
    ``acceptance.a1.text``."""
    overruled: tuple[str, ...] = ()
    """Fields of theirs that were changed and gave way, because ours is a person's."""
    comment: str | None = None
    """The body that was not taken, ours or theirs: it becomes a comment file, so that it is not
    lost."""


def merge(
    base: Mapping[str, Any] | None,
    theirs: Mapping[str, Any],
    ours: Mapping[str, Any],
    *,
    ours_wins: bool = False,
) -> Merged:
    """Return how *ours* (changed fields, None removes) goes into *theirs* (the spec in git now).

    *base*: the fields as whoever asks saw them; None: whatever is there is replaced. A field that
    is not in it was not there. Where both sides changed a field differently theirs stays and ours
    is a conflict; with *ours_wins* (a person asks, and theirs is not a person's) it is the other
    way round. labels, assignees and dependsOn merge as sets, acceptance by id and field, the body
    by lines. ``x-status`` is always ours.

    All three are as a manifest has them; *base* and *theirs* with defaults.
    """
    merging = _Merging(ours_wins)
    for name, value in ours.items():
        if base is None or name == X_STATUS:
            merging.take(name, theirs.get(name), value)
        else:
            sides = (_whole(name, side) for side in (base.get(name), theirs.get(name), value))
            merging.field(name, *sides)
    return Merged(
        merging.changes, tuple(merging.conflicts), tuple(merging.overruled), merging.comment
    )


def unmet(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields of *ours* that theirs does not say, of those that are one value.

    Whoever asks for what the field said when they saw it has changed nothing, and still is to be
    told that it says something else by now.
    """
    values = {key: value for key, value in ours.items() if key not in _MERGED}
    return tuple(merge(theirs, theirs, values).changes)


@dataclass(slots=True)
class _Merging:
    """One merge under way."""

    ours_wins: bool
    changes: dict[str, Any] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    overruled: list[str] = field(default_factory=list)
    comment: str | None = None

    def take(self, name: str, theirs: Any, result: Any) -> None:
        """Note what the field is to be, if it is not already."""
        if _differ(result, theirs):
            self.changes[name] = result

    def field(self, name: str, base: Any, theirs: Any, ours: Any) -> None:
        """Merge one field of the spec."""
        if name != "body" and not _differ(theirs, base):
            self.take(name, theirs, ours)
        elif name in _SETS:
            self.take(name, theirs, _sets(base or (), theirs or (), ours or ()))
        elif name == "acceptance" and all(map(_distinct, (base, theirs, ours))):
            self.take(name, theirs, self._items(base, theirs, ours))
        elif name == "body":
            self._body(base, theirs, ours)
        else:
            self.take(name, theirs, self._value(name, base, theirs, ours))

    def _value(self, name: str, base: Any, theirs: Any, ours: Any) -> Any:
        """Return which side's value it is to be."""
        if not _differ(ours, base) or not _differ(ours, theirs):
            return theirs
        if not _differ(theirs, base):
            return ours
        (self.overruled if self.ours_wins else self.conflicts).append(name)
        return ours if self.ours_wins else theirs

    def _body(self, base: str, theirs: str, ours: str) -> None:
        base, ours = (_like(text, theirs) for text in (base, ours))
        if len({base, theirs, ours}) == len((base, theirs, ours)):
            woven = weave(base, theirs, ours)
            if woven is not None and len(woven.encode(errors="replace")) <= _MAX_BODY_BYTES:
                self.take("body", theirs, woven)
                return
            self.comment = theirs if self.ours_wins else ours
        self.take("body", theirs, self._value("body", base, theirs, ours))

    def _items(
        self,
        base: Sequence[Mapping[str, Any]],
        theirs: Sequence[Mapping[str, Any]],
        ours: Sequence[Mapping[str, Any]],
    ) -> list[Mapping[str, Any]]:
        """Merge acceptance items by their ids."""
        old, left, right = ({item["id"]: item for item in some} for some in (base, theirs, ours))
        result = {}
        for key in _order(list(old), list(left), list(right)):
            item = self._item(key, old.get(key), left.get(key), right.get(key))
            if item is not None:
                result[key] = item
        return list(result.values())

    def _item(
        self,
        key: str,
        base: Mapping[str, Any] | None,
        theirs: Mapping[str, Any] | None,
        ours: Mapping[str, Any] | None,
    ) -> Mapping[str, Any] | None:
        name = f"acceptance.{key}"
        if theirs is None or ours is None:
            item: Mapping[str, Any] | None = self._value(name, base, theirs, ours)
            return item
        was = base or {}
        merged = {
            part: self._value(f"{name}.{part}", was.get(part), theirs.get(part), ours.get(part))
            for part in dict.fromkeys((*theirs, *ours))
        }
        return {part: value for part, value in merged.items() if value is not None}


def _sets(base: Sequence[Any], theirs: Sequence[Any], ours: Sequence[Any]) -> list[Any]:
    """Return theirs, without what ours removed, and then what ours added."""
    kept = [item for item in theirs if item in ours or item not in base]
    return list(dict.fromkeys([*kept, *(item for item in ours if item not in base)]))


def _order(base: list[str], theirs: list[str], ours: list[str]) -> list[str]:
    """Return all ids in theirs' order, or in ours' if only that changed; new ones at the end."""
    common = set(base) & set(theirs) & set(ours)
    was, left, right = ([key for key in keys if key in common] for keys in (base, theirs, ours))
    first, second = (ours, theirs) if left == was != right else (theirs, ours)
    return list(dict.fromkeys((*first, *second, *base)))


def _distinct(items: Any) -> bool:
    """Whether those are acceptance items that their ids tell apart."""
    ids = [item.get("id") if isinstance(item, Mapping) else None for item in items]
    return None not in ids and len(set(ids)) == len(ids)


def _whole(name: str, value: Any) -> Any:
    """Return a field's value with the defaults that it does not spell out."""
    if value is None:
        return _DEFAULTS.get(name)
    if name == "acceptance":
        return [{"done": False, **item} if isinstance(item, Mapping) else item for item in value]
    if name == "autoRun" and isinstance(value, Mapping):
        return {"maxAttempts": _MAX_ATTEMPTS, **value}
    return value


def _like(text: str, pattern: str) -> str:
    """Return the text with the newlines of *pattern*, if that is all that the two do differently.

    Programs that show a body to an agent, and agents, drop the CR of CRLF.
    """
    if "\r" in text or "\r\n" not in pattern or pattern.count("\n") != pattern.count("\r\n"):
        return text
    return text.replace("\n", "\r\n")


def _differ(one: Any, other: Any) -> bool:
    """Whether two values are not the same; True is not 1, and a list is a tuple."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) != len(other) or any(map(_differ, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() != other.keys() or any(_differ(one[key], other[key]) for key in one)
    return isinstance(one, bool) is not isinstance(other, bool) or bool(one != other)
