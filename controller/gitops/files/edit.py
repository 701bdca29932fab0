"""Changes some fields of a ticket's file: every line that says something else stays as it is.

A field is changed where it stands (``spans``), or written anew from its key on where that cannot
be; each time what results is read again, and must say exactly what is asked. A span editor and no
library that writes YAML: such a library lays out the whole file anew, however carefully.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final, cast

from controller.gitops.files import frontmatter, nodes, shape, ticketfile
from controller.gitops.files.dialect import DialectError, Parsed, parse
from controller.gitops.files.frontmatter import Document, TextError
from controller.gitops.files.shape import ShapeError
from controller.gitops.files.spans import CannotSpanError, Change, Spans, applied, same
from controller.gitops.files.ticketfile import X_STATUS
from controller.gitops.values import MAX_FILE_BYTES, Style
from schemas.names import TICKET
from schemas.ticket import TicketSpec

_MAX_BODY_BYTES: Final = 65_536
_SPEC_ORDER: Final = tuple(str(info.alias) for info in TicketSpec.model_fields.values())


class EditError(ValueError):
    """The file cannot be changed so: it cannot be read, or would say what is not allowed."""


def edit(data: bytes, style: Style, changes: Mapping[str, Any]) -> bytes:
    """Return the file with those fields of the ticket's spec changed; None removes a field.

    *changes* are camelCase fields of ``TicketSpec`` as its manifest has them, and ``x-status``
    (kept in Markdown only: a manifest stays what ``kubectl apply`` takes). What the file says
    already is not touched: no change at all returns *data* itself. Comments, order, quoting,
    newlines, a byte order mark and a missing last newline stay. A body whose lines end with LF
    is written with CRLF where the body was.

    Raises:
        EditError: One sentence that says why.
    """
    file = _opened(data, style)
    try:
        was = shape.spec_of(TICKET.kind, file.spec())
        wanted = _wanted(was, changes)
    except ShapeError as exc:
        raise EditError(f"{shape.field_name(exc.path) or 'the file'}: {exc.message}") from None
    before, after = shape.canonical(was), shape.canonical(wanted)
    lean = wanted.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    result = file
    for name in file.order:
        if name not in changes or (name != X_STATUS and same(before.get(name), after.get(name))):
            continue
        target = changes[name]
        if target is not None and name != X_STATUS:
            target = _fit(file.raw().get(name), after[name], lean.get(name))
        result = result.with_field(name, target)
    if style is Style.MARKDOWN and "body" in changes:
        result = result.with_body(str(after["body"]))
    return _checked(data, result, after)


@dataclass(frozen=True, slots=True)
class _File:
    """A ticket's file, taken apart."""

    style: Style
    document: Document
    """Of a manifest all of it is the front."""
    parsed: Parsed
    outer: nodes.Mapping
    """What holds the ticket's fields."""

    @property
    def order(self) -> tuple[str, ...]:
        """The fields that stand in it, in the order in which they are written."""
        return ticketfile.ORDER if self.style is Style.MARKDOWN else _SPEC_ORDER

    def raw(self) -> dict[str, Any]:
        """Return the fields as they are written."""
        return self.outer.value

    def spec(self) -> dict[str, Any]:
        """Return the spec as it is written. Raises ShapeError."""
        if self.style is Style.YAML:
            return self.raw()
        return {**ticketfile.front(self.parsed).spec, "body": self.document.body}

    def with_field(self, name: str, target: Any) -> "_File":
        """Return the file with one field changed; None: without it. Raises EditError."""
        if same(self.raw().get(name), target):
            return self
        expected = {key: value for key, value in self.raw().items() if key != name}
        if target is not None:
            expected[name] = target
        why = "the file is written so that it cannot be changed: edit it by hand"
        for way, blocks in product((self._in_place, self._anew), (True, False)):
            try:
                spans = self._spans(blocks=blocks)
                front = applied(self.document.front, way(spans, name, target))
                changed = _parsed(self.style, replace(self.document, front=front))
            except DialectError as exc:
                why = exc.message
                continue
            except (CannotSpanError, EditError):
                continue
            if same(changed.raw(), expected) and _rest(changed) == _rest(self):
                return changed
        raise EditError(f"{name}: {why}")

    def with_body(self, body: str) -> "_File":
        """Return the file with another body."""
        document = self.document
        if body and not document.closing.endswith("\n"):
            document = replace(document, closing=document.closing + document.newline)
        return replace(self, document=replace(document, body=body))

    def _in_place(self, spans: Spans, name: str, target: Any) -> Iterator[Change]:
        if target is None:
            return spans.without_key(self.outer, name)
        return spans.key(self.outer, name, target)

    def _anew(self, spans: Spans, name: str, target: Any) -> Iterator[Change]:
        pair = self.outer.pair(name)
        if pair is None or target is None:
            raise CannotSpanError
        return iter((spans.whole_key(self.outer, pair, target),))

    def _spans(self, *, blocks: bool) -> Spans:
        document = self.document
        return Spans(document.front, document.newline, self.outer, self.order, blocks=blocks)


def _opened(data: bytes, style: Style) -> _File:
    """Return the file. Raises EditError."""
    try:
        return _parsed(style, _document(data, style))
    except TextError as exc:
        raise EditError(f"the file cannot be read: line {exc.line}: {exc.message}") from None
    except DialectError as exc:
        raise EditError(f"the file cannot be read: line {exc.line}: {exc.message}") from None


def _document(data: bytes, style: Style) -> Document:
    if style is Style.MARKDOWN:
        document = frontmatter.split(data)
        if document is None:
            raise EditError("the file cannot be read: it has no front matter")
        return document
    bom, rest = frontmatter.without_bom(data)
    text = frontmatter.decode(rest)
    return Document(bom, "", text, "", "")


def _parsed(style: Style, document: Document) -> _File:
    parsed = parse(document.front, 2 if style is Style.MARKDOWN else 1)
    outer = parsed.root
    if style is Style.YAML:
        root = outer
        if not isinstance(root, nodes.Mapping) or root.value.get("kind") != TICKET.kind:
            raise EditError("the file cannot be read: it is not the manifest of a Ticket")
        pair = root.pair("spec")
        outer = pair.node if pair is not None else root
    if not isinstance(outer, nodes.Mapping) or not outer.pairs:
        raise EditError("the file cannot be read: it does not say the ticket's fields")
    return _File(style, document, parsed, outer)


def _rest(file: _File) -> Any:
    """Return what the file says besides the ticket's fields."""
    if file.style is Style.MARKDOWN:
        return None
    return {key: value for key, value in file.parsed.value.items() if key != "spec"}


def _wanted(was: Any, changes: Mapping[str, Any]) -> TicketSpec:
    """Return the spec as it is to be. Raises ShapeError."""
    spec = shape.canonical(was)
    for name, value in changes.items():
        if name == X_STATUS:
            continue
        if name == "body":
            value = _like(value or "", spec["body"])  # noqa: PLW2901 - the body as it is written
        spec[name] = value
    if len(str(spec.get("body") or "").encode(errors="replace")) > _MAX_BODY_BYTES:
        raise ShapeError(("body",), "must be at most 64 KiB")
    return cast("TicketSpec", shape.spec_of(TICKET.kind, spec))


def _like(body: str, before: str) -> str:
    """Return the body with CRLF, if the body before has it throughout and this one nowhere."""
    if "\r" in body or "\r\n" not in before or before.count("\n") != before.count("\r\n"):
        return body
    return body.replace("\n", "\r\n")


def _fit(raw: Any, full: Any, lean: Any) -> Any:
    """Return the value as it is written: defaults only where they are spelled out already.

    *full* has all defaults, *lean* none; *raw* is what is written now.
    """
    if isinstance(full, dict):
        lean = lean or {}
        if not isinstance(raw, dict):
            return lean or full
        return {
            key: _fit(raw.get(key), value, lean.get(key))
            for key, value in full.items()
            if key in raw or key in lean
        }
    if isinstance(full, list) and isinstance(raw, list):
        known = {item["id"]: item for item in raw if isinstance(item, dict) and "id" in item}
        return [
            _fit(known[item["id"]], item, slim)
            if isinstance(item, dict) and item.get("id") in known
            else item
            for item, slim in zip(full, lean or full, strict=True)
        ]
    return full


def _checked(data: bytes, file: _File, expected: Mapping[str, Any]) -> bytes:
    """Return the bytes, once they say what is expected. Raises EditError."""
    result = file.document.data()
    if len(result) > MAX_FILE_BYTES:
        raise EditError(f"the file would be larger than {MAX_FILE_BYTES // 1024} KiB")
    if result == data:
        return data
    try:
        said = shape.canonical(shape.spec_of(TICKET.kind, _opened(result, file.style).spec()))
    except ShapeError as exc:
        raise EditError(f"{shape.field_name(exc.path)}: {exc.message}") from None
    if not same(said, expected):
        raise EditError("the file is written so that it cannot be changed: edit it by hand")
    return result
