"""How tickets are written on a screen or for a script: nothing in them moves the cursor. Pure."""

import json
from collections.abc import Mapping
from typing import Any, Final

from cli.channel_text import printable
from schemas.ticket import Ticket, TicketPriority

_HEADER: Final = ("TICKET", "STATE", "PRIORITY", "TYPE", "DONE", "CLAIMED BY", "TITLE")
_RANK: Final = {priority: rank for rank, priority in enumerate(TicketPriority)}
_ESCAPED: Final = {number: f"\\u{number:04x}" for number in range(0x7F, 0xA0)}


def table(tickets: list[Ticket]) -> str:
    """Return the table of the tickets."""
    rows = [_HEADER, *(_row(ticket) for ticket in tickets)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def whole(ticket: Ticket) -> str:
    """Return everything about the ticket, for people."""
    spec, status = ticket.spec, ticket.status
    facts: list[tuple[str, str]] = [
        ("state", str(spec.state)),
        ("type", str(spec.type)),
        ("priority", str(spec.priority)),
        ("labels", ", ".join(spec.labels)),
        ("assignees", ", ".join(spec.assignees)),
        ("parent", spec.parent or ""),
        ("depends on", ", ".join(spec.depends_on)),
        ("children", ", ".join(status.children)),
        ("repository", spec.repository_ref.name if spec.repository_ref is not None else ""),
        ("progress", _progress(ticket)),
        ("claimed by", status.claim.pod_name if status.claim is not None else ""),
        ("pods", ", ".join(pod.name for pod in status.agent_pods)),
        ("branches", ", ".join(pod.branch for pod in status.agent_pods if pod.branch)),
        ("file", _file(ticket)),
        ("revision", str(ticket.metadata.generation)),
    ]
    width = max(len(name) for name, value in facts if value)
    lines = [f"{ticket.metadata.name}  {printable(spec.title)}"]
    lines += [f"  {name.ljust(width)}  {printable(value)}" for name, value in facts if value]
    lines += [
        f"  [{'x' if item.done else ' '}] {printable(item.id)}: {printable(item.text)}"
        for item in spec.acceptance
    ]
    lines += [
        f"  {condition.type} ({condition.reason}): {printable(condition.message)}"
        for condition in status.conditions
        if condition.type in {"Blocked", "PodWaiting", "Stalled", "WriteBackPending", "Conflict"}
        and condition.status == "True"
    ]
    if spec.body:
        text = spec.body.replace("\r\n", "\n").rstrip("\n")
        lines += ["", *(printable(line).rstrip() for line in text.split("\n"))]
    return "\n".join(lines)


def document(value: Any, form: str) -> str:
    """Return *value* as JSON or YAML."""
    if form == "json":
        return json.dumps(value, indent=2, ensure_ascii=False).translate(_ESCAPED)
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).rstrip("\n")


def urgency(ticket: Ticket) -> tuple[int, str, str]:
    """Return what sorts the most urgent first, then the oldest."""
    meta = ticket.metadata
    return (_RANK[ticket.spec.priority], meta.creation_timestamp, meta.name)


def resource(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resource without what no reader wants to see."""
    metadata = dict(item.get("metadata") or {})
    metadata.pop("managedFields", None)
    return {**item, "metadata": metadata}


def _row(ticket: Ticket) -> tuple[str, ...]:
    spec, claim = ticket.spec, ticket.status.claim
    return (
        ticket.metadata.name,
        str(spec.state),
        str(spec.priority),
        str(spec.type),
        _progress(ticket) or "-",
        claim.pod_name if claim is not None else "-",
        printable(spec.title),
    )


def _progress(ticket: Ticket) -> str:
    found = ticket.status.progress
    return f"{found.done}/{found.total}" if found is not None and found.total else ""


def _file(ticket: Ticket) -> str:
    source = ticket.status.source
    if source is None:
        return ""
    return f"{source.path} (GitSource {source.name}, commit {source.commit[:12]})"
