"""Changes of single values in a text: the least that makes it say something else.

A value is changed where it stands; keys and items come and go by lines in blocks, and between
commas in brackets. What cannot be changed so is written anew, from its key on.
"""

import json
import re
from collections.abc import Iterator
from collections.abc import Mapping as Fields
from collections.abc import Sequence as Values
from difflib import SequenceMatcher
from typing import Any, Final, NamedTuple

from controller.gitops.files import emit
from controller.gitops.files.nodes import Mapping, Node, Pair, Scalar, Sequence

_BLOCK_STYLES: Final = frozenset({"|", ">"})
_MAX_STEP: Final = 9
"""What the header of a block of text can say."""
_INDENTED: Final = re.compile(r"\n( +)[^ \r\n]")


class Change(NamedTuple):
    """A part of the text, and what takes its place."""

    start: int
    end: int
    text: str


class CannotSpanError(ValueError):
    """The text is written so that the change cannot be made in place."""


def applied(text: str, changes: Iterator[Change]) -> str:
    """Return the text with the changes made.

    Raises:
        CannotSpanError: Two of them are of the same part.
    """
    parts: list[str] = []
    at = 0
    for change in sorted(changes, key=lambda one: (one.start, one.end)):
        if change.start < at:
            raise CannotSpanError
        parts += [text[at : change.start], change.text]
        at = change.end
    return "".join([*parts, text[at:]])


def same(one: Any, other: Any) -> bool:
    """Whether two values are written the same: true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


class Spans:
    """Finds the changes of one text."""

    def __init__(
        self, text: str, newline: str, outer: Mapping, order: Values[str], *, blocks: bool
    ) -> None:
        """*outer* is what is changed; *order* that in which its keys are written.

        Without *blocks* texts of several lines stand in quotes: what follows a block of text may
        be taken for a part of it, such as a comment that is indented further.
        """
        self._text = text
        self._newline = newline
        self._outer = outer
        self._rank = {key: rank for rank, key in enumerate(order)}
        self._last = order[-1]
        self._blocks = blocks

    def key(self, parent: Mapping, name: str, target: Any) -> Iterator[Change]:
        """Give the changes that make the key say *target*; it may be there or not."""
        pair = parent.pair(name)
        if pair is None:
            yield self._added(parent, name, target)
            return
        try:
            changes = list(self._value(pair.node, target, pair, in_flow=parent.flow))
        except CannotSpanError:
            changes = [self.whole_key(parent, pair, target)]
        yield from changes

    def whole_key(self, parent: Mapping, pair: Pair, target: Any) -> Change:
        """Return the change that writes all that stands behind the key anew."""
        start = self._after_colon(pair)
        if parent.flow:
            return Change(start, self._end(pair), " " + emit.flow(target, pair.key.style))
        block = self._block(pair, target)
        if block is not None:
            return self._behind(pair, [f" {block[0]}", *block[1:]])
        name = emit.scalar(pair.name)
        column = self._column(pair.key.start)
        lines = emit.entry(pair.name, target, column, blocks=self._blocks)
        first = lines[0].lstrip(" ").removeprefix(f"{name}:")
        return self._behind(pair, [first, *lines[1:]])

    def _block(self, pair: Pair, target: Any) -> list[str] | None:
        """Return the lines of a block of text that takes the place of one, indented as that is."""
        if not isinstance(pair.node, Scalar) or pair.node.style != "|" or not self._blocks:
            return None
        if not isinstance(target, str):
            return None
        column = self._column(pair.key.start)
        written = self._text[pair.node.start : pair.node.end]
        said = _INDENTED.search(written)
        step = len(said.group(1)) - column if said is not None else emit.STEP
        told = re.match(r"\|[-+]?([1-9])", written)
        if told is not None:
            step = int(told.group(1))
        return emit.literal(target, column + step, step) if 1 <= step <= _MAX_STEP else None

    def without_key(self, parent: Mapping, name: str) -> Iterator[Change]:
        """Give the change that takes the key away, if it is there."""
        pair = parent.pair(name)
        if pair is None:
            return
        if parent.flow:
            gone = [parent.pairs.index(pair)]
            spans = [(one.key.start, self._end(one)) for one in parent.pairs]
            yield from self._between_commas(spans, gone, {})
            return
        start = self._line_start(pair.key.start)
        if self._text[start : pair.key.start].strip(" "):
            raise CannotSpanError
        yield Change(start, self._next_line(self._end(pair)), "")

    # values

    def _value(
        self, node: Node, target: Any, pair: Pair | None, *, in_flow: bool
    ) -> Iterator[Change]:
        """Give the changes of a value: of that pair, or of an item."""
        if same(node.value, target):
            return
        if isinstance(node, Mapping) and isinstance(target, Fields) and target and node.pairs:
            yield from self._mapping(node, target)
        elif isinstance(node, Sequence) and _is_list(target) and target and node.items:
            yield from self._sequence(node, target)
        elif isinstance(node, Scalar) and not isinstance(target, Fields) and not _is_list(target):
            yield self._scalar(node, target, pair, in_flow=in_flow)
        elif in_flow or pair is None or not target:
            yield self._inline(node, emit.flow(target), pair)
        else:
            raise CannotSpanError

    def _scalar(
        self, node: Scalar, target: emit.Plain, pair: Pair | None, *, in_flow: bool
    ) -> Change:
        many = node.style in _BLOCK_STYLES or (isinstance(target, str) and "\n" in target)
        if many and pair is not None and not in_flow:
            raise CannotSpanError
        return self._inline(node, emit.scalar(target, node.style, in_flow=in_flow), pair)

    def _mapping(self, node: Mapping, target: Fields[str, Any]) -> Iterator[Change]:
        for pair in node.pairs:
            if pair.name not in target:
                yield from self.without_key(node, pair.name)
        for name, value in target.items():
            yield from self.key(node, name, value)

    def _inline(self, node: Node, text: str, pair: Pair | None) -> Change:
        """Return the change of all of a value to what stands on one line."""
        if node.start == node.end:
            return Change(node.start, node.start, f" {text}")
        block = not isinstance(node, Scalar) and not node.flow
        if block and pair is not None:
            return self._behind(pair, [f" {text}"])
        return Change(node.start, node.end, text)

    def _behind(self, pair: Pair, lines: list[str]) -> Change:
        """Return the change of all behind a key; comments on its first and last line stay."""
        start, end = self._after_colon(pair), self._end(pair)
        comments: list[str] = []
        first = self._line_end(start)
        if pair.node.start > first:
            comments.append(self._text[start:first].strip())
        elif isinstance(pair.node, Scalar) and pair.node.style in _BLOCK_STYLES:
            _, sign, said = self._text[pair.node.start : first].partition("#")
            comments.append(sign + said.rstrip())
        if len(lines) > 1 or any(comments):
            comments.append(self._text[end : self._line_end(end)].strip())
            end = self._line_end(end)
        head = "  ".join([lines[0], *filter(None, comments)])
        return Change(start, end, self._newline.join([head, *lines[1:]]))

    # lists

    def _sequence(self, node: Sequence, target: Values[Any]) -> Iterator[Change]:
        """Give the changes that turn the items into those of *target*."""
        old, new = [_mark(item.value) for item in node.items], [_mark(item) for item in target]
        gone: list[int] = []
        added: dict[int, list[Any]] = {}
        matcher = SequenceMatcher(None, old, new, autojunk=False)
        for what, i, j, k, m in matcher.get_opcodes():
            if what == "equal" or (what == "replace" and j - i == m - k):
                for item, value in zip(node.items[i:j], target[k:m], strict=True):
                    yield from self._value(item, value, None, in_flow=node.flow)
                continue
            gone += range(i, j)
            if m > k:
                added[i] = list(target[k:m])
        if not gone and not added:
            return
        if node.flow:
            spans = [(item.start, item.end) for item in node.items]
            yield from self._between_commas(spans, gone, added)
        else:
            yield from self._by_lines(node, gone, added)

    def _by_lines(
        self, node: Sequence, gone: list[int], added: dict[int, list[Any]]
    ) -> Iterator[Change]:
        """Give the changes of items that have dashes."""
        column = self._column(node.start)
        dashes = [self._dash(node, at, column) for at in range(len(node.items))]
        for at in gone:
            yield Change(dashes[at], self._next_line(node.items[at].end), "")
        for at, values in added.items():
            beside = node.items[max(at - 1, 0)]
            block = isinstance(beside, Mapping) and not beside.flow
            lines = [line for value in values for line in emit.item(value, column, block=block)]
            if at == 0:
                yield Change(dashes[0], dashes[0], self._lines(lines))
            else:
                yield self._lines_after(beside.end, lines)

    def _dash(self, node: Sequence, at: int, column: int) -> int:
        """Return where the line of an item's dash begins."""
        floor = node.items[at - 1].end if at else node.start
        start = self._line_start(node.items[at].start)
        while self._text[start : start + column + 1] != " " * column + "-":
            if start <= floor:
                raise CannotSpanError
            start = self._line_start(start - 1)
        return start

    def _between_commas(
        self, spans: list[tuple[int, int]], gone: list[int], added: dict[int, list[Any]]
    ) -> Iterator[Change]:
        """Give the changes of items, or keys and values, that commas part."""
        left = [at for at in range(len(spans)) if at not in gone]
        if not left:
            raise CannotSpanError
        for at in gone:
            start, end = spans[at]
            if at < left[-1]:
                end = spans[at + 1][0]
            elif "#" not in self._text[spans[at - 1][1] : start]:
                start = spans[at - 1][1]
            yield Change(start, end, "")
        for at, values in added.items():
            text = ", ".join(emit.flow(value) for value in values)
            before = [one for one in left if one < at]
            if before:
                yield Change(spans[before[-1]][1], spans[before[-1]][1], f", {text}")
            else:
                yield Change(spans[left[0]][0], spans[left[0]][0], f"{text}, ")

    # keys that are new

    def _added(self, parent: Mapping, name: str, target: Any) -> Change:
        before = parent.pairs
        if parent is self._outer:
            before = [pair for pair in before if self._ranked(pair.name) < self._ranked(name)]
        if parent.flow:
            return self._added_in_braces(before[-1] if before else parent.pairs[-1], name, target)
        first = parent.pairs[0]
        column = self._column(first.key.start)
        lines = emit.entry(name, target, column, blocks=self._blocks)
        start = self._line_start(first.key.start)
        if before:
            return self._lines_after(self._end(before[-1]), lines)
        if self._text[start : first.key.start].strip(" "):
            return self._lines_after(self._end(first), lines)
        return Change(start, start, self._lines(lines))

    def _added_in_braces(self, beside: Pair, name: str, target: Any) -> Change:
        style, end = beside.key.style, self._end(beside)
        column = self._column(beside.key.start)
        margin = self._text[self._line_start(beside.key.start) : beside.key.start]
        apart = " " if margin.strip(" ") else self._newline + " " * column
        text = f",{apart}{emit.scalar(name, style, in_flow=True)}: {emit.flow(target, style)}"
        return Change(end, end, text)

    def _ranked(self, name: str) -> float:
        """Return the place of a key: those that nobody knows stand before the last one."""
        return self._rank.get(name, self._rank[self._last] - 0.5)

    # places

    def _lines(self, lines: list[str]) -> str:
        return "".join(line + self._newline for line in lines)

    def _lines_after(self, index: int, lines: list[str]) -> Change:
        """Return the change that adds lines behind the line of that place."""
        at = self._next_line(index)
        if at == len(self._text) and not self._text.endswith("\n"):
            return Change(at, at, self._newline + self._newline.join(lines))
        return Change(at, at, self._lines(lines))

    def _line_start(self, index: int) -> int:
        return self._text.rfind("\n", 0, max(index, 0)) + 1

    def _line_end(self, index: int) -> int:
        """Return where the line ends, before its newline."""
        at = self._text.find("\n", index)
        end = len(self._text) if at < 0 else at
        return end - 1 if end > index and self._text[end - 1] == "\r" else end

    def _next_line(self, index: int) -> int:
        at = self._text.find("\n", index)
        return len(self._text) if at < 0 else at + 1

    def _column(self, index: int) -> int:
        return index - self._line_start(index)

    def _after_colon(self, pair: Pair) -> int:
        at = self._text.find(":", pair.key.end)
        if at < 0 or self._text[pair.key.end : at].strip(" \t"):
            raise CannotSpanError
        return at + 1

    def _end(self, pair: Pair) -> int:
        return max(self._after_colon(pair), pair.node.end)


def _is_list(value: Any) -> bool:
    return isinstance(value, Values) and not isinstance(value, str)


def _mark(value: Any) -> str:
    """Return what tells items apart: the id, where they have one."""
    if isinstance(value, Fields) and "id" in value:
        return json.dumps(["id", value["id"]])
    return json.dumps(value, sort_keys=True)
