"""The part of YAML that files may be written in, parsed into nodes that know where they stand.

YAML 1.2's core schema, of which: mappings with texts as keys, lists, texts, decimal whole numbers,
``true`` and ``false``, ``null``. No anchors, aliases, tags, merge keys, directives, further
documents or key twice: they would say something else to another reader, or much more than is
written. One pass over the events of libyaml, without recursion, stopped at the first limit.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from collections.abc import Sequence as Steps
from typing import Any, Final

import yaml

from controller.gitops.files.nodes import Mapping, Node, Pair, Scalar, Sequence

MAX_DEPTH: Final = 16
"""Mappings and lists within each other."""
MAX_NODES: Final = 5_000
"""Keys, values, lists and mappings of one document."""

_FORBIDDEN: Final = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
    "|\r(?!\n)"
)
"""What no reader of YAML takes, and line breaks that only some take for such."""
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_MAX_DIGITS: Final = 20
_MAX_INTEGER: Final = 2**63 - 1
"""Whole numbers of the API have 64 bits."""
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None, "~": None}
_ADVICE: Final = {
    "mapping values are not allowed in this context": (
        "a ':' stands where none can: a text that holds ': ' must be in quotes, and keys of one"
        " mapping begin in the same column"
    ),
    "found character that cannot start any token": (
        "no value can begin with this character: put the text in quotes; indent with spaces, not"
        " with tabs"
    ),
    "did not find expected alphabetic or numeric character": (
        "a text that begins with * or & must be in quotes"
    ),
}

_OPEN: Final = {
    "found unexpected end of stream": "the quotes that are opened here are not closed",
    "found unexpected document indicator": "the quotes that are opened here are not closed",
    "did not find expected ',' or ']'": "the list that is opened here lacks a ',' or its ']'",
    "did not find expected ',' or '}'": "the mapping that is opened here lacks a ',' or its '}'",
}
"""What is noticed too late to say where it is wrong."""


class DialectError(ValueError):
    """The text is not YAML, or uses what is not allowed."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        """From 1, in the file."""
        self.column = column
        """From 1."""
        self.message = message


class Parsed:
    """One document."""

    def __init__(self, text: str, root: Node, first_line: int) -> None:
        self.text = text
        self.root = root
        self._first_line = first_line
        self._breaks: list[int] | None = None

    @property
    def value(self) -> Any:
        """Mappings, lists, texts, whole numbers, booleans, None."""
        return self.root.value

    def line(self, path: Steps[str | int]) -> int:
        """Return the line, from 1, of the key or item at *path*, or of what is nearest above."""
        node, place = self.root, self.root.start
        for step in path:
            found = _step(node, step)
            if found is None:
                break
            place, node = found
        return self.line_at(place)

    def line_at(self, index: int) -> int:
        """Return the line, from 1 in the file, of that index in the text."""
        if self._breaks is None:
            self._breaks = [at.start() for at in re.finditer("\n", self.text)]
        return self._first_line + bisect_right(self._breaks, index - 1)


def _step(node: Node, step: str | int) -> tuple[int, Node] | None:
    if isinstance(node, Mapping) and isinstance(step, str):
        pair = node.pair(step)
        return None if pair is None else (pair.key.start, pair.node)
    if isinstance(node, Sequence) and isinstance(step, int) and 0 <= step < len(node.items):
        return node.items[step].start, node.items[step]
    return None


def parse(text: str, first_line: int = 1) -> Parsed:
    """Return what the one document of *text* says, whose first line has that number in the file.

    Raises:
        DialectError: It cannot be used.
    """
    wrong = _FORBIDDEN.search(text)
    if wrong is not None:
        raise _forbidden(text, wrong, first_line)
    try:
        root = _Composer(text, first_line).compose(_events(text))
    except yaml.MarkedYAMLError as exc:
        raise _explained(exc, first_line) from None
    except yaml.YAMLError:
        raise DialectError(first_line, 1, "not valid YAML") from None
    return Parsed(text, root, first_line)


def resolve(text: str) -> str | int | bool | None:
    """Return what a plain scalar says. Raises ValueError for a number that is too large."""
    if not text:
        return None
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > _MAX_DIGITS or abs(int(text)) > _MAX_INTEGER:
            raise ValueError
        return int(text)
    return text


def _events(text: str) -> Iterator[Any]:
    """Give the events of libyaml. They all have marks, which their types leave open."""
    events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)
    return events


def _explained(exc: yaml.MarkedYAMLError, first_line: int) -> DialectError:
    said = str(exc.problem or exc.context or "it cannot be read")
    mark, message = exc.problem_mark, _ADVICE.get(said, f"not valid YAML: {said}")
    if said in _OPEN and exc.context_mark is not None:
        mark, message = exc.context_mark, _OPEN[said]
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    return DialectError(first_line + line, column + 1, message)


def _forbidden(text: str, wrong: re.Match[str], first_line: int) -> DialectError:
    before = text[: wrong.start()]
    code = f"U+{ord(wrong.group()[0]):04X}"
    return DialectError(
        first_line + before.count("\n"),
        wrong.start() - before.rfind("\n"),
        f"the character {code} is not allowed here: leave it out, or write it as an escape in"
        " double quotes",
    )


class _Composer:
    """Builds the nodes of one document from its events."""

    def __init__(self, text: str, first_line: int) -> None:
        self._text = text
        self._first_line = first_line
        self._open: list[Sequence | Mapping] = []
        self._keys: list[Scalar | None] = []
        """The key that waits for its value, of each open mapping."""
        self._root: Node | None = None
        self._nodes = 0

    def compose(self, events: Iterator[Any]) -> Node:
        """Return the document's root."""
        documents = 0
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                self._node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._close(event)
            elif isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                self._start(event, documents)
            elif isinstance(event, yaml.DocumentEndEvent) and event.explicit:
                raise self._error(event, "leave out '...': a file holds one document")
        if self._root is None:
            raise DialectError(self._first_line, 1, "nothing is declared here")
        return self._root

    def _start(self, event: yaml.DocumentStartEvent, documents: int) -> None:
        if documents > 1:
            raise self._error(event, "a second document begins here: give it a file of its own")
        if event.version or event.tags:
            raise self._error(event, "directives (%) are not allowed: leave them out")

    def _node(self, event: Any) -> None:
        self._check(event)
        start, end = event.start_mark.index, event.end_mark.index
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event, start, end), event)
            return
        if isinstance(event, yaml.SequenceStartEvent):
            node = Sequence(start, end, bool(event.flow_style))
        else:
            node = Mapping(start, end, bool(event.flow_style))
        if len(self._open) >= MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH} levels")
        self._add(node, event)
        self._open.append(node)
        self._keys.append(None)

    def _check(self, event: Any) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._error(event, f"more than {MAX_NODES} keys and values in one file")
        if isinstance(event, yaml.AliasEvent):
            raise self._error(event, "aliases (*) are not allowed: write the value out")
        if event.anchor is not None:
            raise self._error(event, "anchors (&) are not allowed: write the value out")
        if getattr(event, "tag", None) is not None:
            raise self._error(event, "tags (!) are not allowed: leave it out")

    def _scalar(self, event: Any, start: int, end: int) -> Scalar:
        style = event.style if event.style in {"'", '"', "|", ">"} else ""
        if style in {"|", ">"}:
            end = self._block_end(start, end)
        if style or self._key_is_next():
            return Scalar(start, end, event.value, style)
        try:
            return Scalar(start, end, resolve(event.value), "")
        except ValueError:
            raise self._error(event, "the number is too large: put it in quotes") from None

    def _block_end(self, start: int, end: int) -> int:
        """Return where a block of text ends for who looks at it: blank lines behind it may stay."""
        written = self._text[start:end]
        header, _, _ = written.partition("\n")
        if "+" in header.partition("#")[0]:
            return start + len(written.removesuffix("\n").removesuffix("\r"))
        return start + len(written.rstrip("\r\n"))

    def _key_is_next(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1], Mapping) and self._keys[-1] is None

    def _add(self, node: Node, event: Any) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
            parent.value.append(node.value)
            return
        key = self._keys[-1]
        if key is None:
            self._keys[-1] = self._key(parent, node, event)
            return
        self._keys[-1] = None
        name = str(key.value)
        parent.pairs.append(Pair(key, name, node))
        parent.value[name] = node.value

    def _key(self, parent: Mapping, node: Node, event: Any) -> Scalar:
        if not isinstance(node, Scalar):
            raise self._error(event, "a key must be a text")
        name = str(node.value)
        if not name and not node.style:
            raise self._error(event, "a key is missing before the ':'")
        if name == "<<" and not node.style:
            raise self._error(event, "merge keys (<<) are not allowed: write the keys out")
        if name in parent.value:
            shown = name[:64]
            raise self._error(event, f"the key {shown!r} stands here twice: leave one out")
        return node

    def _close(self, event: Any) -> None:
        node = self._open.pop()
        self._keys.pop()
        if node.flow:
            node.end = event.end_mark.index
        elif isinstance(node, Sequence):
            node.end = node.items[-1].end if node.items else node.start
        else:
            node.end = node.pairs[-1].node.end if node.pairs else node.start

    def _error(self, event: Any, message: str) -> DialectError:
        mark = event.start_mark
        return DialectError(self._first_line + mark.line, mark.column + 1, message)
