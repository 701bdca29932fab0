"""The plan for people. Pure."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from cli.channel_text import printable
from cli.plan.document import allow
from cli.plan.values import Action, Changed, Fate, Field, Plan, PodFate
from schemas.counted import counted

_GREEN, _YELLOW, _RED, _DIM = "32", "33", "31", "2"
_SIGNS: Final = {
    Action.CREATE: ("+", _GREEN),
    Action.CHANGE: ("~", _YELLOW),
    Action.ADOPT: ("~", _YELLOW),
    Action.REVERT: ("<", _YELLOW),
    Action.MOVE: (">", _DIM),
    Action.DELETE: ("-", _RED),
    Action.RELEASE: ("o", _DIM),
    Action.CANCEL: ("-", _RED),
    Action.HOLD: ("=", _RED),
    Action.WAIT: (".", _DIM),
    Action.LEAVE: (".", _DIM),
    Action.UNKNOWN: ("?", _YELLOW),
}
_SAYS: Final = {
    Action.CREATE: "",
    Action.CHANGE: "",
    Action.ADOPT: "is there and becomes the source's",
    Action.REVERT: "was changed by hand and is put back",
    Action.MOVE: "",
    Action.DELETE: "",
    Action.RELEASE: "kept, and nobody's from then on",
    Action.CANCEL: "a pod works on it: canceled now, deleted when that has ended",
    Action.HOLD: "would be deleted: held",
    Action.WAIT: "on its way out: what comes after that waits",
    Action.LEAVE: "differs, and is left alone (agentsmesh.io/reconcile: disabled)",
    Action.UNKNOWN: "you may not read what is there",
}
_FATES: Final = {
    Fate.STARTS: ("starts", _GREEN),
    Fate.CONTESTED: ("starts if it comes first", _YELLOW),
    Fate.WAITS: ("waits", _YELLOW),
    Fate.REFUSED: ("is refused", _RED),
    Fate.STOPS: ("stops", _RED),
    Fate.REMOVED: ("is removed", _DIM),
    Fate.SUSPENDS: ("is suspended", _YELLOW),
    Fate.RESUMES: ("goes on", _GREEN),
    Fate.MOVES: ("goes elsewhere", _YELLOW),
    Fate.FINISHED: ("has finished", _DIM),
}
_LONGEST_VALUE: Final = 60
_NAMED_RUNNERS: Final = 4


@dataclass(frozen=True, slots=True)
class Ink:
    """Writes in colour, or does not."""

    colour: bool

    def __call__(self, text: str, code: str) -> str:
        """Return the text in that colour."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


def text(plan: Plan, *, colour: bool) -> str:
    """Return the plan as lines. What comes from files moves no cursor."""
    ink = Ink(colour)
    parts = [
        _head(plan),
        ink(f"Beware: {printable(plan.unbased)}", _RED) if plan.unbased else "",
        _section("Resources", (_changed(each, ink) for each in plan.changed)),
        _section("Pods", _pods(plan, ink)),
        _section("Files that are refused", _files(plan, ink)),
        _section("Held", _held(plan)),
        _section("Not known", (f"  {printable(note)}" for note in plan.notes)),
        _summary(plan),
    ]
    return "\n\n".join(part for part in parts if part)


def _section(title: str, lines: Iterable[str]) -> str:
    found = list(lines)
    return "\n".join((f"{title}:", *found)) if found else ""


def _head(plan: Plan) -> str:
    origin = plan.origin
    ref = f" ({printable(origin.ref)})" if origin.ref != origin.commit else ""
    where = f"GitSource {origin.source}" if origin.source else "no GitSource: its defaults"
    now = f"; applied now: {origin.applied[:12]}" if origin.applied else ""
    return (
        f"Commit {origin.commit[:12]}{ref} of {printable(origin.repository)}\n"
        f"for {where} in namespace {origin.namespace}, folder {printable(origin.path)}{now}"
    )


def _changed(each: Changed, ink: Ink) -> str:
    sign, code = _SIGNS[each.action]
    said = _SAYS[each.action]
    moved = f"was {printable(each.moved_from)}" if each.moved_from else ""
    note = "; ".join(word for word in (said, moved) if word)
    head = f"  {ink(f'{sign} {each.kind} {each.name}', code)}  {printable(each.path)}"
    lines = [f"{head}: {note}" if note else head]
    lines += [f"      {_field(field)}" for field in each.fields]
    if each.refusal is not None:
        maybe = "" if each.refusal.certain else "perhaps "
        why = f"{each.refusal.reason}: {printable(each.refusal.message)}"
        lines.append(f"      {ink(f'{maybe}refused', _RED)}: {why}")
    return "\n".join(lines)


def _field(field: Field) -> str:
    if field.before is None:
        return f"{field.name}: {_value(field.after)}"
    if field.after is None:
        return f"{field.name}: {_value(field.before)} removed"
    return f"{field.name}: {_value(field.before)} -> {_value(field.after)}"


def _value(value: Any) -> str:
    said = printable(json.dumps(value, ensure_ascii=False))
    return said if len(said) <= _LONGEST_VALUE else f"{said[:_LONGEST_VALUE]}…"


def _pods(plan: Plan, ink: Ink) -> Iterator[str]:
    finished = sum(pod.fate is Fate.FINISHED for pod in plan.pods)
    for pod in plan.pods:
        if pod.fate is not Fate.FINISHED:
            yield _pod(pod, ink)
    if plan.crowd is not None:
        room = "some" if plan.crowd.places is None else plan.crowd.places
        yield f"  of the {plan.crowd.pods} that start if they come first, there is room for {room}"
    if finished:
        yield f"  {finished} have finished and are not started again: their files are the same"


def _pod(pod: PodFate, ink: Ink) -> str:
    words, code = _FATES[pod.fate]
    on = ""
    if pod.runners:
        shown = ", ".join(pod.runners[:_NAMED_RUNNERS])
        more = f" and {len(pod.runners) - _NAMED_RUNNERS} more"
        on = f" on {shown}" + (more if len(pod.runners) > _NAMED_RUNNERS else "")
    by = f" for ticket {pod.ticket}" if pod.ticket else ""
    why = f": {pod.reason}: {printable(pod.message)}" if pod.reason else ""
    return f"  {pod.name} {ink(words, code)}{on}{by}{why}"


def _files(plan: Plan, ink: Ink) -> Iterator[str]:
    for each in plan.files:
        at = f":{each.line}" if each.line is not None else ""
        where = ink(f"{printable(each.path)}{at}", _RED)
        yield f"  {where}: {each.reason}: {printable(each.message)}"


def _held(plan: Plan) -> Iterator[str]:
    if plan.held is not None:
        why = f"at most {plan.held.limit} are deleted at once"
        if plan.held.rewritten:
            why = "the commit does not follow the one that is applied"
        count = len(plan.held.gone)
        some = f"{counted(count, 'resource')} {'has' if count == 1 else 'have'} no file any more"
        yield f"  {some}, and {why}: none is, until you allow it"
        if plan.origin.source:
            yield f"  {allow(plan)}"


def _summary(plan: Plan) -> str:
    words = {
        Action.CREATE: "created",
        Action.CHANGE: "changed",
        Action.ADOPT: "adopted",
        Action.REVERT: "put back",
        Action.MOVE: "moved",
        Action.DELETE: "deleted",
        Action.RELEASE: "let go",
        Action.CANCEL: "canceled",
        Action.HOLD: "held",
        Action.UNKNOWN: "unknown",
    }
    done = [each for each in plan.changed if not each.is_refused]
    counts = {action: sum(c.action is action for c in done) for action in words}
    parts = [f"{counts[action]} {word}" for action, word in words.items() if counts[action]]
    if perhaps := sum(each.refusal is not None for each in done):
        parts.append(f"{perhaps} perhaps refused")
    if refused := len(plan.changed) - len(done):
        parts.append(f"{refused} refused")
    parts.append(f"{plan.unchanged} unchanged")
    if plan.files:
        parts.append(f"{counted(len({each.path for each in plan.files}), 'file')} refused")
    if not plan.changes and not plan.refused and plan.held is None:
        return f"Nothing would change ({', '.join(parts)})."
    return f"Plan: {', '.join(parts)}."
