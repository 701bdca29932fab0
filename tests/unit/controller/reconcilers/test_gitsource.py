"""What is said of a GitSource, and what its finalizer waits for."""

from dataclasses import replace
from typing import Any

import pytest

from controller.gitops.apply import Gone, Held
from controller.gitops.facts import Counts, SourceFacts, Trouble
from controller.gitops.values import Identity, Problem
from controller.gitops.writeback.values import SourceWrites
from controller.gitops.writeback.values import Trouble as WriteTrouble
from controller.kernel.key import Key
from controller.kernel.reconciler import Patch
from controller.placement.indexes import new_store
from controller.reconcilers.gitsource.observe import GitSourceObserver
from controller.reconcilers.gitsource.pace import Pace
from controller.reconcilers.gitsource.plan import plan
from controller.reconcilers.gitsource.snapshot import GitSourceSnapshot
from controller.reconcilers.gitsource.status import report
from schemas.base import Condition
from schemas.gitsource import GitSource, GitSourceStatus
from schemas.names import FINALIZER_GIT_PRUNE, GIT_SOURCE, SECRET
from tests.unit.controller.kube_memory import MemoryKube

COMMIT = "c" * 40
NOW = 1_700_000_000.0
DONE = SourceFacts(
    generation=1,
    observed_commit=COMMIT,
    applied_commit=COMMIT,
    last_sync_at=NOW,
    counts=Counts(total=3, synced=3),
    resources=3,
    digest="sha256:1",
)


pytestmark = pytest.mark.anyio


class Done:
    """Passes that have all come to their end."""

    def facts(self, namespace: str, name: str) -> SourceFacts:  # noqa: ARG002
        return DONE


def source(metadata: dict[str, Any] | None = None, **spec: Any) -> GitSource:
    return GitSource.model_validate(
        {
            "metadata": {
                "name": "plan",
                "namespace": "acme",
                "uid": "u1",
                "generation": 1,
                "finalizers": [FINALIZER_GIT_PRUNE],
                **(metadata or {}),
            },
            "spec": {"repositoryRef": {"name": "shop"}, **spec},
        }
    )


def said(
    facts: SourceFacts, writes: SourceWrites | None = None, **spec: Any
) -> dict[str, Condition]:
    snapshot = GitSourceSnapshot(source(**spec), facts, writes or SourceWrites())
    status = report(snapshot, None, NOW).status
    return {condition.type: condition for condition in status.conditions}


def test_a_source_that_is_in_step_is_ready() -> None:
    found = said(DONE)
    assert {kind: str(one.status) for kind, one in found.items()} == {
        "Fetched": "True", "FilesValid": "True", "Synced": "True", "Ready": "True",
    }  # fmt: skip
    assert "cccccccccccc" in found["Ready"].message


PROBLEM = Problem("fleet/a.md", "InvalidYaml", "title: must be a text", 3)
HELD = Held(COMMIT, tuple(Gone(Identity("Ticket", f"t{n}"), "u", "p") for n in range(12)), 10)


@pytest.mark.parametrize(
    ("facts", "spec", "reason", "stalled"),
    [
        pytest.param(DONE, {"suspend": True}, "Suspended", True, id="suspended"),
        pytest.param(replace(DONE, generation=0), {}, "Pending", False, id="not looked at"),
        pytest.param(
            replace(DONE, fetched=Trouble("BranchNotFound", "no branch", stalled=True)),
            {}, "BranchNotFound", True, id="no branch",
        ),
        pytest.param(
            replace(DONE, fetched=Trouble("RemoteUnreachable", "no answer")),
            {}, "RemoteUnreachable", False, id="no answer",
        ),
        pytest.param(
            replace(DONE, syncing=Trouble("Applying", "9 files")), {}, "Applying", False,
            id="on its way",
        ),
        pytest.param(replace(DONE, held=HELD), {}, "PruneHeld", True, id="held"),
        pytest.param(
            replace(DONE, problems=(PROBLEM,), counts=Counts(3, 2, 1)), {}, "InvalidFiles", True,
            id="a bad file",
        ),
    ],
)  # fmt: skip
def test_why_a_source_is_not_ready(
    facts: SourceFacts,
    spec: dict[str, Any],
    reason: str,
    stalled: bool,  # noqa: FBT001
) -> None:
    found = said(facts, **spec)
    assert (str(found["Ready"].status), found["Ready"].reason) == ("False", reason)
    assert ("Stalled" in found, "Reconciling" in found) == (stalled, not stalled)


WEBHOOK = {"webhook": {"secretRef": {"name": "hook"}}}


@pytest.mark.parametrize(
    ("secret", "status", "reason", "words"),
    [
        pytest.param({"token": "aw=="}, "True", "SecretFound", "", id="there"),
        pytest.param(None, "False", "SecretNotFound", "there is no Secret hook", id="missing"),
        pytest.param(
            {"other": "aw=="}, "False", "SecretInvalid", "Secret hook has no value at token",
            id="without its key",
        ),
    ],
)  # fmt: skip
async def test_a_webhook_without_its_secret_is_told_and_harms_nothing_else(
    secret: dict[str, str] | None, status: str, reason: str, words: str
) -> None:
    kube, store, item = MemoryKube(), new_store(), source(**WEBHOOK)
    store.apply(GIT_SOURCE.kind, item.manifest())
    if secret is not None:
        metadata = {"name": "hook", "namespace": "acme"}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": secret}
        await kube.create(SECRET, "acme", body)
    snapshot = await GitSourceObserver(store, Done(), kube=kube).observe(
        Key(GIT_SOURCE.kind, "acme", "plan")
    )
    assert snapshot is not None
    told = report(snapshot, None, NOW)
    found = {condition.type: condition for condition in told.status.conditions}
    webhook = found["WebhookReady"]
    assert (str(webhook.status), webhook.reason) == (status, reason)
    assert words in webhook.message
    assert str(found["Ready"].status) == "True"
    assert (reason in {tell.reason for tell in told.tells}) == (status == "False")


def test_nothing_is_said_of_a_webhook_that_is_not_asked_for() -> None:
    assert "WebhookReady" not in said(DONE)


def test_a_bad_file_is_named_with_its_line() -> None:
    found = said(replace(DONE, problems=(PROBLEM,), counts=Counts(3, 2, 1)))
    assert "fleet/a.md:3: InvalidYaml: title: must be a text" in found["FilesValid"].message


def test_what_is_held_says_how_to_allow_it() -> None:
    message = said(replace(DONE, held=HELD))["PruneHeld"].message
    assert (
        f"kubectl -n acme annotate gitsource plan --overwrite agentsmesh.io/allow-prune={COMMIT}"
        in message
    )
    assert "Ticket t0" in message
    assert "and 2 more" in message


def test_trouble_with_commits_is_told_where_there_are_any() -> None:
    writes = SourceWrites(pending=2, trouble=WriteTrouble("PushRefused", "protected", NOW))
    assert "WriteBackHealthy" not in said(DONE, writes)
    found = said(DONE, writes, writeBack={"enabled": True})
    assert found["WriteBackHealthy"].reason == found["Ready"].reason == "PushRefused"


def test_one_is_one() -> None:
    found = said(replace(DONE, counts=Counts(total=1, synced=1), resources=1))
    assert found["FilesValid"].message == "1 file"
    assert found["Ready"].message.startswith("1 resource as of")


def test_events_are_told_of_what_is_new_alone() -> None:
    item = source()
    facts = replace(DONE, problems=(PROBLEM,), counts=Counts(3, 2, 1))
    first = report(GitSourceSnapshot(item, facts, SourceWrites()), None, NOW)
    assert [(tell.reason, tell.warning) for tell in first.tells] == [
        ("Synced", False),
        ("InvalidFiles", True),
    ]
    again = item.model_copy(update={"status": first.status})
    assert report(GitSourceSnapshot(again, facts, SourceWrites()), None, NOW + 9).tells == ()


def test_the_finalizer_comes_before_anything_is_made() -> None:
    found = plan(GitSourceSnapshot(source({"finalizers": []}), SourceFacts(), SourceWrites()), NOW)
    (change,) = found.changes
    assert isinstance(change, Patch)
    assert change.patch["metadata"]["finalizers"] == [FINALIZER_GIT_PRUNE]
    assert not found.publish


def test_the_finalizer_goes_once_everything_is_let_go() -> None:
    item = source({"deletionTimestamp": "2026-11-22T00:00:00Z"})
    assert plan(GitSourceSnapshot(item, DONE, SourceWrites()), NOW).changes == ()
    facts = replace(DONE, released=True)
    (change,) = plan(GitSourceSnapshot(item, facts, SourceWrites()), NOW).changes
    assert isinstance(change, Patch)
    assert change.patch["metadata"]["finalizers"] is None


def test_a_source_that_waits_for_what_goes_with_it_says_so() -> None:
    item = source({"deletionTimestamp": "2026-11-22T00:00:00Z"})
    before = report(GitSourceSnapshot(source(), DONE, SourceWrites()), None, NOW).status
    item = item.model_copy(update={"status": before})
    pods = tuple(Identity("AgentPod", f"p{number}") for number in range(12))
    snapshot = GitSourceSnapshot(item, replace(DONE, leaving=pods), SourceWrites())
    assert plan(snapshot, NOW).publish
    status = report(snapshot, None, NOW).status
    found = {condition.type: condition for condition in status.conditions}
    assert (str(found["Ready"].status), found["Ready"].reason) == ("False", "Deleting")
    assert found["Ready"].message.endswith("AgentPod p9 and 2 more")
    assert str(found["Reconciling"].status) == "True"
    assert str(found["Fetched"].status) == "True"
    assert isinstance(status, GitSourceStatus)
    assert (status.applied_commit, status.files) == (COMMIT, item.status.files)
    assert status.files is not None
    # a controller that was started meanwhile, and knows nothing yet
    new = GitSourceSnapshot(item, SourceFacts(), SourceWrites())
    kept = report(new, None, NOW).status
    assert isinstance(kept, GitSourceStatus)
    assert kept.applied_commit == COMMIT


def test_the_secret_of_a_webhook_is_looked_for_again_and_again() -> None:
    asked = GitSourceSnapshot(source(**WEBHOOK), DONE, SourceWrites())
    assert (report(asked, None, NOW).recheck_after_seconds or 999) <= 30
    silent = GitSourceSnapshot(source(), DONE, SourceWrites())
    assert report(silent, None, NOW).recheck_after_seconds is None


def test_a_controller_that_has_not_looked_yet_leaves_the_status_as_it_is() -> None:
    item = source()
    known = item.model_copy(update={"status": GitSourceStatus(observed_generation=1)})
    assert not plan(GitSourceSnapshot(known, SourceFacts(), SourceWrites()), NOW).publish
    assert plan(GitSourceSnapshot(item, SourceFacts(), SourceWrites()), NOW).publish


def test_a_status_that_changes_without_end_is_written_less_than_the_alarm_takes() -> None:
    pace, now, writes = Pace(), 0.0, 0
    status = GitSourceStatus(applied_commit="0")
    while now < 300.0:
        if pace.hold("u1", status, now) == 0.0:
            writes += 1
            status = GitSourceStatus(applied_commit=str(writes))
        now += 0.1
    assert writes / 5 < 20


def test_a_status_that_changes_now_and_then_is_written_at_once() -> None:
    pace = Pace()
    for number in range(30):
        status = GitSourceStatus(applied_commit=str(number))
        assert pace.hold("u1", status, number * 10.0) == 0.0


def test_whoever_has_asked_gets_the_answer_at_once() -> None:
    facts = replace(DONE, request="now")
    found = report(GitSourceSnapshot(source(), facts, SourceWrites(), 6.0), None, NOW)
    assert found.hold_seconds == 0.0
    found = report(GitSourceSnapshot(source(), DONE, SourceWrites(), 6.0), None, NOW)
    assert found.hold_seconds == 6.0
