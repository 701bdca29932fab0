"""What the parts of the sync with git say to each other. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

MAX_FILE_BYTES: Final = 256 * 1024
"""Longer files are refused unread."""
MAX_FILES: Final = 20_000
"""A folder with more files that are looked at is refused as a whole."""
MAX_LISTED: Final = 100_000
"""So is one with more files of any name: all that is there is kept in memory, about 40 MB then."""
MAX_DEPTH: Final = 8
"""Folders below ``spec.path``."""


class EntryType(StrEnum):
    """What stands in a tree of git, by its mode."""

    FILE = "file"
    SYMLINK = "symlink"
    SUBMODULE = "submodule"
    OTHER = "other"


class Entry(NamedTuple):
    """One line of ``git ls-tree -r -z -l``."""

    path: str
    """From the root of the repository. Bytes that are no UTF-8 are surrogate-escaped."""
    blob: str
    """Object id."""
    size: int
    """Bytes; 0 of what is no file."""
    type: EntryType


class Problem(NamedTuple):
    """Why a file cannot be used: harms that file alone."""

    path: str
    reason: str
    """CamelCase."""
    message: str
    """One sentence: the field, and what to do. At most 512 characters, printable."""
    line: int | None = None
    """From 1."""


class Identity(NamedTuple):
    """What a file is about, in the namespace of its source."""

    kind: str
    name: str


class Style(StrEnum):
    """How a file is written."""

    MARKDOWN = "markdown"
    """A ticket: front matter and body."""
    YAML = "yaml"
    """A manifest."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What one file says, valid by itself."""

    identity: Identity
    path: str
    blob: str
    style: Style
    spec: Mapping[str, Any] = field(repr=False)
    """The whole spec as the model dumps it: camelCase, with defaults, without what is not set."""
    digest: str
    """SHA-256 of kind, name, spec, labels and annotations in canonical JSON: ``sha256:<hex>``."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)
    """Line of each top-level field of the spec, from 1: for messages."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a source as of one commit, selected and none of them read."""

    commit: str
    entries: tuple[Entry, ...]
    """Those that are to be read, by path."""
    problems: tuple[Problem, ...] = ()
    """Those that never are: links, submodules, too large, names that cannot be."""
    total: int = 0
    """Files that were looked at: entries and problems."""


class Author(NamedTuple):
    """Whose commit it is."""

    name: str
    email: str


class OperationKind(StrEnum):
    """What a change of a ticket's file is."""

    CREATE = "Create"
    UPDATE = "Update"


@dataclass(frozen=True, slots=True)
class Operation:
    """One change of one ticket, kept until it is pushed or refused."""

    id: str
    """Unique for ever: the trailer ``Operation-Id`` of its commit."""
    kind: OperationKind
    source_uid: str
    """Of the GitSource."""
    namespace: str
    source: str
    """Name of the GitSource."""
    ticket: str
    """Name of the Ticket."""
    changes: Mapping[str, Any] = field(repr=False)
    """Fields of the spec, camelCase, None removes; ``x-status`` is what the controller says."""
    base: Mapping[str, Any] | None = field(repr=False)
    """Those fields as whoever asks saw them; None: whatever is there is replaced."""
    author: Author
    person: bool
    """Whether a person asks: wins over what pods say."""
    summary: str
    """Subject of the commit, one line."""
    trailers: Mapping[str, str] = field(default_factory=dict)
    """Such as ``Agent-Pod``; ``Ticket`` and ``Operation-Id`` are added."""
