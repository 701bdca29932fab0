"""What somebody asks of a ticket: what the change is bound to, and what it comes to. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.tools.call import ToolError
from schemas.ticket import LINE_MESSAGE, LINE_PATTERN, Ticket

_LINE: Final = re.compile(LINE_PATTERN)
_MAX_BODY_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Asked:
    """A change of a ticket that is kept on the API alone, and what it is bound to."""

    changes: Mapping[str, Any]
    items: Mapping[str, bool]
    revision: int | None
    seen: Mapping[str, Any] | None

    def fits(self, ticket: Ticket) -> bool:
        """Whether the ticket, as far as we know it, is as whoever asks has it in mind."""
        current = self.revision in {None, ticket.metadata.generation}
        return current and not otherwise(ticket, self.seen)


def marked(ticket: Ticket, items: Mapping[str, bool]) -> dict[str, Any]:
    """Return the change that marks the acceptance items. Raises ToolError."""
    if not items:
        return {}
    there = [item.manifest() for item in ticket.spec.acceptance]
    known = [item["id"] for item in there]
    if unknown := [each for each in items if each not in known]:
        raise ToolError(
            "InvalidArgument",
            f"done, undone: the ticket has no acceptance item {unknown[0]!r}; it has"
            f" {', '.join(known) or 'none'}",
        )
    return {"acceptance": [{**item, "done": items.get(item["id"], item["done"])} for item in there]}


def otherwise(ticket: Ticket, seen: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the fields that are not as they were seen."""
    spec = ticket.spec.manifest()
    return tuple(key for key, value in (seen or {}).items() if spec.get(key) != value)


def check_others(name: str, spec: Mapping[str, Any]) -> None:
    """Make sure that the ticket of that name neither is a part of itself nor waits for itself.

    Raises:
        ToolError: It would be.
    """
    if name and spec.get("parent") == name:
        raise ToolError("InvalidArgument", "parent: a ticket cannot be its own parent")
    if name and name in (spec.get("dependsOn") or ()):
        raise ToolError("InvalidArgument", "dependsOn: a ticket cannot depend on itself")


def check_texts(spec: Mapping[str, Any]) -> None:
    """Make sure that title and body can be those of a ticket. Raises ToolError."""
    title, body = spec.get("title"), spec.get("body")
    if isinstance(title, str):
        if not title.strip():
            raise ToolError("InvalidArgument", "title: it must not be blank")
        if not _LINE.fullmatch(title):
            raise ToolError("InvalidArgument", f"title: it {LINE_MESSAGE}")
    if isinstance(body, str):
        if "\x00" in body:
            raise ToolError("InvalidArgument", "description: it must not hold NUL characters")
        if len(body.encode("utf-8", errors="replace")) > _MAX_BODY_BYTES:
            raise ToolError("LimitExceeded", "description: it is larger than 64 KiB of UTF-8")
