"""What operations do to the files of a branch as they are at its tip. Pure.

Operations are carried out one after the other, each on what those before it have left. Whatever
cannot be carried out is refused by itself and harms no other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from controller.gitops.files.create import comment_path, new_comment, new_ticket, ticket_path
from controller.gitops.files.edit import EditError, edit
from controller.gitops.files.merge import Merged, merge, unmet
from controller.gitops.files.origin import creation
from controller.gitops.files.read import Rules, read_file, read_x_status
from controller.gitops.values import (
    Declared,
    Identity,
    Operation,
    OperationKind,
    Problem,
    Style,
)
from controller.gitops.writeback.commits import Edit, cut, subject
from controller.gitops.writeback.room import full, full_beside
from controller.gitops.writeback.values import End, Outcome
from schemas.names import TICKET
from schemas.ticket import broken_rule

X_STATUS: Final = "x-status"
UPDATED: Final = "updated"
"""The one key of x-status that never is a reason to write it."""

GONE: Final = "FileGone"
DUPLICATE: Final = "DuplicateId"
EXISTS: Final = "AlreadyExists"
INVALID: Final = "Invalid"
BROKEN: Final = "RuleBroken"
FULL: Final = "LimitExceeded"

_MESSAGE: Final = 512


@dataclass(slots=True)
class Files:
    """The files that the operations are about, as they are at the tip."""

    folder: str
    """``spec.path``."""
    paths: dict[str, str]
    """The file of each ticket that has one."""
    data: dict[str, bytes] = field(repr=False)
    """By path."""
    claimed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Tickets that more than one file claims, and none had before."""
    existing: int = 0
    """Files of tickets on the branch."""
    total: int = 0
    """Files below the folder that the source counts."""
    listed: int = 0
    """All files below it."""


@dataclass(frozen=True, slots=True)
class Context:
    """What composing needs beside operations and files."""

    rules: Rules
    reports: Mapping[str, Mapping[str, Any]]
    """By ticket: what ``x-status`` is to say, without when."""
    stamp: str
    """What time it is, RFC 3339."""
    ulids: Mapping[str, str]
    """By operation: the name of a comment, should one be made of it."""


@dataclass(slots=True)
class Composed:
    """What the operations come to."""

    edits: list[Edit] = field(default_factory=list)
    """To be committed."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """By operation: all of them; of those in *edits* the commit is still to be filled in."""
    reports: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By ticket: what its ``x-status`` will say, where an operation was about that."""


class RefusedError(Exception):
    """The operation cannot be carried out."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def compose(operations: Iterable[Operation], files: Files, context: Context) -> Composed:
    """Return what *operations*, in order, do to *files*, which are changed as they will be."""
    made = Composed()
    for operation in operations:
        try:
            _carry_out(operation, files, context, made)
        except RefusedError as exc:
            made.outcomes[operation.id] = Outcome(
                End.REFUSED, reason=exc.reason, message=cut(str(exc), _MESSAGE)
            )
    return made


def _carry_out(operation: Operation, files: Files, context: Context, made: Composed) -> None:
    if operation.kind is OperationKind.CREATE:
        changed = {_create(operation, files, context): files.data[files.paths[operation.ticket]]}
        outcome, summary = Outcome(End.LANDED, path=files.paths[operation.ticket]), ""
    else:
        changed, outcome, summary = _update(operation, files, context, made)
    made.outcomes[operation.id] = outcome
    if changed:
        told = replace(operation, summary=summary) if summary else operation
        made.edits.append(Edit(told, changed))


def _create(operation: Operation, files: Files, context: Context) -> str:
    """Add the file; return its path."""
    ticket = operation.ticket
    if ticket in files.paths or ticket in files.claimed:
        where = files.paths.get(ticket) or ", ".join(files.claimed[ticket])
        raise RefusedError(EXISTS, f"ticket {ticket} has a file already: {where}")
    _room(full(files.folder, files.total, files.listed, person=operation.person))
    given = {key: value for key, value in operation.changes.items() if value is not None}
    spec = {key: value for key, value in given.items() if key != X_STATUS}
    path = ticket_path(files.folder, ticket, str(spec.get("title", "")), files.existing)
    if path in files.data:
        raise RefusedError(EXISTS, f"{path} is there already and says something else")
    try:
        data = new_ticket(ticket, spec)
        if origin := creation(given.get(X_STATUS)):
            data = edit(data, Style.MARKDOWN, {X_STATUS: {**origin, UPDATED: context.stamp}})
    except EditError as exc:
        raise RefusedError(INVALID, str(exc)) from exc
    _check(_valid(path, data, ticket, context.rules))
    files.paths[ticket], files.data[path] = path, data
    files.existing += 1
    files.total += 1
    files.listed += 1
    return path


def _update(
    operation: Operation, files: Files, context: Context, made: Composed
) -> tuple[dict[str, bytes], Outcome, str]:
    """Return the files, how it ended, and the subject of the commit if it is another one."""
    path = _path(operation.ticket, files)
    data = files.data[path]
    there = _readable(path, data, operation.ticket, context.rules)
    wanted = {key: value for key, value in operation.changes.items() if key != X_STATUS}
    merged = _merged(operation, there.spec, wanted)
    if merged.comment is not None:
        _room(full_beside(files.folder, files.listed, person=operation.person))
    changes = dict(merged.changes)
    wanted_report = _wanted(operation, context) if "state" not in merged.conflicts else None
    if wanted_report and there.style is Style.MARKDOWN:
        said = read_x_status(data, there.style)
        whole = {**creation(said), **wanted_report}
        if _timeless(said or {}) != whole:
            changes[X_STATUS] = {**whole, UPDATED: context.stamp}
    try:
        after = edit(data, there.style, changes) if changes else data
    except EditError as exc:
        raise RefusedError(INVALID, f"{path}: {exc}") from exc
    changed: dict[str, bytes] = {}
    if after != data:
        then = _valid(path, after, operation.ticket, context.rules)
        if merged.changes:
            _check(then, there)
        changed[path] = files.data[path] = after
    if wanted_report:
        made.reports[operation.ticket] = wanted_report
    if merged.comment is not None:
        ulid = context.ulids[operation.id]
        name = operation.author.name
        aside = comment_path(files.folder, path, operation.ticket, ulid, name)
        about = f"Body of {operation.ticket} that was not taken"
        changed[aside] = new_comment(merged.comment, name, about)
        files.listed += 1
    what = _said(merged, path, there.spec, tuple(wanted))
    outcome = Outcome(
        End.LANDED,
        path=path,
        conflicts=merged.conflicts,
        message=what,
        unchanged=not merged.changes,
    )
    return changed, outcome, _subject(operation.ticket, merged)


def _merged(operation: Operation, theirs: Mapping[str, Any], wanted: Mapping[str, Any]) -> Merged:
    """Merge; what is asked for and does not stand there then is a conflict."""
    merged = merge(operation.base, theirs, wanted)
    known = {*merged.changes, *merged.conflicts}
    otherwise = unmet(theirs, {key: wanted[key] for key in wanted if key not in known})
    return replace(merged, conflicts=(*merged.conflicts, *otherwise))


def _subject(ticket: str, merged: Merged) -> str:
    """Return the subject for what is left of a change; empty: nothing of it was refused."""
    if not merged.conflicts:
        return ""
    if merged.changes:
        return subject(ticket, merged.changes)
    if merged.comment is not None:
        return f"Keep beside {ticket} a body that was not taken"
    return f"Say how {ticket} does"  # x-status is all that is left


def _room(sentence: str) -> None:
    """Refuse what there is no room for; empty: there is."""
    if sentence:
        raise RefusedError(FULL, sentence)


def _path(ticket: str, files: Files) -> str:
    if ticket in files.claimed:
        several = ", ".join(files.claimed[ticket])
        raise RefusedError(
            DUPLICATE, f"more than one file is about ticket {ticket}: {several}: remove all but one"
        )
    path = files.paths.get(ticket)
    if path is None:
        raise RefusedError(GONE, f"no file of the branch is about ticket {ticket} any more")
    return path


def _wanted(operation: Operation, context: Context) -> dict[str, Any] | None:
    """Return what x-status is to say after the operation; None: it is not its concern."""
    if not {"state", X_STATUS} & operation.changes.keys():
        return None
    wanted = context.reports.get(operation.ticket) or operation.changes.get(X_STATUS)
    return _timeless(wanted) if wanted else None


def _timeless(report: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key != UPDATED}


def _readable(path: str, data: bytes, ticket: str, rules: Rules) -> Declared:
    """Return what the file says now."""
    found = read_file(path, "", data, rules)
    if isinstance(found, Problem):
        raise RefusedError(
            found.reason, f"{at(found)}: {found.message}; the file must be repaired first"
        )
    if found is None or found.identity != Identity(TICKET.kind, ticket):
        raise RefusedError(GONE, f"{path} is not about ticket {ticket} any more")
    return found


def _valid(path: str, data: bytes, ticket: str, rules: Rules) -> Declared:
    """Make sure that what is committed can be read back; return what it says."""
    found = read_file(path, "", data, rules)
    if isinstance(found, Problem):
        raise RefusedError(INVALID, f"{at(found)}: {found.message}")
    if found is None or found.identity != Identity(TICKET.kind, ticket):
        raise RefusedError(INVALID, f"{path} would not be about ticket {ticket} any more")
    return found


def _check(after: Declared, before: Declared | None = None) -> None:
    """Make sure that the API server takes what is committed, as far as its own rules go."""
    rule = broken_rule(after.spec)
    if rule is None:
        return
    field = rule.field_path.removeprefix(".")
    if before is not None and broken_rule(before.spec) is not None:
        text = f"{after.path}: {field}: {rule.message}; the file must be repaired first"
        raise RefusedError(BROKEN, text)
    raise RefusedError(INVALID, f"{after.path}: {field}: {rule.message}")


def at(problem: Problem) -> str:
    """Return the file, and the line if it is known."""
    return problem.path if problem.line is None else f"{problem.path}:{problem.line}"


def _said(merged: Merged, path: str, spec: Mapping[str, Any], wanted: Iterable[str]) -> str:
    """Return the sentence about what was taken and what not; empty if everything was."""
    if not merged.conflicts:
        return ""
    lost = {name.partition(".")[0] for name in merged.conflicts}
    taken = [name for name in wanted if name not in lost]
    taken += [f"the rest of {name}" for name in merged.changes if name in lost]
    rest = f"{', '.join(taken)} {'were' if len(taken) > 1 else 'was'} taken; " if taken else ""
    stays = ", ".join(_field(name, spec) for name in merged.conflicts)
    aside = "; your text was kept as a comment beside it" if merged.comment is not None else ""
    return cut(
        f"{rest}{path} was changed at the same time, and what stands there stays: {stays}{aside}",
        _MESSAGE,
    )


def _field(name: str, spec: Mapping[str, Any]) -> str:
    value = spec.get(name)
    if value is None:
        return name
    short = isinstance(value, str) and len(value) <= 60 and name != "body"
    return f"{name} is {value}" if short else name
