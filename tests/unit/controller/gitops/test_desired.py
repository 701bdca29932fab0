"""What files ask for together: one file per resource, and nothing deleted by mistake."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.gitops.desired import DUPLICATE_ID, NOT_A_TICKET, Known, Seen, claims
from controller.gitops.joining import Joined, collect
from controller.gitops.values import Entry, EntryType, Identity, Problem, Tree

COMMIT = "c" * 40


def known(path: str, name: str, digest: str = "d") -> Known:
    return Known(Identity("Ticket", name), path, f"blob-{path}", digest)


def said(path: str, name: str) -> Seen:
    return Seen("blob", "rules", known(path, name))


def broken(path: str, *names: str, before: str | None = None) -> Seen:
    problem = Problem(path, "InvalidYaml", "no", 3)
    return Seen("blob", "rules", known(path, before) if before else None, problem, names)


def tree(*paths: str, problems: tuple[Problem, ...] = ()) -> Tree:
    entries = tuple(Entry(path, "blob", 1, EntryType.FILE) for path in sorted(paths))
    return Tree(COMMIT, entries, problems, len(entries) + len(problems))


def ids(*names: str) -> frozenset[Identity]:
    return frozenset(Identity("Ticket", name) for name in names)


def test_each_file_asks_for_its_resource() -> None:
    found = collect(tree("a", "b"), {"a": said("a", "one"), "b": said("b", "two")}, {})
    assert set(found.resources) == ids("one", "two")
    assert (found.problems, found.total) == ((), 2)


def test_a_file_that_is_none_of_ours_is_not_counted() -> None:
    found = collect(tree("README.md"), {"README.md": Seen("blob", "rules")}, {})
    assert (dict(found.resources), found.problems, found.total) == ({}, (), 0)


def test_a_file_that_is_no_ticket_any_more_is_a_problem_and_no_deletion() -> None:
    found = collect(tree("a"), {"a": Seen("blob", "rules")}, {Identity("Ticket", "one"): "a"})
    assert [problem.reason for problem in found.problems] == [NOT_A_TICKET]
    assert found.kept == ids("one")


def test_what_a_broken_file_said_before_holds() -> None:
    seen = {"a": broken("a", before="one")}
    found = collect(tree("a"), seen, {Identity("Ticket", "one"): "a"})
    assert set(found.resources) == found.stale == ids("one")
    assert [problem.line for problem in found.problems] == [3]


def test_a_broken_file_of_which_nothing_is_known_keeps_what_came_from_it() -> None:
    found = collect(tree("a"), {"a": broken("a")}, {Identity("Ticket", "one"): "a"})
    assert (dict(found.resources), found.kept) == ({}, ids("one"))


def test_a_file_that_is_too_large_to_be_read_keeps_what_came_from_it() -> None:
    problem = Problem("a", "TooLarge", "no")
    found = collect(tree(problems=(problem,)), {}, {Identity("Ticket", "one"): "a"})
    assert (found.kept, found.total) == (ids("one"), 1)


def test_the_names_in_a_broken_file_that_had_none_are_suspects() -> None:
    found = collect(tree("new"), {"new": broken("new", "one")}, {Identity("Ticket", "one"): "old"})
    assert "one" in found.suspects


def test_who_had_an_id_keeps_it() -> None:
    seen = {"a": said("a", "one"), "b": said("b", "one")}
    found = collect(tree("a", "b"), seen, {Identity("Ticket", "one"): "b"})
    assert found.resources[Identity("Ticket", "one")].path == "b"
    (problem,) = found.problems
    assert (problem.path, problem.reason) == ("a", DUPLICATE_ID)
    assert "b keeps it" in problem.message
    assert found.duplicates == 1


def test_where_nobody_had_an_id_nobody_gets_it_and_nothing_is_deleted() -> None:
    seen = {path: said(path, "one") for path in ("a", "b", "c")}
    found = collect(tree("a", "b", "c"), seen, {})
    assert (dict(found.resources), found.kept) == ({}, ids("one"))
    assert [problem.path for problem in found.problems] == ["a", "b", "c"]
    assert "b, c" in found.problems[0].message


def test_a_second_file_does_not_take_what_a_broken_one_has() -> None:
    seen = {"a": broken("a", before="one"), "b": said("b", "one")}
    found = collect(tree("a", "b"), seen, {Identity("Ticket", "one"): "a"})
    assert found.resources[Identity("Ticket", "one")].path == "a"
    assert {problem.path for problem in found.problems} == {"a", "b"}


def test_a_file_that_has_moved_takes_its_resource_along() -> None:
    found = collect(tree("b"), {"b": said("b", "one")}, {Identity("Ticket", "one"): "a"})
    assert found.resources[Identity("Ticket", "one")].path == "b"
    assert found.problems == ()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"---\nid: tk-7f3k\ntitle: [\n", id="front matter"),
        pytest.param(b"metadata:\n  name: tk-7f3k\n", id="a manifest"),
        pytest.param(b'---\n"id": "tk-7f3k"\n', id="quoted"),
        pytest.param("---\nid: tk-7f3k\n".encode("utf-16"), id="UTF-16"),
    ],
)
def test_what_a_broken_file_may_be_about_is_found(data: bytes) -> None:
    assert "tk-7f3k" in claims("fleet/x.md", data)


def test_a_file_that_is_not_read_may_be_about_what_its_name_says() -> None:
    assert "tk-7f3k" in claims("fleet/tickets/tk-7f3k-fix-the-login.md")


def test_a_file_that_names_much_is_about_a_bounded_number_of_names() -> None:
    data = b"".join(b"id: a%d\n" % number for number in range(20_000)) + b"id: last\n"
    found = claims(f"fleet/tk-1{'-' * 1100}.md", data)
    assert {"tk", "tk-1", "a0"} <= set(found)
    assert len(found) == len(set(found)) <= 128
    assert max(map(len, found)) <= 63


def test_thousands_of_files_with_one_id_name_three_others_each() -> None:
    paths = [f"{number:05}" for number in range(15_000)]
    found = collect(tree(*paths), {path: said(path, "one") for path in paths}, {})
    assert found.kept == ids("one")
    assert found.problems[1].message == (
        "Ticket one is also in 00000, 00002, 00003 and 14996 more: none of them is applied; "
        "change one id"
    )


NAMES = st.sampled_from(["one", "two", "three"])
PATHS = st.sampled_from(["a", "b", "c", "d", "e"])


@given(
    files=st.dictionaries(PATHS, st.one_of(NAMES, st.none())),
    owners=st.dictionaries(NAMES, PATHS),
)
def test_nothing_is_lost_and_nothing_is_claimed_twice(
    files: dict[str, str | None], owners: dict[str, str]
) -> None:
    """None stands for a broken file of which nothing is known."""
    seen = {path: said(path, name) if name else broken(path) for path, name in files.items()}
    mine = {Identity("Ticket", name): path for name, path in owners.items()}
    found = collect(tree(*files), seen, mine)
    wanted = {name for name in files.values() if name}
    assert {one.name for one in found.resources} | {one.name for one in found.kept} >= wanted
    for identity, path in mine.items():
        if path in files and files[path] in {None, identity.name}:
            assert identity in found.resources or identity in found.kept
    assert not found.resources.keys() & found.kept
    for identity, file in found.resources.items():
        assert files[file.path] == identity.name
    good = {file.path for file in found.resources.values()}
    assert good | {problem.path for problem in found.problems} == set(files)


PLACES = ("a", "b", "c", "d")
TICKETS = ("one", "two", "three")
READINGS = st.one_of(
    st.tuples(st.just("said"), st.sampled_from(TICKETS), st.sampled_from("de")),
    st.tuples(st.just("broken"), st.sampled_from((*TICKETS, "")), st.sampled_from(("", *TICKETS))),
    st.tuples(st.sampled_from(("foreign", "unread")), st.just(""), st.just("")),
)
STATES = st.tuples(
    st.dictionaries(st.sampled_from(PLACES), READINGS),
    st.dictionaries(st.sampled_from(TICKETS), st.sampled_from((*PLACES, "gone"))),
)


def told(path: str, what: str, name: str, more: str) -> Seen:
    if what == "said":
        return Seen("blob", "rules", known(path, name, more))
    return broken(path, more, before=name or None) if what == "broken" else Seen("blob", "rules")


@settings(max_examples=400, deadline=None)
@given(st.lists(STATES, max_size=8))
def test_what_is_joined_step_by_step_is_what_is_joined_at_once(
    history: list[tuple[dict[str, tuple[str, str, str]], dict[str, str]]],
) -> None:
    joined = Joined()
    for files, had in history:
        there = [path for path, (what, _, _) in files.items() if what != "unread"]
        never = [Problem(path, "TooLarge", "no") for path in sorted(files.keys() - set(there))]
        seen = {path: told(path, *said) for path, said in files.items()}
        owners = {Identity("Ticket", name): path for name, path in had.items()}
        now = tree(*there, problems=tuple(never))
        assert joined.collect(now, seen, owners) == collect(now, seen, owners)


def test_what_was_joined_before_stays_as_it_was() -> None:
    joined = Joined()
    before = joined.collect(tree("a"), {"a": said("a", "one")}, {})
    joined.collect(tree("b"), {"b": said("b", "two")}, {})
    assert set(before.resources) == ids("one")
