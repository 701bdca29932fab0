"""The store believes the newest version, whoever brings it and in whatever order."""

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.kernel.store import Collection, Store
from schemas.agentclass import AgentClass


def manifest(name: str = "a", uid: str = "u1", version: int = 1, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": uid, "resourceVersion": str(version), **metadata},
        "spec": {"executable": f"program-{version}"},
    }


def names(classes: Iterable[AgentClass]) -> list[str]:
    return sorted(item.metadata.name for item in classes)


@pytest.fixture
def classes() -> Collection[AgentClass]:
    return Collection(AgentClass, {"executable": lambda item: (item.spec.executable,)})


def test_a_newer_version_replaces_an_older_one(classes: Any) -> None:
    classes.apply(manifest(version=9))
    [change] = classes.apply(manifest(version=10))
    assert (change.old.spec.executable, change.new.spec.executable) == ("program-9", "program-10")


@pytest.mark.parametrize("version", [9, 10])
def test_a_version_that_is_not_newer_is_dropped(classes: Any, version: Any) -> None:
    classes.apply(manifest(version=10))
    assert classes.apply(manifest(version=version)) == []
    assert classes.get("", "a").metadata.resource_version == "10"


def test_what_was_deleted_does_not_come_back_with_a_late_event(classes: Any) -> None:
    classes.apply(manifest(version=1))
    classes.remove("u1")
    assert classes.apply(manifest(version=2)) == []
    assert len(classes) == 0


def test_another_uid_of_the_same_name_is_a_deletion_and_a_creation(classes: Any) -> None:
    classes.apply(manifest(uid="u1", version=1))
    gone, came = classes.apply(manifest(uid="u2", version=2))
    assert (gone.new, gone.old.metadata.uid) == (None, "u1")
    assert (came.old, came.new.metadata.uid) == (None, "u2")


def test_the_late_deletion_of_a_predecessor_leaves_its_successor_alone(classes: Any) -> None:
    classes.apply(manifest(uid="u1", version=1))
    classes.apply(manifest(uid="u2", version=2))
    assert classes.remove("u1") == []
    assert classes.get("", "a").metadata.uid == "u2"


def test_an_object_without_finalizers_that_is_being_deleted_is_gone(classes: Any) -> None:
    classes.apply(manifest(version=1))
    [change] = classes.apply(manifest(version=2, deletionTimestamp="2027-01-01T00:00:00Z"))
    assert change.new is None
    assert classes.get("", "a") is None


def test_an_object_with_finalizers_that_is_being_deleted_is_still_there(classes: Any) -> None:
    deleting = {"deletionTimestamp": "2027-01-01T00:00:00Z", "finalizers": ["x/y"]}
    classes.apply(manifest(version=2, **deleting))
    assert classes.get("", "a").metadata.deleting


def test_indexes_follow_changes_and_deletions(classes: Any) -> None:
    classes.apply(manifest(name="a", uid="u1", version=1))
    classes.apply(manifest(name="b", uid="u2", version=1))
    assert names(classes.indexed("executable", "program-1")) == ["a", "b"]
    classes.apply(manifest(name="a", uid="u1", version=2))
    assert names(classes.indexed("executable", "program-1")) == ["b"]
    classes.remove("u2")
    assert classes.indexed("executable", "program-1") == []
    assert classes.count("executable", "program-2") == 1


def test_an_object_that_does_not_fit_its_schema_is_left_alone_and_named_in_the_log(
    classes: Any, caplog: Any
) -> None:
    broken = manifest()
    broken["spec"] = {"executable": 7}
    assert classes.apply(broken) == []
    assert len(classes) == 0
    assert caplog.records[0].key == "AgentClass/None/a"


def test_versions_that_are_no_numbers_are_believed(classes: Any) -> None:
    classes.apply(manifest() | {"metadata": {"name": "a", "uid": "u1", "resourceVersion": "abc"}})
    newer = manifest() | {"metadata": {"name": "a", "uid": "u1", "resourceVersion": "abd"}}
    assert len(classes.apply(newer)) == 1


def test_listeners_hear_of_changes_and_of_nothing_else() -> None:
    store = Store([Collection(AgentClass)])
    heard: list[str] = []
    store.listen(AgentClass, lambda change: heard.append("new" if change.new else "gone"))
    store.apply("AgentClass", manifest(version=2))
    store.apply("AgentClass", manifest(version=1))
    store.remove("AgentClass", "u1")
    store.remove("AgentClass", "u1")
    assert heard == ["new", "gone"]


HISTORY = [("apply", version) for version in (1, 2, 3, 4)] + [("remove", 0)]


@given(st.permutations(HISTORY), st.lists(st.sampled_from(HISTORY), max_size=6))
def test_whatever_the_order_of_news_the_end_is_the_same(order: Any, repeated: Any) -> None:
    classes = Collection(AgentClass)
    for verb, version in itertools.chain(order, repeated):
        if verb == "apply":
            classes.apply(manifest(version=version))
        else:
            classes.remove("u1")
    assert len(classes) == 0


@given(st.permutations([1, 2, 3, 4, 5]))
def test_without_a_deletion_the_newest_version_is_left(order: Any) -> None:
    classes = Collection(AgentClass)
    for version in order:
        classes.apply(manifest(version=version))
    assert classes.get("", "a").spec.executable == "program-5"
