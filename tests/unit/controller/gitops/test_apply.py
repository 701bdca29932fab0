"""What is written for files: what differs, once, and never more deletions than are allowed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.gitops.apply import (
    OWNED,
    Applied,
    Change,
    Live,
    Prune,
    SyncPlan,
    Why,
    plan,
    spec_of,
)
from controller.gitops.bodies import manifest, patch, release
from controller.gitops.desired import Collected, Known
from controller.gitops.files.canonical import digest
from controller.gitops.values import Declared, Identity, Style
from schemas.gitsource import SourcedKind
from schemas.names import (
    ANNOTATION_PRUNE,
    ANNOTATION_RECONCILE,
    ANNOTATION_SOURCE_PATH,
    LABEL_SOURCE,
    TICKET,
)
from schemas.ticket import Ticket, TicketSpec

COMMIT = "c" * 40


def declared(name: str, title: str = "T", path: str = "", **labels: str) -> Declared:
    identity = Identity("Ticket", name)
    spec = TicketSpec(title=title).manifest()
    return Declared(
        identity,
        path or f"{name}.md",
        "blob",
        Style.MARKDOWN,
        spec,
        digest(identity, spec, labels, {}),
        labels=labels,
    )


def collected(*files: Declared, kept: tuple[str, ...] = (), suspects: str = "") -> Collected:
    return Collected(
        COMMIT,
        {file.identity: Known.of(file) for file in files},
        frozenset(Identity("Ticket", name) for name in kept),
        frozenset(),
        frozenset(suspects.split()),
        (),
        len(files),
    )


def live(file: Declared, owner: str = "plan", *, busy: bool = False, **metadata: Any) -> Live:
    body = manifest(file, TICKET, "acme", owner or "plan")
    if not owner:
        body["metadata"]["labels"].pop(LABEL_SOURCE)
        body["metadata"]["annotations"].pop(ANNOTATION_SOURCE_PATH)
    body["metadata"]["uid"] = f"uid-{file.identity.name}"
    for key, value in metadata.items():
        body["metadata"][key] = {**body["metadata"].get(key, {}), **value}
    return Live(file.identity, Ticket.model_validate(body), owner, busy)


def applied(file: Declared, **fields: Any) -> Applied:
    known: dict[str, Any] = {
        "uid": f"uid-{file.identity.name}",
        "labels": tuple(file.labels),
        **fields,
    }
    return Applied(file.identity, file.digest, file.path, file.blob, COMMIT, **known)


def drawn(want: Collected, *have: Live, before: tuple[Applied, ...] = (), **prune: Any) -> SyncPlan:
    settings: dict[str, Any] = {"enabled": True, "max_count": 10, "max_percent": 10, **prune}
    return plan(
        want,
        {item.identity: item for item in have},
        {row.identity: row for row in before},
        Prune("plan", **settings),
    )


def test_what_is_missing_is_created_and_what_is_right_is_left() -> None:
    one, two = declared("one"), declared("two")
    found = drawn(collected(one, two), live(one))
    assert [known.identity.name for known in found.creates] == ["two"]
    assert (found.unchanged, found.writes) == (1, 1)


def test_why_something_is_changed_is_told() -> None:
    old, new = declared("one", "Old"), declared("one", "New")
    changed = drawn(collected(new), live(old), before=(applied(old),))
    drifted = drawn(collected(new), live(old), before=(applied(new),))
    adopted = drawn(collected(new), live(old, owner=""))
    moved = drawn(collected(declared("one", "Old", "elsewhere.md")), live(old))
    found = [each.changes[0].why for each in (changed, drifted, adopted, moved)]
    assert found == [Why.CHANGED, Why.DRIFT, Why.ADOPTED, Why.MOVED]


def test_a_label_that_somebody_took_off_is_drift() -> None:
    file = declared("one")
    found = drawn(collected(file), live(file, owner=""), before=(applied(file),))
    assert found.changes[0].why is Why.DRIFT


def test_labels_of_others_are_nobodys_business() -> None:
    file = declared("one", team="red")
    assert drawn(collected(file), live(file, labels={"other": "x"})).unchanged == 1
    assert drawn(collected(file), live(file, labels={"team": "blue"})).changes


def test_a_label_that_went_out_of_the_file_is_taken_off() -> None:
    old, new = declared("one", team="red"), declared("one")
    have, before = live(old, labels={"other": "x"}), applied(old)
    found = drawn(collected(new), have, before=(before,))
    assert found.changes[0].why is Why.CHANGED
    body = patch(new, have, before, "plan")
    assert body == {"metadata": {"labels": {"team": None}, "uid": "uid-one"}}


def test_a_patch_names_what_differs_and_the_uid() -> None:
    body = patch(declared("one", "New"), live(declared("one", "Old")), None, "plan")
    assert body == {"spec": {"title": "New"}, "metadata": {"uid": "uid-one"}}
    assert patch(declared("one"), live(declared("one")), None, "plan") == {}


def test_what_is_released_is_nobodys() -> None:
    one = live(declared("one"))
    found = release(one.identity, one.uid, [SourcedKind.AGENT_POD])["metadata"]
    assert found["labels"] == {LABEL_SOURCE: None}
    assert found["annotations"] == {ANNOTATION_SOURCE_PATH: None}


def test_what_another_source_has_is_not_touched() -> None:
    file = declared("one")
    found = drawn(collected(file), live(file, owner="other"))
    (problem,) = found.problems
    assert (problem.reason, found.writes) == (OWNED, 0)
    assert "GitSource other" in problem.message


def test_what_belongs_to_a_controller_is_not_adopted() -> None:
    file = declared("one")
    body = live(file, owner="").item
    owner = {"apiVersion": "v1", "kind": "Boss", "name": "b", "uid": "u", "controller": True}
    item = Ticket.model_validate(
        {**body.manifest(), "metadata": {**body.metadata.manifest(), "ownerReferences": [owner]}}
    )
    found = drawn(collected(file), Live(file.identity, item, ""))
    assert "Boss b" in found.problems[0].message


def test_a_person_may_have_it_left_alone() -> None:
    old, new = declared("one", "Old"), declared("one", "New")
    alone: dict[str, Any] = {"annotations": {ANNOTATION_RECONCILE: "disabled"}}
    found = drawn(collected(new), live(old, **alone))
    assert (found.writes, len(found.left_alone)) == (0, 1)
    assert drawn(collected(), live(old, **alone)).deletes == ()
    protected = live(old, annotations={ANNOTATION_PRUNE: "disabled"})
    found = drawn(collected(), protected)
    assert (found.deletes, [one.identity.name for one in found.releases]) == ((), ["one"])
    assert drawn(collected(), live(old, **alone)).releases == ()


def test_what_is_on_its_way_out_is_waited_for() -> None:
    file = declared("one")
    item = live(file).item
    leaving = Ticket.model_validate(
        {
            **item.manifest(),
            "metadata": {
                **item.metadata.manifest(),
                "deletionTimestamp": "2026-11-22T00:00:00Z",
                "finalizers": ["x"],
            },
        }
    )
    found = drawn(collected(file), Live(file.identity, leaving, "plan"))
    assert (found.writes, len(found.waiting)) == (0, 1)
    assert drawn(collected(), Live(file.identity, leaving, "plan")).deletes == ()


def test_a_pod_that_has_ended_and_is_gone_is_not_made_again() -> None:
    file = declared("one")
    found = drawn(collected(file), before=(applied(file, ended=True),))
    assert (found.creates, len(found.finished)) == ((), 1)
    later = declared("one", "Changed")
    assert len(drawn(collected(later), before=(applied(file, ended=True),)).creates) == 1


def fleet(count: int) -> list[Declared]:
    return [declared(f"t{number:03}") for number in range(count)]


@pytest.mark.parametrize(
    ("total", "gone", "held"),
    [
        pytest.param(30, 10, False, id="as many as always"),
        pytest.param(30, 11, True, id="one more"),
        pytest.param(200, 20, False, id="a tenth"),
        pytest.param(200, 21, True, id="more than a tenth"),
    ],
)
def test_more_than_a_few_deletions_are_held(total: int, gone: int, held: bool) -> None:  # noqa: FBT001
    files = fleet(total)
    have = [live(file) for file in files]
    found = drawn(collected(*files[gone:]), *have)
    assert (found.held is not None) is held
    assert len(found.deletes) == (0 if held else gone)
    if found.held is not None:
        assert (found.held.commit, len(found.held.gone)) == (COMMIT, gone)
        allowed = drawn(collected(*files[gone:]), *have, allowed_commit=COMMIT)
        assert len(allowed.deletes) == gone
        other = drawn(collected(*files[gone:]), *have, allowed_commit="d" * 40)
        assert other.deletes == ()


def test_what_cannot_be_read_is_never_deleted() -> None:
    one, two, three = fleet(3)
    have = [live(one), live(two), live(three)]
    found = drawn(collected(kept=("t000",), suspects="t001"), *have)
    assert [gone.identity.name for gone in found.deletes] == ["t002"]
    assert drawn(collected(), *have, enabled=False).deletes == ()


def test_only_what_has_both_label_and_path_is_deleted() -> None:
    file = declared("one")
    item = live(file).item
    bare = {key: value for key, value in item.metadata.manifest().items() if key != "annotations"}
    by_hand = Ticket.model_validate({**item.manifest(), "metadata": bare})
    assert drawn(collected(), Live(file.identity, by_hand, "plan")).deletes == ()


def test_a_ticket_at_work_is_canceled_before_it_goes() -> None:
    file = declared("one")
    found = drawn(collected(), live(file, busy=True))
    assert (len(found.cancels), found.deletes) == (1, ())
    item = live(file).item
    spec = {**spec_of(item), "state": "canceled"}
    canceled = Ticket.model_validate({**item.manifest(), "spec": spec})
    found = drawn(collected(), Live(file.identity, canceled, "plan", busy=True))
    assert (found.writes, len(found.waiting)) == (0, 1)
    assert len(drawn(collected(), Live(file.identity, canceled, "plan")).deletes) == 1


NAMES = st.sampled_from([f"t{number}" for number in range(8)])
TITLES = st.sampled_from(["A", "B"])


@given(files=st.dictionaries(NAMES, TITLES), there=st.dictionaries(NAMES, TITLES))
def test_planning_again_on_the_result_plans_nothing(
    files: dict[str, str], there: dict[str, str]
) -> None:
    want = {name: declared(name, title) for name, title in files.items()}
    have = {name: live(declared(name, title)) for name, title in there.items()}
    rows: dict[str, Applied] = {}
    found = drawn(collected(*want.values()), *have.values())
    steps: list[Known | Change] = [*found.creates, *found.changes]
    for step in steps:
        known = step.known if isinstance(step, Change) else step
        name = known.identity.name
        have[name] = live(want[name])
        rows[name] = applied(want[name])
    for gone in found.deletes:
        del have[gone.identity.name]
    again = drawn(collected(*want.values()), *have.values(), before=tuple(rows.values()))
    assert again.writes == 0
    assert {name: spec_of(item.item)["title"] for name, item in have.items()} == files
