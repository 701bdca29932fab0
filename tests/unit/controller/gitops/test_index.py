"""What is remembered of git sources survives a restart, and belongs to one source alone."""

import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.gitops.apply import Applied
from controller.gitops.database import Database, DatabaseError, Schema
from controller.gitops.index import SCHEMA, FileRow, Index, Remembered, SourceRow
from controller.gitops.values import Declared, Identity, Problem, Style

pytestmark = pytest.mark.anyio

TICKET = Identity("Ticket", "tk-1")
ROW = FileRow(
    "tickets/tk-1.md", "b" * 40, TICKET, "sha256:1", None, {"a": "b"}, {"c": "d"}, ("Ticket/tk-1",)
)
SAYS = Declared(
    TICKET,
    "tickets/tk-1.md",
    "b" * 40,
    Style.MARKDOWN,
    {"title": "Fix 🐛", "acceptance": [{"id": "a1", "done": False}], "note": None},
    "sha256:1",
    {"a": "b"},
    {"c": "d"},
    {"title": 3},
)
STATE = SourceRow("rules-1", "c" * 40, None, 12.5)
MADE = Applied(TICKET, "sha256:1", "tickets/tk-1.md", "b" * 40, "c" * 40, "uid-1", True, ("a",))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "data" / "gitops.db", SCHEMA)
    await opened.open()
    yield opened
    await opened.close()


async def test_what_was_saved_is_there_after_a_restart(database: Database, tmp_path: Path) -> None:
    await Index(database).save("s1", [(ROW, SAYS)], (), STATE)
    await Index(database).applied("s1", [MADE])
    await database.close()
    again = Database(tmp_path / "data" / "gitops.db", SCHEMA)
    await again.open()
    index = Index(again)
    assert await index.load("s1") == Remembered({ROW.path: ROW}, {TICKET: MADE}, STATE)
    assert await index.declared("s1", [ROW.path, "other.md"]) == {ROW.path: SAYS}
    assert await index.load("s2") == Remembered({}, {}, None)
    assert await index.sources() == {"s1"}
    await again.close()


async def test_a_file_that_broke_keeps_what_it_said_and_one_that_is_not_ours_does_not(
    database: Database,
) -> None:
    index = Index(database)
    problem = Problem(ROW.path, "InvalidYAML", "line 3: a tab", 3)
    broken = ROW._replace(blob="d" * 40, problem=problem)
    await index.save("s1", [(ROW, SAYS)], (), STATE)
    await index.save("s1", [(broken, None)], (), STATE)
    assert (await index.load("s1")).files == {ROW.path: broken}
    assert await index.declared("s1", [ROW.path]) == {ROW.path: SAYS}
    await index.save("s1", [(FileRow(ROW.path, "e" * 40), None)], (), STATE)
    assert await index.declared("s1", [ROW.path]) == {}


async def test_what_is_gone_is_forgotten_and_nothing_of_another_source(database: Database) -> None:
    index = Index(database)
    for source in ("s1", "s2"):
        await index.save(source, [(ROW, SAYS)], (), STATE)
        await index.applied(source, [MADE])
    await index.save("s1", (), [ROW.path], STATE._replace(applied="c" * 40))
    await index.applied("s1", (), [TICKET])
    assert await index.load("s1") == Remembered({}, {}, STATE._replace(applied="c" * 40))
    assert (await index.load("s2")).files == {ROW.path: ROW}
    await index.forget("s2")
    assert await index.load("s2") == Remembered({}, {}, None)
    assert await index.sources() == {"s1"}


async def test_names_and_texts_that_are_no_unicode_are_kept_as_they_are(
    database: Database,
) -> None:
    index = Index(database)
    path = b"tickets/\xff\xfe\n'.md".decode(errors="surrogateescape")
    row = FileRow(path, "b" * 40, problem=Problem(path, "NameInvalid", f"{path!r} \ud800"))
    await index.save("s1", [(row, None)], (), STATE)
    assert (await index.load("s1")).files == {path: row}
    await index.save("s1", (), [path], STATE)
    assert (await index.load("s1")).files == {}


async def test_a_pass_is_saved_as_a_whole_or_not_at_all(database: Database) -> None:
    index = Index(database)
    bad = Declared(TICKET, "x.md", "b" * 40, Style.YAML, {"title": object()}, "sha256:1")
    with pytest.raises(TypeError):
        await index.save("s1", [(ROW, SAYS), (FileRow("x.md", "b" * 40), bad)], (), STATE)
    assert await index.load("s1") == Remembered({}, {}, None)
    await index.save("s1", [(ROW, SAYS)], (), STATE)  # the connection is as good as before
    assert (await index.load("s1")).files == {ROW.path: ROW}


async def test_the_file_is_ours_alone(database: Database, tmp_path: Path) -> None:
    await Index(database).save("s1", [(ROW, SAYS)], (), STATE)
    for path in (tmp_path / "data").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_file_of_a_newer_version_is_not_touched(database: Database, tmp_path: Path) -> None:
    await database.close()
    older = Database(tmp_path / "data" / "gitops.db", Schema(1, ()))
    with pytest.raises(DatabaseError, match="version 2, which is not known"):
        await older.open()
    await older.close()


_SOURCES = (
    "CREATE TABLE sources (source TEXT PRIMARY KEY, rules TEXT NOT NULL, observed TEXT,"
    " applied TEXT, synced_at REAL) STRICT, WITHOUT ROWID"
)
_FIRST = (_SOURCES, *SCHEMA.statements[1:])
"""The tables of the first version."""


async def test_a_file_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    older = Database(tmp_path / "gitops.db", Schema(1, _FIRST))
    await older.open()
    insert = "INSERT INTO sources VALUES ('s1', '', 'c', 'b', 12.5)"
    await older.write(lambda connection: connection.execute(insert))
    await older.close()
    for rewritten in (False, True):
        newer = Database(tmp_path / "gitops.db", SCHEMA)
        await newer.open()
        state = SourceRow("", "c", "b", 12.5, rewritten)
        assert (await Index(newer).load("s1")).state == state
        await Index(newer).save("s1", (), (), state._replace(rewritten=True))
        await newer.close()


async def test_what_is_no_database_is_said_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "gitops.db").write_bytes(b"no database at all" * 99)
    broken = Database(tmp_path / "gitops.db", SCHEMA)
    with pytest.raises(DatabaseError, match=r"gitops\.db cannot be opened"):
        await broken.open()
    with pytest.raises(DatabaseError, match="closed"):
        await broken.read(sqlite3.Connection.total_changes.__get__)
    await broken.close()
