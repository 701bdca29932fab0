"""PostgreSQL: connections that end at the worst moment, and servers that are not as they should."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import text

from controller.kernel.clock import wall
from controller.store.errors import (
    NewerVersionError,
    OpenError,
    OutcomeUnknownError,
    UnavailableError,
)
from controller.store.messages import MessageStore
from controller.store.open import StoreSettings, opened
from controller.store.postgresql import postgresql_database
from controller.store.records import DeliveryState, Query
from controller.store.sqlstore import SqlMessageStore
from tests.postgres import Postgres
from tests.unit.controller.store.examples import (
    BUILDER,
    BY_LEAD,
    CHANNEL,
    prompt,
    said,
)

pytestmark = pytest.mark.anyio

SOCKET = ".s.PGSQL.5432"
COMMIT = b"COMMIT\0"  # as psycopg sends it; BEGIN says READ COMMITTED


@dataclass
class Proxy:
    """Stands between a store and the server and cuts a connection when it is asked to commit."""

    server: Path
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mesh-px-")))
    cut_before: int = 0
    """So many commits never reach the server."""
    cut_after: int = 0
    """So many are done, but their answer never reaches the store."""
    then_refuse: bool = False
    """After a cut nobody gets a connection any more."""
    cuts: int = 0
    _listener: socket.socket = field(init=False)
    _threads: list[threading.Thread] = field(default_factory=list)
    _sockets: list[socket.socket] = field(default_factory=list)
    _refusing: bool = False

    def start(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / SOCKET))
        self._listener.listen()
        self._spawn(self._accept)

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for one in self._sockets:
            one.close()
        shutil.rmtree(self.folder)

    def _spawn(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                store, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(store)
            if self._refusing:
                store.shutdown(socket.SHUT_RDWR)
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self.server / SOCKET))
            self._sockets.append(server)
            self._spawn(self._up, store, server)
            self._spawn(self._down, server, store)

    def _up(self, store: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := store.recv(65536):
                if COMMIT in data and self.cut_before:
                    self.cut_before -= 1
                    self._cut(store, server)
                elif COMMIT in data and self.cut_after:
                    self.cut_after -= 1
                    store.shutdown(socket.SHUT_WR)  # the answer goes nowhere
                    server.sendall(data)
                    self._refusing = self.then_refuse
                    self.cuts += 1
                else:
                    server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _cut(self, store: socket.socket, server: socket.socket) -> None:
        self._refusing = self.then_refuse
        self.cuts += 1
        server.shutdown(socket.SHUT_RDWR)
        store.shutdown(socket.SHUT_RDWR)

    def _down(self, server: socket.socket, store: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                store.sendall(data)
            store.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def schema(postgres: Postgres) -> str:
    return postgres.new_schema()


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[Proxy]:
    found = Proxy(postgres.folder)
    found.start()
    yield found
    found.stop()


def _url_file(folder: Path, url: str) -> StoreSettings:
    file = folder / "url"
    file.write_text(url)
    return StoreSettings(url_file=file)


def _through(proxy: Proxy, postgres: Postgres, schema: str) -> str:
    direct, through = (
        str(folder).replace("/", "%2F") for folder in (postgres.folder, proxy.folder)
    )
    return postgres.url(schema).replace(direct, through)


@pytest.fixture
async def store(
    proxy: Proxy, postgres: Postgres, schema: str, tmp_path: Path
) -> AsyncIterator[MessageStore]:
    """Return a store behind the proxy."""
    found = await opened(_url_file(tmp_path, _through(proxy, postgres, schema)))
    yield found
    await found.close()


CUTS = pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(1, 0, id="the commit does not arrive"),
        pytest.param(0, 1, id="the answer to the commit is lost"),
        pytest.param(2, 2, id="four times in a row"),
    ],
)


@CUTS
async def test_a_message_is_stored_once_whatever_becomes_of_its_commit(
    store: MessageStore, proxy: Proxy, before: int, after: int
) -> None:
    """Also the first one of its channel, and without a key."""
    for number in range(3):
        proxy.cut_before, proxy.cut_after = before, after
        deliveries = [prompt(BUILDER, "x", f"d{number}"), prompt(BUILDER, "y")]
        answer = await store.append(CHANNEL, said(f"{number}", mentions=(BUILDER,)), deliveries)
        assert answer.created
        assert answer.message.sequence == number + 1
        assert await store.deliveries_of(answer.message.message_id) == answer.deliveries
        assert len(answer.deliveries) == 2
    assert proxy.cuts == 3 * (before + after)
    stored = await store.read(CHANNEL.uid, Query())
    assert [message.content for message in stored] == ["0", "1", "2"]


@CUTS
async def test_a_message_with_a_key_is_new_even_if_its_answer_was_lost(
    store: MessageStore, proxy: Proxy, before: int, after: int
) -> None:
    proxy.cut_before, proxy.cut_after = before, after
    assert (await store.append(CHANNEL, said("x", idempotency_key="k"))).created


@CUTS
async def test_a_document_is_replaced_once_whatever_becomes_of_its_commit(
    store: MessageStore, proxy: Proxy, before: int, after: int
) -> None:
    for revision in range(3):
        proxy.cut_before, proxy.cut_after = before, after
        put = await store.put_document(CHANNEL, f"{revision}", BY_LEAD, based_on=revision)
        assert (put.document.revision, put.replaced_revision) == (revision + 1, revision)
    assert (await store.document(CHANNEL.uid)).revision == 3


@CUTS
async def test_what_has_happened_is_answered_whatever_becomes_of_its_commit(
    store: MessageStore, proxy: Proxy, before: int, after: int
) -> None:
    def cut() -> None:
        proxy.cut_before, proxy.cut_after = before, after

    cut()
    assert await store.join(CHANNEL, BUILDER.pod_uid, "builder")
    cut()
    first = await store.add_delivery("team-a", prompt(BUILDER, "x"))
    second = await store.add_delivery("team-a", prompt(BUILDER, "y"))
    cut()
    assert (await store.mark(first.delivery_id, DeliveryState.FAILED, "NotReady", "why")).moved
    cut()
    failed = await store.forget_pod(BUILDER.pod_uid)
    assert [delivery.delivery_id for delivery in failed] == [second.delivery_id]
    assert await store.open_deliveries() == ()
    await store.join(CHANNEL, BUILDER.pod_uid, "builder")
    cut()
    assert await store.leave(CHANNEL.uid, BUILDER.pod_uid)
    assert await store.members(CHANNEL.uid) == ()


async def test_a_server_that_stays_away_after_a_commit_leaves_the_outcome_open(
    store: MessageStore, proxy: Proxy, postgres: Postgres, schema: str
) -> None:
    await store.append(CHANNEL, said("first"))
    url = _through(proxy, postgres, schema)
    hasty = SqlMessageStore(postgresql_database(url, retry_seconds=0.3), wall)
    await hasty.append(CHANNEL, said("second"))
    proxy.then_refuse, proxy.cut_after = True, 1
    with pytest.raises(OutcomeUnknownError, match=r"may be stored or not.*same idempotency key"):
        await hasty.append(CHANNEL, said("third", idempotency_key="k"))
    with pytest.raises(UnavailableError, match="in trouble") as caught:
        await hasty.append(CHANNEL, said("fourth"))
    assert not isinstance(caught.value, OutcomeUnknownError)
    with pytest.raises(UnavailableError, match="in trouble"):
        await hasty.read(CHANNEL.uid, Query())
    await hasty.close()
    back = SqlMessageStore(postgresql_database(postgres.url(schema)), wall)
    repeat = await back.append(CHANNEL, said("third", idempotency_key="k"))
    assert (repeat.created, repeat.message.sequence) == (False, 3)
    await back.close()


async def test_connections_that_were_cut_are_replaced(
    postgres: Postgres, schema: str, tmp_path: Path
) -> None:
    store = await opened(_url_file(tmp_path, postgres.url(schema)))
    for number in range(5):
        await store.append(CHANNEL, said(f"{number}"))
        assert postgres.terminate_controllers() > 0
        assert len(await store.read(CHANNEL.uid, Query())) == number + 1
    await store.close()


async def test_writes_wait_while_the_server_restarts(
    postgres: Postgres, schema: str, tmp_path: Path
) -> None:
    store = await opened(_url_file(tmp_path, postgres.url(schema)))
    await store.append(CHANNEL, said("before"))
    await asyncio.to_thread(postgres.stop)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(store.append(CHANNEL, said("meanwhile")))
        await asyncio.to_thread(postgres.start)
    assert task.result().message.sequence == 2
    await store.close()


async def test_several_controllers_that_start_at_once_make_the_tables_once(
    postgres: Postgres, schema: str, tmp_path: Path
) -> None:
    settings = _url_file(tmp_path, postgres.url(schema))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(opened(settings)) for _ in range(4)]
    stores = [task.result() for task in tasks]
    for store in stores:
        await store.append(CHANNEL, said("x"))
        await store.close()


async def test_a_newer_version_is_refused(postgres: Postgres, schema: str, tmp_path: Path) -> None:
    settings = _url_file(tmp_path, postgres.url(schema))
    await (await opened(settings)).close()
    with postgres.connect() as connection:
        connection.execute(f"SET search_path = {schema}".encode())
        connection.execute("UPDATE mesh_store_version SET version = 7")
    with pytest.raises(NewerVersionError, match="is of version 7"):
        await opened(settings)


async def test_commits_wait_for_the_disk_where_the_server_would_not(
    postgres: Postgres, schema: str
) -> None:
    with postgres.connect() as connection:
        connection.execute("ALTER ROLE mesh SET synchronous_commit = off")
    try:
        engine = postgresql_database(postgres.url(schema)).engine
        with engine.connect() as found:
            assert found.scalar(text("SHOW synchronous_commit")) == "on"
            assert found.scalar(text("SHOW transaction_isolation")) == "read committed"
        engine.dispose()
    finally:
        with postgres.connect() as connection:
            connection.execute("ALTER ROLE mesh RESET synchronous_commit")


async def test_a_database_that_cannot_hold_unicode_is_refused(
    postgres: Postgres, tmp_path: Path
) -> None:
    with postgres.connect() as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    url = postgres.url().replace("@/mesh", "@/latin")
    with pytest.raises(OpenError, match="encoding LATIN1: create it with encoding UTF8"):
        await opened(_url_file(tmp_path, url))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("mesh:", "mesh:HUSHwrong"), id="a wrong password"),
        pytest.param(("@/mesh", "HUSH@/none"), id="no such database"),
        pytest.param(("@/mesh", "HUSH@127.0.0.1:1/mesh"), id="no server there"),
        pytest.param(("?host=", "?nonsense=HUSH&host="), id="an unknown option"),
        pytest.param(("postgresql://mesh", "mysql://HUSH"), id="another kind of database"),
        pytest.param(("postgresql://mesh", "HUSH"), id="no URL at all"),
        pytest.param(("/mesh?", "/mesh?port=HUSH&"), id="a port that is none"),
        pytest.param(("@/mesh", "HUSH@[::1/mesh"), id="a broken host"),
    ],
)
async def test_what_cannot_be_opened_is_said_without_the_url(
    postgres: Postgres,
    tmp_path: Path,
    change: tuple[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    url = postgres.url().replace(*change, 1)
    assert "HUSH" in url
    with pytest.raises(OpenError) as caught:
        await opened(_url_file(tmp_path, url))
    shown = str(caught.value) + caplog.text
    exc: BaseException | None = caught.value
    while exc is not None and not exc.__suppress_context__:
        exc = exc.__cause__ or exc.__context__
        shown += repr(exc)
    assert "HUSH" not in shown
    assert postgres.password not in shown
    assert "\n" not in str(caught.value)


async def test_a_dump_of_a_store_at_work_is_restored_whole(
    postgres: Postgres, schema: str, tmp_path: Path
) -> None:
    store = await opened(StoreSettings(url=postgres.url(schema)))
    sent = await store.append(CHANNEL, said("kept"), [prompt(BUILDER, "x")])
    dump = tmp_path / "dump"
    postgres.run("pg_dump", "--format=custom", f"--schema={schema}", f"--file={dump}", "mesh")
    await store.append(CHANNEL, said("after the dump"))
    await store.close()
    with postgres.connect() as connection:
        connection.execute("CREATE DATABASE restored")
    postgres.run("pg_restore", "--dbname=restored", str(dump))
    restored = postgres.url(schema).replace("@/mesh", "@/restored")
    store = await opened(StoreSettings(url=restored))
    assert await store.read(CHANNEL.uid, Query()) == (sent.message,)
    again = await store.append(CHANNEL, said("next"), [prompt(BUILDER, "y")])
    assert again.message.sequence == 2
    assert await store.open_deliveries() == sent.deliveries + again.deliveries
    await store.close()


async def test_a_url_may_be_given_itself_and_is_never_shown(
    postgres: Postgres, schema: str
) -> None:
    settings = StoreSettings(url=postgres.url(schema))
    await (await opened(settings)).close()
    assert postgres.password not in repr(settings)
    with pytest.raises(OpenError) as caught:
        await opened(StoreSettings(url=postgres.url().replace("@/mesh", "@/none")))
    assert postgres.password not in str(caught.value)


async def test_an_unreadable_file_of_the_url_is_named(tmp_path: Path) -> None:
    with pytest.raises(OpenError, match=r"/none with the URL .* cannot be read"):
        await opened(StoreSettings(url_file=tmp_path / "none"))
