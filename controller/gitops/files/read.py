"""What one file declares, or why it cannot be used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.gitops.files import frontmatter, origin, shape, ticketfile
from controller.gitops.files.canonical import digest
from controller.gitops.files.dialect import DialectError, Parsed, parse
from controller.gitops.files.frontmatter import Document, TextError
from controller.gitops.files.manifest import NotAllowedError, manifest
from controller.gitops.files.shape import ShapeError
from controller.gitops.values import MAX_FILE_BYTES, Declared, Identity, Problem, Style
from schemas.base import Model
from schemas.names import TICKET

_MARKDOWN: Final = (".md", ".markdown")
_EXTENSIONS: Final = (*_MARKDOWN, ".yaml", ".yml")
"""Files of other names are not ours. In capitals, too: a file is not to be passed over for that."""
_LONGEST_EXTENSION: Final = max(map(len, _EXTENSIONS))

INVALID_ENCODING: Final = "InvalidEncoding"
INVALID_FRONT_MATTER: Final = "InvalidFrontMatter"
INVALID_YAML: Final = "InvalidYAML"
INVALID: Final = "Invalid"
"""The schema of its kind does not allow what it says."""
KIND_NOT_ALLOWED: Final = "KindNotAllowed"
NOT_ALLOWED: Final = "NotAllowed"
"""It says what git does not set: status, finalizers, owners, keys of our domain."""
OTHER_NAMESPACE: Final = "OtherNamespace"
TOO_LARGE: Final = "TooLarge"

_MAX_BODY_BYTES: Final = 65_536
_LONGEST_MESSAGE: Final = 512


@dataclass(frozen=True, slots=True)
class Rules:
    """What the files of one source may be."""

    namespace: str
    """Of the source: a manifest names it, or none."""
    kinds: frozenset[str]
    """``spec.kinds``."""


def style_of(path: str) -> Style | None:
    """Return how a file of that name is written; None: it is not ours, whatever it holds."""
    ending = path[-_LONGEST_EXTENSION:].lower()
    if not ending.endswith(_EXTENSIONS):
        return None
    return Style.MARKDOWN if ending.endswith(_MARKDOWN) else Style.YAML


def problem(path: str, reason: str, message: str, line: int | None = None) -> Problem:
    """Return why the file of that path, as git has it, cannot be used."""
    return Problem(path, reason, printable(message)[:_LONGEST_MESSAGE], line)


def printable(text: str) -> str:
    """Return the text on one line, with what is not printable as escapes."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def read_file(path: str, blob: str, data: bytes, rules: Rules) -> Declared | Problem | None:
    """Return what the file declares, or why it cannot be used; None: it is not ours.

    Not ours is Markdown without front matter, such as a README.
    """
    style = style_of(path)
    if style is None:
        return None
    if len(data) > MAX_FILE_BYTES:
        return problem(path, TOO_LARGE, f"is larger than {MAX_FILE_BYTES // 1024} KiB")
    read = _ticket if style is Style.MARKDOWN else _manifest
    return _guarded(path, lambda: read(path, blob, data, rules))


def read_x_status(data: bytes, style: Style) -> Mapping[str, Any] | None:
    """Return what the controller last wrote into the file; None: nothing, or it cannot be read."""
    if style is not Style.MARKDOWN:
        return None
    try:
        document = frontmatter.split(data)
        said = parse(document.front, 2).value if document is not None else None
    except (TextError, DialectError):
        return None
    found = said.get(ticketfile.X_STATUS) if isinstance(said, dict) else None
    return found if isinstance(found, dict) else None


def declared(
    path: str,
    blob: str,
    style: Style,
    identity: Identity,
    spec: Model,
    metadata: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
    lines: Mapping[str, int] | None = None,
) -> Declared:
    """Return what a file declares, with its digest."""
    whole = shape.canonical(spec)
    labels, annotations = metadata
    said = digest(identity, whole, labels, annotations)
    return Declared(identity, path, blob, style, whole, said, labels, annotations, lines or {})


class _ProblemError(Exception):
    """Carries what is wrong to the one place that returns it."""

    def __init__(self, reason: str, message: str, line: int | None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.line = line


def _guarded(path: str, read: Callable[[], Declared | None]) -> Declared | Problem | None:
    try:
        return read()
    except TextError as exc:
        return problem(path, exc.reason, exc.message, exc.line)
    except DialectError as exc:
        return problem(path, INVALID_YAML, f"column {exc.column}: {exc.message}", exc.line)
    except _ProblemError as exc:
        return problem(path, exc.reason, exc.message, exc.line)


def _ticket(path: str, blob: str, data: bytes, rules: Rules) -> Declared | None:
    document = frontmatter.split(data)
    if document is None:
        return None
    parsed = _parsed_front(document)
    try:
        front = ticketfile.front(parsed)
        if TICKET.kind not in rules.kinds:
            raise NotAllowedError(
                KIND_NOT_ALLOWED, (), "the source allows no tickets (spec.kinds): move it elsewhere"
            )
        if len(document.body.encode()) > _MAX_BODY_BYTES:
            raise ShapeError(("body",), "must be at most 64 KiB")
        spec = shape.spec_of(TICKET.kind, {**front.spec, "body": document.body})
    except ShapeError as exc:
        on_body = exc.path[:1] == ("body",) and "body" not in parsed.value
        line = document.body_line if on_body else parsed.line(exc.path)
        raise _refused(exc, line) from None
    lines = {key: parsed.line((key,)) for key in front.spec} | {"body": document.body_line}
    identity = Identity(TICKET.kind, front.ticket)
    made_by = origin.annotations(parsed.value.get(ticketfile.X_STATUS))
    return declared(path, blob, Style.MARKDOWN, identity, spec, ({}, made_by), lines)


def _parsed_front(document: Document) -> Parsed:
    if not document.front.strip():
        raise _ProblemError(
            INVALID_FRONT_MATTER, "id: is missing: add the ticket's id, such as tk-7f3kq9xw2m", 1
        )
    return parse(document.front, 2)


def _manifest(path: str, blob: str, data: bytes, rules: Rules) -> Declared:
    _, rest = frontmatter.without_bom(data)
    frontmatter.refuse_conflict(rest, fences=False)
    parsed = parse(frontmatter.decode(rest))
    try:
        said = manifest(parsed.value, rules.namespace, rules.kinds)
    except ShapeError as exc:
        raise _refused(exc, parsed.line(exc.path)) from None
    try:
        spec = shape.spec_of(said.kind, said.spec)
    except ShapeError as exc:
        exc.path = ("spec", *exc.path)
        raise _refused(exc, parsed.line(exc.path)) from None
    lines = {key: parsed.line(("spec", key)) for key in said.spec}
    metadata = (said.labels, said.annotations)
    identity = Identity(said.kind, said.name)
    return declared(path, blob, Style.YAML, identity, spec, metadata, lines)


def _refused(exc: ShapeError, line: int) -> _ProblemError:
    reason = exc.reason if isinstance(exc, NotAllowedError) else INVALID
    field = shape.field_name(exc.path)
    return _ProblemError(reason, f"{field}: {exc.message}" if field else exc.message, line)
