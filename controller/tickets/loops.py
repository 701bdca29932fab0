"""Which tickets wait for themselves: all of a namespace at once, in time linear in what is there.

The strongly connected components are found once; what is told of one ticket is then looked up. So
nobody makes every ticket's status dear by many dependencies. Pure, and in slices: a generator that
gives up its turn every few thousand steps.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from controller.tickets.facts import cycle

Edges = Mapping[str, tuple[str, ...]]
Slices = Generator[None, None, "Loops"]

_SLICE: Final = 2_000
"""Edges and tickets between two turns of others: about a millisecond."""
_NEAR: Final = 1_000
"""So many edges are looked at for the shortest way back, before any way will do."""


@dataclass(frozen=True, slots=True)
class Loops:
    """Tickets that wait for themselves, by what was there when it was looked."""

    edges: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of each of them, those to tickets of the same component."""
    onwards: Mapping[str, str] = field(default_factory=dict)
    """The next one on the way to its component's root."""
    back: Mapping[str, str] = field(default_factory=dict)
    """The one before it on the way from the root."""

    def __contains__(self, name: str) -> bool:
        return name in self.edges

    def __iter__(self) -> Iterator[str]:
        return iter(self.edges)

    def way(self, name: str) -> tuple[str, ...]:
        """Return a way from *name* back to itself, both ends named; empty if none is.

        It is the shortest one if that is found by few steps, and visits nothing twice.
        """
        if name not in self.edges:
            return ()
        near = cycle(name, lambda each: self.edges.get(each, ()), _NEAR)
        return near or self._over_root(name)

    def _over_root(self, name: str) -> tuple[str, ...]:
        """Return the way that leads towards the root, until it meets the way from there."""
        arriving: dict[str, str] = {}
        here = name
        while (before := self.back.get(here)) is not None:
            arriving[before] = here
            here = before
        if not arriving:  # it is the root: any edge comes back
            first = self.edges[name][0]
            return name, *self._to_root(first)
        way = [name]
        here = self.onwards[name]
        while here not in arriving and here != name:
            way.append(here)
            here = self.onwards[here]
        while here != name:
            way.append(here)
            here = arriving[here]
        return (*way, name)

    def _to_root(self, name: str) -> Iterator[str]:
        yield name
        while (there := self.onwards.get(name)) is not None:
            yield there
            name = there


def loops(edges: Edges) -> Slices:
    """Find all tickets of *edges* that wait for themselves, a slice at each ``next``."""
    found = _Found()
    search = _Search(edges)
    for start in edges:
        if start not in search.index:
            for component in search.run(start):
                if component:
                    yield from found.add(component, edges)
                else:
                    yield
    return Loops(found.own, found.onwards, found.back)


class _Found:
    """What is known of the components that were found so far."""

    def __init__(self) -> None:
        self.own: dict[str, tuple[str, ...]] = {}
        self.onwards: dict[str, str] = {}
        self.back: dict[str, str] = {}

    def add(self, component: list[str], edges: Edges) -> Generator[None, None, None]:
        members = set(component)
        reverse: dict[str, list[str]] = {name: [] for name in component}
        steps = 0
        for name in component:
            self.own[name] = tuple(there for there in edges[name] if there in members)
            for there in self.own[name]:
                reverse[there].append(name)
            steps += 1 + len(edges[name])
            if steps >= _SLICE:
                steps = 0
                yield
        yield from _tree(component[0], self.own, self.back)
        yield from _tree(component[0], reverse, self.onwards)


def _tree(
    root: str, edges: Mapping[str, Iterable[str]], came_from: dict[str, str]
) -> Generator[None, None, None]:
    """Write down from where each ticket is first reached from *root*."""
    ahead, seen, steps = deque([root]), {root}, 0
    while ahead:
        here = ahead.popleft()
        for there in edges[here]:
            steps += 1
            if there not in seen:
                seen.add(there)
                came_from[there] = here
                ahead.append(there)
        if steps >= _SLICE:
            steps = 0
            yield


class _Search:
    """Tarjan's algorithm, without recursion."""

    def __init__(self, edges: Edges) -> None:
        self._edges = edges
        self.index: dict[str, int] = {}
        self._low: dict[str, int] = {}
        self._stack: list[str] = []
        self._open: set[str] = set()
        self._path: list[tuple[str, Iterator[str]]] = []
        self._steps = 0

    def run(self, start: str) -> Iterator[list[str]]:
        """Give the components behind *start* that hold a cycle; empty: others get their turn."""
        self._enter(start)
        while self._path:
            name, ahead = self._path[-1]
            if (there := self._next(name, ahead)) is not None:
                self._enter(there)
            elif component := self._leave(name):
                yield component
            if self._steps >= _SLICE:
                self._steps = 0
                yield []

    def _enter(self, name: str) -> None:
        self.index[name] = self._low[name] = len(self.index)
        self._stack.append(name)
        self._open.add(name)
        self._path.append((name, iter(self._edges[name])))

    def _next(self, name: str, ahead: Iterator[str]) -> str | None:
        """Return the next one that was not seen; None: all behind *name* were."""
        for there in ahead:
            self._steps += 1
            if there not in self.index:
                if there in self._edges:
                    return there
            elif there in self._open:
                self._low[name] = min(self._low[name], self.index[there])
        return None

    def _leave(self, name: str) -> list[str]:
        """Go back from *name*; return its component if it is the first of one with a cycle."""
        self._steps += 1
        self._path.pop()
        low = self._low[name]
        if self._path:
            before = self._path[-1][0]
            self._low[before] = min(self._low[before], low)
        if low != self.index[name]:
            return []
        component = [self._stack.pop()]
        while component[-1] != name:
            component.append(self._stack.pop())
        self._open.difference_update(component)
        return component if len(component) > 1 or name in self._edges[name] else []
