"""Tickets at the command line: what is printed, what is asked for, and broken connections."""

import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from meshwire.v1 import link_pb2, link_pb2_grpc

from cli.main import main
from tests.unit.cli.served import Served, serve
from tests.unit.cli.test_channel import BUNDLE, identity

TICKETS = "/apis/agentsmesh.io/v1alpha1/namespaces/acme/tickets"


@dataclass
class Controller(link_pb2_grpc.TicketsServicer):
    """The controller's door, with answers laid out beforehand."""

    created: list[link_pb2.TicketCreate] = field(default_factory=list)
    updated: list[link_pb2.TicketUpdate] = field(default_factory=list)
    failures: list[grpc.StatusCode] = field(default_factory=list)
    """How the next calls end, one each."""
    words: str = "as laid out"
    answer: dict[str, Any] = field(default_factory=dict)

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802 - the RPC's name
        self.created.append(request)
        return self._answer(context)

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802 - the RPC's name
        self.updated.append(request)
        return self._answer(context)

    def _answer(self, context: Any) -> link_pb2.TicketAnswer:
        if self.failures:
            context.abort(self.failures.pop(0), self.words)
        return link_pb2.TicketAnswer(**{"ticket_json": '{"spec": {}}'} | self.answer)


@dataclass
class Door:
    api: Served
    controller: Controller
    kubeconfig: Path

    def run(self, *words: str) -> int:
        return main(["-n", "acme", "--kubeconfig", str(self.kubeconfig), "ticket", *words])


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    controller, (key, certificate) = Controller(), identity()
    server = grpc.server(ThreadPoolExecutor(4))
    link_pb2_grpc.add_TicketsServicer_to_server(controller, server)
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    kubeconfig = tmp_path / "kubeconfig"
    with serve() as api:
        endpoint = f"127.0.0.1:{port}"
        data = {
            "ca.crt": certificate.decode(),
            "publicEndpoint": endpoint,
            "runnerEndpoint": endpoint,
        }
        api.answers[BUNDLE] = (200, {"data": data})
        kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "clusters": [{"name": "c", "cluster": {"server": api.address}}],
                    "users": [{"name": "ada", "user": {"token": "ada-token"}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "ada"}}],
                }
            )
        )
        yield Door(api, controller, kubeconfig)
    server.stop(0).wait()


Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Return what was printed to standard output since the last time."""
    return lambda: capsys.readouterr().out


def ticket(name: str, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "generation": 3, "managedFields": [{"manager": "x"}]},
        "spec": {"title": f"About {name}", **spec},
        "status": status or {},
    }


def serving(door: Door, *items: dict[str, Any]) -> None:
    door.api.answers[TICKETS] = (200, {"items": list(items)})
    for item in items:
        door.api.answers[f"{TICKETS}/{item['metadata']['name']}"] = (200, item)


# --- list and show --------------------------------------------------------------------------------


def test_tickets_are_listed_the_most_urgent_first(door: Door, said: Said) -> None:
    claim = {"podName": "fix", "podUID": "u", "claimedAt": "2027-01-15T08:00:00Z"}
    serving(
        door,
        ticket("am-1", priority="low", title="Not\u200b red"),
        ticket(
            "am-2",
            {"progress": {"done": 2, "total": 5}, "claim": claim},
            priority="urgent",
            state="in_progress",
            type="bug",
        ),
    )
    assert door.run("list") == 0
    assert said() == (
        "TICKET  STATE        PRIORITY  TYPE  DONE  CLAIMED BY  TITLE\n"
        "am-2    in_progress  urgent    bug   2/5   fix         About am-2\n"
        "am-1    backlog      low       task  -     -           Not� red\n"
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param(("--state", "todo", "--state", "done"), ["am-1", "am-3"], id="two states"),
        pytest.param(("--label", "a", "--label", "b"), ["am-2"], id="all labels"),
        pytest.param(("--assignee", "ada"), ["am-1"], id="an assignee"),
        pytest.param(("--parent", "AM-1"), ["am-3"], id="a parent, in any case of letters"),
        pytest.param(("--type", "bug", "--priority", "high"), [], id="nothing fits"),
    ],
)
def test_the_list_is_cut_to_what_is_asked_for(
    door: Door, said: Said, wanted: tuple[str, ...], found: list[str]
) -> None:
    serving(
        door,
        ticket("am-1", state="todo", labels=["a"], assignees=["ada"]),
        ticket("am-2", labels=["a", "b"]),
        ticket("am-3", state="done", parent="am-1"),
    )
    assert door.run("list", "-o", "json", *wanted) == 0
    items = json.loads(said())
    assert [item["metadata"]["name"] for item in items] == found
    assert all("managedFields" not in item["metadata"] for item in items)
    assert door.run("list", *wanted) == 0
    assert ("there are no such tickets" in said()) is not bool(found)


def test_a_ticket_is_shown_with_its_file_and_what_it_waits_for(door: Door, said: Said) -> None:
    status = {
        "source": {"name": "fleet", "path": "t/am-1.md", "blob": "b" * 40, "commit": "c" * 40},
        "conditions": [
            {
                "type": "WriteBackPending",
                "status": "True",
                "reason": "Pending",
                "message": "a change is accepted and not pushed yet",
                "lastTransitionTime": "2027-01-15T08:00:00Z",
            }
        ],
    }
    acceptance = [{"id": "a1", "text": "works", "done": True}, {"id": "a2", "text": "is fast"}]
    serving(door, ticket("am-1", status, acceptance=acceptance, body="Do\x1b it.\n\nNow.\n"))
    assert door.run("show", "AM-1") == 0
    out = said()
    assert "t/am-1.md (GitSource fleet, commit cccccccccccc)" in out
    assert "  [x] a1: works\n  [ ] a2: is fast\n" in out
    assert "WriteBackPending (Pending): a change is accepted" in out
    assert out.endswith("\nDo� it.\n\nNow.\n")
    assert door.run("show", "am-1", "-o", "yaml") == 0
    assert yaml.safe_load(said())["spec"]["body"] == "Do\x1b it.\n\nNow.\n"
    assert door.run("show", "am-9") == 3


# --- create ---------------------------------------------------------------------------------------


def test_a_ticket_is_made_with_all_that_was_said(
    door: Door, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("In *Markdown*.\n"))
    door.controller.answer = {"commit": "c" * 40}
    words = ("--label", "a", "--label", "a", "--accept", "works", "--accept", "is fast")
    assert (
        door.run(
            *("create", "Find it", "--name", "AM-7", "--source", "fleet", "--body", "-"),
            *("--type", "bug", "--parent", "AM-1", "--repository", "shop", *words),
        )
        == 0
    )
    (asked,) = door.controller.created
    assert (asked.namespace, asked.name, asked.source) == ("acme", "am-7", "fleet")
    assert json.loads(asked.spec_json) == {
        "title": "Find it",
        "body": "In *Markdown*.\n",
        "type": "bug",
        "parent": "am-1",
        "repositoryRef": {"name": "shop"},
        "labels": ["a"],
        "acceptance": [
            {"id": "a1", "text": "works", "done": False},
            {"id": "a2", "text": "is fast", "done": False},
        ],
    }
    assert said() == "ticket am-7 created (commit cccccccccccc)\n"


def test_a_broken_connection_makes_no_second_ticket(door: Door, said: Said) -> None:
    door.controller.failures = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ALREADY_EXISTS]
    assert door.run("create", "Find it") == 0
    first, second = door.controller.created
    assert first.name == second.name
    assert first.name.startswith("tk-")
    assert said() == f"ticket {first.name} created\n"


def test_a_name_that_somebody_else_took_is_said(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    door.controller.failures = [grpc.StatusCode.ALREADY_EXISTS]
    assert door.run("create", "Find it", "--name", "am-1") == 1
    assert "as laid out" in capsys.readouterr().err


# --- update ---------------------------------------------------------------------------------------


def test_plain_fields_are_changed_without_looking(door: Door, said: Said) -> None:
    assert door.run("update", "AM-1", "--state", "done", "--parent", "", "--title", "New") == 0
    (asked,) = door.controller.updated
    assert (asked.name, asked.expected_revision) == ("am-1", 0)
    assert json.loads(asked.changes_json) == {"title": "New", "state": "done", "parent": None}
    assert said() == "ticket am-1 updated\n"


def test_lists_are_changed_from_what_the_ticket_has(door: Door) -> None:
    acceptance = [{"id": "a1", "text": "works"}, {"id": "a2", "text": "is fast", "done": True}]
    serving(door, ticket("am-1", labels=["a", "b"], dependsOn=["am-2"], acceptance=acceptance))
    door.controller.failures = [grpc.StatusCode.ABORTED]
    assert (
        door.run(
            *("update", "am-1", "--label", "c", "--no-label", "a", "--no-depends-on", "am-2"),
            *("--done", "a1", "--undone", "a2", "--accept", "is small", "--priority", "low"),
        )
        == 0
    )
    first, second = door.controller.updated
    assert first == second, "somebody was faster: it looks again"
    assert second.expected_revision == 3
    assert json.loads(second.changes_json) == {
        "priority": "low",
        "labels": ["b", "c"],
        "dependsOn": [],
        "acceptance": [
            {"id": "a1", "text": "works", "done": True},
            {"id": "a2", "text": "is fast", "done": False},
            {"id": "a3", "text": "is small", "done": False},
        ],
    }


def test_the_namespace_may_stand_before_the_verb_and_behind_it(door: Door, said: Said) -> None:
    cluster = ["--kubeconfig", str(door.kubeconfig)]
    for words in (
        ["-n", "acme", "ticket", "update", "am-1"],
        ["ticket", "-n", "acme", "update", "am-1"],
        ["-n", "other", "ticket", "update", "am-1", "-n", "acme"],
        ["-n", "other", "ticket", "-n", "acme", "update", "am-1"],
    ):
        assert main([*words, *cluster, "--state", "done"]) == 0
        assert "updated" in said()
    assert {request.namespace for request in door.controller.updated} == {"acme"}


def test_a_ticket_that_is_too_long_is_said_so(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    door.controller.failures = [grpc.StatusCode.RESOURCE_EXHAUSTED]
    door.controller.words = "SERVER: Received message larger than max (20000029 vs. 262144)"
    assert door.run("update", "am-1", "--body", "x") == 1
    assert "its text may have 64 KiB" in capsys.readouterr().err


def test_what_cannot_be_asked_for_is_said(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    serving(door, ticket("am-1"))
    assert door.run("update", "am-1") == 2
    assert door.run("update", "am-1", "--done", "a9") == 1
    assert "no acceptance item 'a9'" in capsys.readouterr().err
    door.controller.failures = [grpc.StatusCode.ABORTED]
    assert door.run("update", "am-1", "--state", "done", "--revision", "2") == 1
    assert len(door.controller.updated) == 1
    door.controller.failures = [grpc.StatusCode.PERMISSION_DENIED]
    assert door.run("update", "am-1", "--state", "done") == 4


def test_a_name_that_no_ticket_can_have_is_wrong_usage(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    assert door.run("create", "Mend it", "--name", "BAD_ID") == 2
    said = capsys.readouterr().err
    assert "--name: 'BAD_ID'" in said
    assert "lower-case letters, digits and '-'" in said
    assert door.run("create", "Mend it", "--source", "No_Source") == 2
    assert "--source: 'No_Source'" in capsys.readouterr().err
    assert door.run("update", "am_1", "--state", "done") == 2
    assert "TICKET: 'am_1'" in capsys.readouterr().err
    assert door.controller.created == []
    assert door.run("create", "Mend it", "--name", "AM-7") == 0


def test_what_keeps_a_change_is_said(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    why = "the change is accepted and kept; just now: the branch is protected"
    door.controller.answer = {"pending": True, "waits": why}
    assert door.run("update", "am-1", "--state", "done") == 0
    assert capsys.readouterr().out == f"ticket am-1: {why}\n"
    assert door.run("update", "am-1", "--state", "done", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["waits"] == why


def test_nothing_is_called_updated_that_stays_as_it_is(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    door.controller.answer = {"commit": "c" * 40, "unchanged": True}
    assert door.run("update", "am-1", "--state", "done") == 0
    assert capsys.readouterr().out == "ticket am-1: nothing to change\n"
    why = "nothing was changed, and ticket am-1 stays as it is: a.md is not used (Refused): because"
    door.controller.answer |= {"conflict": why}
    assert door.run("update", "am-1", "--state", "done") == 1
    said = capsys.readouterr()
    assert (said.out, why in said.err) == ("", True)
    door.controller.answer |= {"unchanged": False}
    assert door.run("update", "am-1", "--state", "done") == 1
    assert capsys.readouterr().out == "ticket am-1: commit cccccccccccc\n"


def test_what_waits_and_what_was_not_taken_is_said(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    door.controller.answer = {"pending": True}
    assert door.run("update", "am-1", "--state", "done") == 0
    said = capsys.readouterr().out
    assert "accepted and kept" in said
    assert "kubectl describe ticket am-1" in said  # where to look, if nobody says what keeps it
    assert door.run("update", "am-1", "--state", "done", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "ticket": {"spec": {}},
        "name": "am-1",
        "commit": None,
        "pending": True,
        "unchanged": False,
        "waits": None,
        "conflict": None,
    }
    door.controller.answer = {"commit": "c" * 40, "conflict": "state is done: it stays"}
    assert door.run("update", "am-1", "--state", "todo") == 1
    assert "state is done: it stays" in capsys.readouterr().err
