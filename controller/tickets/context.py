"""What a pod is told of its ticket: one Markdown document, in its first prompt and in a file. Pure.

The body is in it byte for byte. Whoever writes tickets thereby writes prompts: that is what they
are for.
"""

from collections.abc import Iterable
from typing import Final

from schemas.ticket import Ticket

MOST_BYTES: Final = 120 * 1024
"""A first prompt that is longer says where the ticket is instead of what it says. Source:
execve(2), MAX_ARG_STRLEN: an argument holds 128 KiB."""

FILE_VARIABLE: Final = "AGENTSMESH_TICKET_FILE"
"""Variable of the pod's environment that names the file."""


def document(ticket: Ticket, parent: Ticket | None = None) -> str:
    """Return all that a pod needs to know of its ticket, as Markdown that ends with a newline.

    *parent*: the ticket that it is a part of, if it is there.
    """
    spec = ticket.spec
    parts = ["\n".join((_headline(ticket), "", *_facts(ticket, parent)))]
    if spec.body:
        parts.append(f"## Description\n\n{spec.body}")
    if spec.acceptance:
        items = (f"- [{'x' if a.done else ' '}] {a.id}: {_line(a.text)}" for a in spec.acceptance)
        parts.append("\n".join(("## Acceptance: what must be true when it is done", "", *items)))
    parts.append(_reporting(ticket))
    return "\n\n".join(parts) + "\n"


def first_prompt(ticket: Ticket, said: str, prompt: str) -> str:
    """Return the first prompt: the document *said* of the ticket, then the pod's own *prompt*.

    What is too long for an argument is in the file alone, and the prompt says so.
    """
    whole = _joined(said, prompt)
    if len(whole.encode("utf-8", errors="replace")) <= MOST_BYTES:
        return whole
    where = (
        f"{_headline(ticket)}\n\nThe ticket is too long for a prompt. It is in the file that the "
        f"environment variable {FILE_VARIABLE} names: read all of it first.\n"
    )
    return _joined(where, prompt)


def _joined(said: str, prompt: str) -> str:
    return f"{said}\n{prompt}" if prompt else said


def _headline(ticket: Ticket) -> str:
    return f"# Ticket {ticket.metadata.name}: {ticket.spec.title}"


def _facts(ticket: Ticket, parent: Ticket | None) -> Iterable[str]:
    """Give the ticket's short fields, a line each."""
    spec, source = ticket.spec, ticket.status.source
    yield f"- State: {spec.state}"
    yield f"- Type: {spec.type}"
    yield f"- Priority: {spec.priority}"
    if spec.labels:
        yield f"- Labels: {', '.join(_line(label) for label in spec.labels)}"
    if spec.parent is not None:
        title = f" ({parent.spec.title})" if parent is not None else ""
        yield f"- Part of: {spec.parent}{title}"
    if spec.depends_on:
        yield f"- Depends on: {', '.join(spec.depends_on)}"
    if source is not None:
        yield f"- File in git: {_line(source.path)} (GitSource {source.name})"


def _reporting(ticket: Ticket) -> str:
    name = ticket.metadata.name
    return (
        "## How to report\n\n"
        f"- `get_ticket` with ticket_id `{name}` tells how the ticket stands now. `update_ticket` "
        "changes it: `status`, `description`, and with the ids of acceptance items `done` and "
        "`undone`.\n"
        f"- End the message of every commit for it with the line `Ticket: {name}`.\n"
        "- When you end with commits, the ticket goes to review; without, back to todo."
    )


def _line(text: str) -> str:
    """Return the text on one line: what stands in a list must not end it."""
    return " ".join(text.split())
