"""How far a ticket is, who works on it, and whether it waits for itself. Pure."""

from collections import deque
from collections.abc import Callable, Iterable

from schemas.agentpod import AgentPod
from schemas.ticket import Progress, Ticket, TicketCommit, TicketPod, TicketState

_CLOSED = frozenset({TicketState.DONE, TicketState.CANCELED})


def progress(ticket: Ticket, children: Iterable[Ticket]) -> Progress:
    """Return how many of its acceptance items and children are done; canceled children are."""
    said = [item.done for item in ticket.spec.acceptance]
    said += [child.spec.state in _CLOSED for child in children]
    return Progress(done=sum(said), total=len(said))


def closed(ticket: Ticket | None) -> bool:
    """Whether nothing waits for the ticket any more; one that is not there is waited for."""
    return ticket is not None and ticket.spec.state in _CLOSED


def blockers(ticket: Ticket, found: Callable[[str], Ticket | None]) -> tuple[str, ...]:
    """Return the tickets that must be done before it and are neither done nor canceled.

    Nothing keeps a ticket waiting that is closed itself.
    """
    if closed(ticket):
        return ()
    return tuple(name for name in ticket.spec.depends_on if not closed(found(name)))


def children_of(tickets: Iterable[Ticket]) -> tuple[str, ...]:
    """Return the names of those that are not being deleted, the oldest first."""
    there = [ticket.metadata for ticket in tickets if not ticket.metadata.deleting]
    return tuple(meta.name for meta in sorted(there, key=lambda m: (m.creation_timestamp, m.name)))


def worked_on(pods: Iterable[AgentPod], before: Iterable[TicketPod]) -> tuple[TicketPod, ...]:
    """Return who works or worked on it, the newest first; *before* knows pods that are gone."""
    there = sorted(pods, key=lambda p: (p.metadata.creation_timestamp, p.metadata.name))
    now = tuple(_as_seen(pod) for pod in reversed(there))
    uids = {pod.uid for pod in now}
    return (*now, *(pod for pod in before if pod.uid not in uids))


def joined(new: Iterable[TicketCommit], before: Iterable[TicketCommit]) -> tuple[TicketCommit, ...]:
    """Return the commits that name it, each once, those that are new first."""
    return tuple({commit.sha: commit for commit in (*new, *before)}.values())


def cycle(
    name: str, following: Callable[[str], Iterable[str]], most: int | None = None
) -> tuple[str, ...]:
    """Return the shortest way from *name* back to itself, both ends named; empty if none is.

    *most*: so many steps are taken; if none was found by then, it is as if there were none.
    """
    came_from: dict[str, str] = {}
    ahead = deque([name])
    steps = 0
    while ahead and (most is None or steps < most):
        here = ahead.popleft()
        for there in following(here):
            steps += 1
            if there == name:
                return _way(name, here, came_from)
            if there not in came_from:
                came_from[there] = here
                ahead.append(there)
    return ()


def _way(start: str, end: str, came_from: dict[str, str]) -> tuple[str, ...]:
    back = [start]
    while end != start:
        back.append(end)
        end = came_from[end]
    return (*reversed([*back, start]),)


def _as_seen(pod: AgentPod) -> TicketPod:
    tree = pod.status.worktree
    use = pod.spec.repository_ref
    asked = use.worktree.branch if use is not None else None
    return TicketPod(
        name=pod.metadata.name,
        uid=pod.metadata.uid,
        branch=(tree.branch if tree is not None else None) or asked,
        commit=tree.commit if tree is not None else None,
        base_commit=tree.base_commit if tree is not None else None,
    )
