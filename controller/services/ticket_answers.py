"""What is said of tickets that live in git, and of changes of them. Pure."""

from controller.gitops.values import Operation, Problem
from controller.gitops.writeback.compose import X_STATUS, at
from controller.gitops.writeback.values import File, Outcome, Trouble
from controller.gitops.writeback.writeback import Answer
from controller.services.ticket_values import Written
from controller.tools.call import ToolError
from schemas.gitsource import GitSource
from schemas.ticket import Ticket


def not_in_force(
    operation: Operation,
    outcome: Outcome,
    problem: Problem,
    ticket: Ticket | None,
    file: File | None,
) -> Written:
    """Return what became of a change of a file that is not used. Raises ToolError of a new one."""
    name, place = operation.ticket, at(problem)
    why = f"is not used ({problem.reason}): {problem.message}; change the file in git"
    if ticket is None:
        raise ToolError("Conflict", f"the file of ticket {name} was committed, and {place} {why}")
    done = "nothing was changed" if outcome.unchanged else "the change was committed"
    said = f"{done}, and ticket {name} stays as it is: {place} {why}"
    fields = tuple(key for key in operation.changes if key != X_STATUS)
    return Written(
        ticket,
        outcome.commit,
        conflicts=fields,
        message=said,
        unchanged=outcome.unchanged,
        file=file,
    )


def unwritable(source: GitSource, path: str) -> str:
    """Return why the file is changed in git alone; empty: it is not."""
    if source.spec.write_back.enabled and not source.metadata.deleting:
        return ""
    name = source.metadata.name
    return (
        f"it is the file {path} of GitSource {name}, which writes nothing (spec.writeBack.enabled):"
        " change the file in git"
    )


def pending(answer: Answer, trouble: Trouble | None) -> str:
    """Return why the Ticket does not show the change yet."""
    if answer.outcome is not None:
        return "the change is pushed; the Ticket shows it as soon as the branch is read again"
    return waits("the change", trouble.message if trouble is not None else "")


def waits(what: str, why: str = "") -> str:
    """Return that it is kept, and *why* it is not pushed, if that is known."""
    said = f"{what} is accepted and kept, and is pushed as soon as the repository lets us"
    return f"{said}; just now: {why}" if why else said
