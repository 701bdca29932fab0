"""What the controller says in tickets' files goes along with changes, and is never said twice."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.gitops.writeback.reporting import Reporting
from controller.gitops.writeback.xstatus import x_status
from controller.services.ticket_values import By, ByKind
from schemas.ticket import Ticket
from tests.unit.controller.gitops.writeback.scene import (
    ORG,
    QUICK,
    UID,
    Running,
    Scene,
    Syncing,
    scene,
    ticket_file,
)
from tests.unit.controller.gitops.writeback.test_writeback import log, until

pytestmark = pytest.mark.anyio

POD = By(ByKind.POD, "apod-x1", "uid-x1", "claude")
CLAIM = {"podName": "apod-x1", "podUID": "uid-x1", "claimedAt": "2027-01-15T08:00:00Z"}
WORK = {"name": "apod-x1", "uid": "uid-x1", "branch": "agentsmesh/x1", "commit": "c" * 40}
OUTCOME = {
    "podName": "apod-x1",
    "podUID": "uid-x1",
    "endedAt": "2027-01-15T09:00:00Z",
    "reason": "Committed",
}
ITEMS = [{"id": "a", "text": "x", "done": True}, {"id": "b", "text": "y"}]


def ticket(**parts: Any) -> Ticket:
    spec = {"title": "One", **parts.pop("spec", {})}
    return Ticket.model_validate(
        {"metadata": {"name": "tk-aaaa", "namespace": ORG}, "spec": spec, "status": parts}
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        pytest.param(ticket(), None, id="no pod has had it: nothing is said"),
        pytest.param(ticket(agentPods=[WORK]), None, id="a pod names it but never claimed it"),
        pytest.param(
            ticket(claim=CLAIM, agentPods=[WORK]),
            {"pod": "apod-x1", "branch": "agentsmesh/x1", "commit": "c" * 40},
            id="a pod works on it",
        ),
        pytest.param(
            ticket(
                outcome=OUTCOME,
                spec={
                    "acceptance": [{"id": "a", "text": "x", "done": True}, {"id": "b", "text": "y"}]
                },
            ),
            {"pod": "apod-x1", "result": "Committed", "progress": "1/2"},
            id="a pod has ended, and is gone",
        ),
        pytest.param(
            ticket(claim={**CLAIM, "podName": "next", "podUID": "uid-2"}, outcome=OUTCOME),
            {"pod": "next"},
            id="what the one before came to is not the next one's result",
        ),
    ],
)
def test_what_is_said(found: Ticket, said: dict[str, Any] | None) -> None:
    assert x_status(found, ()) == said


class Reported(Running):
    """With what writes reports."""

    def __init__(self, of: Scene) -> None:
        of.timing = replace(QUICK, report_settle=0.0)
        super().__init__(of)
        self.reporting = Reporting(
            of.store,
            self.journal,
            Syncing(of),
            self.write_back,
            clock=lambda: of.now,
            timing=of.timing,
        )

    async def __aenter__(self) -> "Reported":
        await super().__aenter__()
        self._reports = self._group.create_task(self.reporting.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._reports.cancel()
        await super().__aexit__(*error)


@pytest.fixture
async def there(tmp_path: Path) -> Scene:
    found = scene(
        tmp_path, {f"tk-{name}.md": ticket_file(f"tk-{name}") for name in ("aaaa", "bbbb")}
    )
    assert await found.sync(ORG, "fleet")
    return found


async def test_it_goes_along_with_a_change_of_state(there: Scene) -> None:
    there.status("tk-aaaa", claim=CLAIM, agentPods=[WORK])
    async with Running(there) as running:
        await running.tickets.update(POD, ORG, "tk-aaaa", {"state": "in_progress"})
        await running.tickets.update(POD, ORG, "tk-bbbb", {"state": "in_progress"})
    text = there.file("tk-aaaa")
    assert "x-status:\n  pod: apod-x1\n  branch: agentsmesh/x1\n" in text
    assert "updated: " in text
    assert "x-status" not in there.file("tk-bbbb")
    assert log(there, "%an") == ["claude (apod-x1)", "claude (apod-x1)"]


async def test_what_changes_later_is_written_once_a_minute_at_most(there: Scene) -> None:
    async with Reported(there) as running:
        there.status("tk-aaaa", claim=CLAIM, agentPods=[WORK])
        await until(lambda: len(there.ends) == 1)
        assert log(there, "%an|%s") == ["AgentsMesh|Say how tk-aaaa does"]
        await until(lambda: not running.journal.unapplied(UID))
        there.status("tk-aaaa", agentPods=[{**WORK, "commit": "d" * 40}])
        later = time.monotonic() + 30
        due = running.reporting._due  # noqa: SLF001 - it has looked, and waits
        await until(lambda: due and min(due.values()) > later)
        assert len(log(there, "%s")) == 1
        there.now += 61
        there.status("tk-aaaa", agentPods=[{**WORK, "commit": "e" * 40}])
        running.reporting._due = dict.fromkeys(running.reporting._due, 0.0)  # noqa: SLF001 - the minute is over
        await until(lambda: len(log(there, "%s")) == 2)
    assert f"commit: {'e' * 40}" in there.file("tk-aaaa")
    assert "# who reads this?" in there.file("tk-aaaa")


async def test_it_is_not_said_again_after_a_restart_or_over_a_persons_edit(there: Scene) -> None:
    there.status("tk-aaaa", claim=CLAIM, agentPods=[WORK])
    async with Reported(there) as running:
        await until(lambda: len(there.ends) == 1)
        await until(lambda: not running.journal.unapplied(UID))
    git_text = there.file("tk-aaaa").replace("pod: apod-x1", "pod: somebody") + "\n"
    there.team.push({"tk-aaaa.md": git_text}, "by hand")
    assert await there.sync(ORG, "fleet")
    tip = there.team.tip()
    async with Reported(there) as running:
        await until(lambda: not running.reporting._due)  # noqa: SLF001 - it has looked
        assert running.journal.waiting(UID) == ()
        assert there.team.tip() == tip
        await running.tickets.update(POD, ORG, "tk-aaaa", {"state": "done"})
    assert "pod: apod-x1" in there.file("tk-aaaa")
