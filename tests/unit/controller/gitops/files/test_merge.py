"""Merging fields of three sides: nothing that a side changed is lost."""

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.gitops.files.merge import Merged, merge, unmet
from controller.gitops.files.weave import weave
from schemas.ticket import TicketSpec


def spec(**fields: Any) -> dict[str, Any]:
    return TicketSpec.model_validate({"title": "t", **fields}).manifest()


def item(key: str, text: str = "x", *, done: bool = False) -> dict[str, Any]:
    return {"id": key, "text": text, "done": done}


@pytest.mark.parametrize(
    ("base", "theirs", "ours", "changes", "conflicts"),
    [
        pytest.param({"state": "todo"}, {"state": "todo"}, {"state": "done"},
                     {"state": "done"}, (), id="ours alone changed it"),
        pytest.param({"state": "todo"}, {"state": "done"}, {"state": "todo"},
                     {}, (), id="theirs alone changed it"),
        pytest.param({"state": "todo"}, {"state": "done"}, {"state": "done"},
                     {}, (), id="both changed it to the same"),
        pytest.param({"state": "todo"}, {"state": "canceled"}, {"state": "done"},
                     {}, ("state",), id="both changed it: theirs stays"),
        pytest.param({"parent": "a"}, {"parent": "a"}, {"parent": None},
                     {"parent": None}, (), id="ours removed it"),
        pytest.param({"parent": "a"}, {}, {"parent": "a"},
                     {}, (), id="theirs removed it"),
        pytest.param({"parent": "a"}, {}, {"parent": "b"},
                     {}, ("parent",), id="theirs removed what ours changed"),
        pytest.param({}, {}, {"parent": "b"}, {"parent": "b"}, (), id="ours added it"),
        pytest.param({}, {"parent": "c"}, {"parent": "b"}, {}, ("parent",), id="both added it"),
        pytest.param({"labels": ["a", "b"]}, {"labels": ["b", "c"]}, {"labels": ["a", "b", "d"]},
                     {"labels": ["b", "c", "d"]}, (), id="sets merge"),
        pytest.param({"labels": ["a", "b"]}, {"labels": ["a", "b", "c"]}, {"labels": []},
                     {"labels": ["c"]}, (), id="ours emptied a set"),
        pytest.param({"labels": ["a"]}, {"labels": []}, {"labels": None},
                     {}, (), id="both emptied a set"),
        pytest.param({"dependsOn": []}, {"dependsOn": ["x"]}, {"dependsOn": ["y"]},
                     {"dependsOn": ["x", "y"]}, (), id="both added to a set"),
        pytest.param({"acceptance": [item("a"), item("b")]},
                     {"acceptance": [item("a", "new text"), item("b")]},
                     {"acceptance": [item("a", done=True), item("b")]},
                     {"acceptance": [item("a", "new text", done=True), item("b")]}, (),
                     id="two fields of one item"),
        pytest.param({"acceptance": [item("a")]}, {"acceptance": [item("a", "t1")]},
                     {"acceptance": [item("a", "t2", done=True)]},
                     {"acceptance": [item("a", "t1", done=True)]}, ("acceptance.a.text",),
                     id="one field of one item on both sides"),
        pytest.param({"acceptance": [item("a"), item("b")]}, {"acceptance": [item("b")]},
                     {"acceptance": [item("a"), item("b"), item("c")]},
                     {"acceptance": [item("b"), item("c")]}, (), id="items come and go"),
        pytest.param({"acceptance": [item("a")]}, {"acceptance": []},
                     {"acceptance": [item("a", done=True)]},
                     {}, ("acceptance.a",), id="theirs removed an item that ours changed"),
        pytest.param({"acceptance": [item("a")]}, {"acceptance": [item("a", done=True)]},
                     {"acceptance": []}, {}, ("acceptance.a",),
                     id="ours removed an item that theirs changed"),
        pytest.param({"acceptance": [item("a"), item("b")]},
                     {"acceptance": [item("a"), item("b"), item("z")]},
                     {"acceptance": [item("b"), item("a")]},
                     {"acceptance": [item("b"), item("a"), item("z")]}, (), id="ours reordered"),
        pytest.param({"acceptance": []}, {"acceptance": []},
                     {"acceptance": [{"id": "a", "text": "x"}]},
                     {"acceptance": [item("a")]}, (), id="defaults need not be said"),
        pytest.param({"autoRun": {"agentClassName": "c", "maxAttempts": 1}},
                     {"autoRun": {"agentClassName": "c", "maxAttempts": 1}},
                     {"autoRun": {"agentClassName": "c"}}, {}, (), id="nor further in"),
        pytest.param({"followPods": None}, {}, {"followPods": False},
                     {"followPods": False}, (), id="false is not nothing"),
        pytest.param({"body": "a\nb\nc\n"}, {"body": "A\nb\nc\n"}, {"body": "a\nb\nC\n"},
                     {"body": "A\nb\nC\n"}, (), id="lines of the body"),
        pytest.param({"body": "a\n"}, {"body": "a\r\nb\r\n"}, {"body": "a\n"},
                     {}, (), id="an agent that drops CR changed nothing"),
    ],
)  # fmt: skip
def test_a_field_merges(
    base: Any, theirs: Any, ours: Any, changes: Any, conflicts: tuple[str, ...]
) -> None:
    merged = merge(spec(**base) | base, spec(**theirs), ours)
    assert (dict(merged.changes), merged.conflicts) == (changes, conflicts)
    assert merged.comment is None


def test_a_body_that_both_changed_stays_theirs_and_ours_is_kept_aside() -> None:
    merged = merge(spec(body="a\n"), spec(body="b\n"), {"body": "c\n", "state": "done"})
    assert merged == Merged({"state": "done"}, ("body",), (), "c\n")


def test_a_person_is_not_overruled_by_a_pod() -> None:
    theirs = spec(body="b\n", state="todo")
    merged = merge(
        spec(body="a\n"), theirs, {"body": "c\n", "state": "done", "title": "n"}, ours_wins=True
    )
    assert merged == Merged(
        {"body": "c\n", "state": "done", "title": "n"}, (), ("body", "state"), "b\n"
    )


def test_without_a_base_what_is_there_is_replaced() -> None:
    theirs = spec(labels=["a"], body="b\n")
    merged = merge(None, theirs, {"labels": ["c"], "body": "d\n", "title": "t"})
    assert merged == Merged({"labels": ["c"], "body": "d\n"})


def test_what_the_controller_says_is_always_ours() -> None:
    said = {"x-status": {"progress": "1/2"}}
    assert merge(spec(), spec(), said).changes == said


def test_items_that_their_ids_do_not_tell_apart_are_taken_as_one_value() -> None:
    twice = {"acceptance": [item("a"), item("a", "y")]}
    assert merge(spec(), spec(), twice).changes == twice
    theirs = spec(acceptance=[item("b")])
    assert merge(spec(), theirs, twice).conflicts == ("acceptance",)


def test_a_value_that_is_asked_for_and_does_not_stand_there_is_told() -> None:
    theirs = spec(state="done", labels=["a"], priority="high", autoRun={"agentClassName": "c"})
    asked = {"state": "todo", "priority": "high", "parent": "p", "labels": ["b"], "body": "x"}
    assert unmet(theirs, asked) == ("state", "parent")
    assert unmet(theirs, {"autoRun": {"agentClassName": "c", "maxAttempts": 1}}) == ()


STATES = st.sampled_from(["backlog", "todo", "done"])
SETS = st.lists(st.sampled_from("abcd"), max_size=4, unique=True)
ITEMS = st.lists(
    st.builds(item, st.sampled_from("abc"), st.sampled_from("xyz"), done=st.booleans()),
    max_size=3,
    unique_by=lambda one: one["id"],
)
BODIES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "\n"]), max_size=8).map("".join)
SPECS = st.fixed_dictionaries(
    {"title": st.sampled_from("tu"), "state": STATES, "labels": SETS, "acceptance": ITEMS,
     "body": BODIES},
    optional={"parent": st.sampled_from(["p", "q"]), "followPods": st.booleans()},
).map(lambda fields: spec(**fields))  # fmt: skip


def changed(base: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return what someone would say who made *after* of *base*."""
    return {
        key: after.get(key) for key in base.keys() | after.keys() if base.get(key) != after.get(key)
    }


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SPECS, SPECS, SPECS, st.booleans())
def test_nothing_that_a_side_changed_is_lost(base: Any, theirs: Any, mine: Any, wins: Any) -> None:
    ours = changed(base, mine)
    merged = merge(base, theirs, ours, ours_wins=wins)
    result = {k: v for k, v in (theirs | merged.changes).items() if v is not None}
    TicketSpec.model_validate(result)
    lost, told = (merged.overruled, merged.conflicts) if wins else (merged.conflicts, ())
    assert told == ()
    for key in base.keys() | theirs.keys() | ours.keys():
        was, there, now = base.get(key), theirs.get(key), result.get(key)
        wanted = ours.get(key, was)
        if wanted == was:
            assert now == there, key  # ours did not touch it
        elif there == was:
            assert now == wanted, key  # theirs did not
        elif key == "labels":
            for label in "abcd":
                votes = (label in was, label in there, label in wanted)
                keeps = votes[1] if votes[1] != votes[0] else votes[2]
                assert (label in now) == keeps
        elif key == "acceptance":
            _check_items(was, there, wanted, now, lost)
        elif key == "body":
            woven = weave(was, there, wanted)
            assert now == (woven if woven is not None else wanted if wins else there)
            assert (merged.comment is None) == (woven is not None)
            assert merged.comment in (None, there if wins else wanted)
        else:
            assert there == wanted or key in lost
            assert now == (wanted if wins else there)


def _check_items(base: Any, theirs: Any, ours: Any, now: Any, lost: Any) -> None:
    by_id = [{one["id"]: one for one in some} for some in (base, theirs, ours, now)]
    assert len(by_id[3]) == len(now)
    for key in "abc":
        was, there, wanted, found = (side.get(key) for side in by_id)
        if wanted == was:
            assert found == there
        elif there == was:
            assert found == wanted
        elif there is not None and wanted is not None:
            for part in ("text", "done"):
                before = was and was[part]
                if wanted[part] in (before, there[part]):
                    assert found[part] == there[part]
                elif there[part] == before:
                    assert found[part] == wanted[part]
                else:
                    assert f"acceptance.{key}.{part}" in lost
        else:
            assert there == wanted or f"acceptance.{key}" in lost


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SPECS, SPECS, SPECS)
def test_merging_again_changes_nothing(base: Any, theirs: Any, mine: Any) -> None:
    ours = changed(base, mine)
    merged = merge(base, theirs, ours)
    after = {k: v for k, v in (theirs | merged.changes).items() if v is not None}
    again = {key: value for key, value in ours.items() if key not in {"labels", "body"}}
    assert merge(base, after, again).changes == {}


def test_what_is_merged_does_not_depend_on_the_order_of_the_fields() -> None:
    ours = {"state": "done", "title": "n", "labels": ["a"]}
    for some in itertools.permutations(ours):
        merged = merge(spec(), spec(), {key: ours[key] for key in some})
        assert dict(merged.changes) == ours
