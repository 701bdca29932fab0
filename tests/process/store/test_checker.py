"""In the manner of Jepsen: twenty writers while the store's process and connections are killed.

Afterwards nothing acknowledged is lost, doubled or reordered. That the checker would notice is
shown with stores that have a planted bug.
"""

from __future__ import annotations

import secrets
import signal
from pathlib import Path

import pytest

from tests.postgres import Postgres
from tests.process.store.history import problems
from tests.process.store.owner import BUGS
from tests.process.store.workload import OwnerProcess, Trouble, Workload, dice, run

pytestmark = pytest.mark.anyio


def _restart(owner: OwnerProcess) -> Trouble:
    def trouble() -> None:
        owner.kill()
        owner.start()

    return trouble


def _crash(postgres: Postgres) -> Trouble:
    def trouble() -> None:
        postgres.stop(signal.SIGQUIT)
        postgres.start()

    return trouble


def _judge(workload: Workload, found: list[str], owner: OwnerProcess, seed: int) -> None:
    assert not found, (seed, found[:10])
    assert len(workload.history.sent) > 50, "the writers wrote"  # some 500 on a quiet machine
    assert len(workload.history.entries) > 5, "they changed the document"
    assert owner.kills > 2, "and there were troubles"
    assert workload.retries > 0, "which they met"


async def test_sqlite_loses_nothing_while_its_owner_is_killed(socket: Path, tmp_path: Path) -> None:
    owner, seed = OwnerProcess(socket, tmp_path / "messages.db"), secrets.randbits(32)
    workload, stored = await run(owner, 4, dice(seed), [_restart(owner)])
    _judge(workload, problems(workload.history, stored), owner, seed)


async def test_postgresql_loses_nothing_while_owner_and_connections_are_killed(
    socket: Path, url_file: Path, postgres: Postgres
) -> None:
    owner, seed = OwnerProcess(socket, url_file), secrets.randbits(32)
    troubles = [_restart(owner), *[postgres.terminate_controllers] * 3]
    workload, stored = await run(owner, 6, dice(seed), troubles)
    _judge(workload, problems(workload.history, stored), owner, seed)


CAUGHT = {
    "losing": "was acknowledged and is lost",
    "doubling": "is stored 2 times",
    "reordering": "was acknowledged as 2, and is another one",
    "skipping": "the sequences are not 1 to",
    "overwriting": "was acknowledged and is not in the document",
    "separating": "the deliveries are not one of each message",
}


def test_every_planted_bug_has_its_verdict() -> None:
    assert CAUGHT.keys() == BUGS.keys()


@pytest.mark.parametrize("bug", BUGS)
async def test_a_store_with_a_planted_bug_is_caught(bug: str, socket: Path, tmp_path: Path) -> None:
    owner = OwnerProcess(socket, tmp_path / "messages.db", bug)
    workload, stored = await run(owner, 0.6, dice(1), [])
    found = problems(workload.history, stored)
    assert any(CAUGHT[bug] in problem for problem in found), found[:10]


@pytest.mark.faults
@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_nothing_is_lost_in_a_long_run_of_troubles(
    database: str, socket: Path, tmp_path: Path, url_file: Path, postgres: Postgres
) -> None:
    """PostgreSQL itself crashes too."""
    place = tmp_path / "messages.db" if database == "sqlite" else url_file
    owner, seed = OwnerProcess(socket, place), secrets.randbits(32)
    troubles = [_restart(owner)]
    if database == "postgresql":
        troubles += [*[postgres.terminate_controllers] * 4, _crash(postgres)]
    workload, stored = await run(owner, 60, dice(seed), troubles)
    _judge(workload, problems(workload.history, stored), owner, seed)
