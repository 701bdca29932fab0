"""Asking for a look now: what is written, what is waited for, and what each end is called."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.main import main
from tests.unit.cli.served import Served, serve

REQUESTED = "agentsmesh.io/requested-at"
SOURCE = "/apis/agentsmesh.io/v1alpha1/namespaces/acme/gitsources/plan"


@dataclass
class World(dict[str, Any]):
    """An API server with one object, and a controller that does *controller* to it when asked."""

    served: Served
    found: dict[str, Any] = field(default_factory=dict)
    path: str = SOURCE
    controller: Callable[[dict[str, Any], str], None] = lambda *_: None
    refuse: tuple[int, str] | None = None
    down: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str, default: Any = None) -> Any:
        with self.lock:
            if key != self.path or not self.found:
                return default
            last = self.served.asked[-1]
            if last.method == "PATCH":
                if self.refuse is not None:
                    return self.refuse[0], {"message": self.refuse[1]}
                self.found["metadata"].setdefault("annotations", {}).update(
                    last.body["metadata"]["annotations"]
                )
                self.controller(self.found, last.body["metadata"]["annotations"][REQUESTED])
            elif self.down and len(self.served.asked) > 2:
                self.down -= 1
                return 503, {"message": "later"}
            return 200, json.loads(json.dumps(self.found))

    def __hash__(self) -> int:
        return id(self)


@pytest.fixture
def world() -> Iterator[World]:
    with serve() as served:
        world = World(served, {"metadata": {"uid": "1"}, "spec": {}, "status": {}})
        served.answers = world
        yield world


@pytest.fixture
def run(world: World, tmp_path: Path) -> Callable[..., int]:
    file = tmp_path / "kubeconfig"
    cluster = {"server": world.served.address}
    file.write_text(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "clusters": [{"name": "k", "cluster": cluster}],
                "users": [{"name": "u", "user": {"token": "t"}}],
            }
        )
    )

    def run(*words: str) -> int:
        return main(["--kubeconfig", str(file), "-n", "acme", "reconcile", *words])

    return run


def synced(found: dict[str, Any], asked: str) -> None:
    """Handle the request as for a source whose files are all applied."""
    found["status"] = {
        "lastHandledRequestAt": asked,
        "appliedCommit": "0123abc",
        "files": {"total": 3, "synced": 3},
        "conditions": [{"type": "Ready", "status": "True", "reason": "Synced"}],
    }


@pytest.mark.parametrize("kind", ["source", "GitSource", "gitsources", "gsrc"])
def test_a_source_is_asked_for_by_any_of_its_names_and_its_outcome_told(
    world: World, run: Callable[..., int], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world.controller = synced
    assert run(kind, "plan") == 0
    assert capsys.readouterr().out == "gitsource/plan reconciled: 0123abc applied, 3 of 3 files\n"


def test_a_request_that_a_later_one_replaced_is_handled_with_it(
    world: World, run: Callable[..., int]
) -> None:
    def later(found: dict[str, Any], _: str) -> None:
        found["metadata"]["annotations"][REQUESTED] = "later"
        synced(found, "later")

    world.controller = later
    assert run("source", "plan") == 0


def test_a_source_that_is_not_ready_afterwards_is_a_failure_with_its_reason(
    world: World, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(found: dict[str, Any], asked: str) -> None:
        message = "no \x1b[31mbranch"
        found["status"] = {
            "lastHandledRequestAt": asked,
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "BranchNotFound", "message": message}
            ],
        }

    world.controller = fails
    assert run("source", "plan") == 1
    said = capsys.readouterr().err
    assert "BranchNotFound: no" in said
    assert "\x1b" not in said


def test_a_pod_that_has_ended_was_looked_at_all_the_same(
    world: World, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    def ended(found: dict[str, Any], asked: str) -> None:
        condition = {"type": "Ready", "status": "False", "reason": "Completed", "message": "0"}
        found["status"] = {"lastHandledRequestAt": asked, "conditions": [condition]}

    world.path = "/apis/agentsmesh.io/v1alpha1/namespaces/acme/agentpods/plan"
    world.controller = ended
    assert run("pod", "plan") == 0
    assert capsys.readouterr().out == "agentpod/plan reconciled (Completed: 0)\n"


def test_without_waiting_it_is_only_asked(world: World, run: Callable[..., int]) -> None:
    assert run("source", "plan", "--no-wait") == 0
    assert world.found["metadata"]["annotations"][REQUESTED].endswith("Z")


def test_an_api_server_that_is_away_for_a_moment_is_waited_for(
    world: World, run: Callable[..., int]
) -> None:
    world.controller, world.down = synced, 3
    assert run("source", "plan") == 0
    assert world.down == 0


def test_a_controller_that_does_not_look_is_unreachable(
    world: World, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("source", "plan", "--timeout", "1s") == 5
    assert "not looked at within 1 s" in capsys.readouterr().err
    assert world.found["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("kind", "plural", "seconds"), [("source", "gitsources", 90), ("pod", "agentpods", 60)]
)
def test_a_source_is_waited_for_longer_than_git_waits_for_a_silent_server(  # noqa: PLR0913, PLR0917 - fixtures
    world: World,
    run: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    plural: str,
    seconds: int,
) -> None:
    clock = [0.0]

    def sleep(pause: float) -> None:
        clock[0] += pause

    monkeypatch.setattr(
        "cli.reconcile.time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep)
    )
    world.path = f"/apis/agentsmesh.io/v1alpha1/namespaces/acme/{plural}/plan"
    assert run(kind, "plan") == 5
    assert f"not looked at within {seconds} s" in capsys.readouterr().err


def test_a_resource_that_goes_meanwhile_is_not_found(
    world: World, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    def anew(found: dict[str, Any], asked: str) -> None:
        synced(found, asked)
        found["metadata"]["uid"] = "2"

    world.controller = anew
    assert run("source", "plan") == 3
    assert "deleted meanwhile" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(("nonsense", "x"), 2, "none of GitSource, Ticket", id="no such kind"),
        pytest.param(("source", "x"), 3, "there is no GitSource x in namespace acme", id="no name"),
    ],
)
def test_what_is_not_there_is_said(
    run: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, str],
    code: int,
    said: str,
) -> None:
    assert run(*words) == code
    assert said in capsys.readouterr().err


def test_who_may_not_ask_is_told_so(
    world: World, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    world.refuse = (403, "viewers may not patch")
    assert run("source", "plan") == 4
    assert "viewers may not patch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"spec": {"suspend": True}}, "is suspended", id="suspended"),
        pytest.param(
            {"metadata": {"uid": "1", "annotations": {"agentsmesh.io/reconcile": "disabled"}}},
            "is left alone",
            id="left alone",
        ),
    ],
)
def test_what_nobody_will_look_at_is_not_asked_for(
    world: World,
    run: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    said: str,
) -> None:
    world.found |= change
    assert run("source", "plan") == 1
    assert said in capsys.readouterr().err
    assert {each.method for each in world.served.asked} == {"GET"}


def commits(folder: Path, number: int) -> list[str]:
    """Make a clone with so many commits; return them, the oldest first."""
    git = ("git", "-c", "user.name=Ada", "-c", "user.email=a@b.c", "-C", str(folder))
    subprocess.run((*git, "init", "-q", "-b", "main"), check=True)
    found = []
    for _ in range(number):
        subprocess.run((*git, "commit", "-q", "--allow-empty", "-m", "Work"), check=True)
        done = subprocess.run((*git, "rev-parse", "HEAD"), check=True, capture_output=True)
        found.append(done.stdout.decode().strip())
    return found


def at(*applied: str) -> Callable[[dict[str, Any], str], None]:
    """Return a controller that has applied these, one after the other, each time it is asked."""
    rest = list(applied)

    def controller(found: dict[str, Any], asked: str) -> None:
        synced(found, asked)
        found["status"]["appliedCommit"] = rest[0] if len(rest) == 1 else rest.pop(0)

    return controller


def test_a_commit_that_was_jumped_over_is_applied_with_one_after_it(
    world: World, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = commits(tmp_path, 3)
    world.controller = at(first, third)
    assert run("source", "plan", "--commit", second, "-C", str(tmp_path)) == 0
    assert capsys.readouterr().out == f"gitsource/plan: {second} is applied, with {third}\n"
    assert run("source", "plan", "--commit", "HEAD~2", "-C", str(tmp_path)) == 0
    assert run("source", "plan", "--commit", third, "-C", str(tmp_path)) == 0


def test_without_a_clone_only_the_commit_itself_opens_the_gate(
    world: World,
    run: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    world.controller = at("a" * 40)
    assert run("source", "plan", "--commit", "a" * 40) == 0
    assert run("source", "plan", "--commit", "b" * 40, "--timeout", "1s") == 1
    assert "in a clone that -C names" in capsys.readouterr().err
    assert run("source", "plan", "--commit", "HEAD") == 2
    assert run("source", "plan", "--commit", "a" * 40, "-C", str(tmp_path)) == 2


def test_a_commit_that_is_not_on_the_branch_is_told_so(
    world: World, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = commits(tmp_path, 2)
    where = ("-C", str(tmp_path), "--timeout", "1s")
    world.controller = at(first)
    assert run("source", "plan", "--commit", second, *where) == 1
    assert "push it to the branch" in capsys.readouterr().err


def test_what_the_clone_cannot_know_is_not_waited_for(
    world: World,
    run: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("cli.reconcile._ASK_AGAIN", 0.01)
    [pushed] = commits(tmp_path, 1)
    where = ("-C", str(tmp_path), "--timeout", "1h")
    world.controller = at("c" * 40)
    assert run("source", "plan", "--commit", pushed, *where) == 1
    said = capsys.readouterr().err
    assert f"{'c' * 40} is applied, and the clone does not know it" in said
    assert f"git -C {tmp_path} fetch" in said


def test_a_commit_that_nobody_knows_is_what_is_said_to_be_unknown(
    world: World,
    run: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("cli.reconcile._ASK_AGAIN", 0.01)
    [pushed] = commits(tmp_path, 1)
    world.controller = at(pushed)
    where = ("-C", str(tmp_path), "--timeout", "1h")
    assert run("source", "plan", "--commit", "d" * 40, *where) == 1
    said = capsys.readouterr().err
    assert "the clone does not know the commit that was asked for" in said
    assert f"{pushed} is applied, and the clone does not know it" not in said


def test_a_commit_that_is_unknown_for_a_moment_is_passed_over(
    world: World, run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.reconcile._ASK_AGAIN", 0.01)
    [pushed] = commits(tmp_path, 1)
    world.controller = at("c" * 40, pushed)
    assert run("source", "plan", "--commit", pushed, "-C", str(tmp_path)) == 0


def test_a_commit_that_is_still_being_applied_is_waited_for(
    world: World, run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.reconcile._ASK_AGAIN", 0.01)
    [pushed] = commits(tmp_path, 1)
    steps = at("c" * 40, "c" * 40, "c" * 40, pushed)

    def applying(found: dict[str, Any], asked: str) -> None:
        steps(found, asked)
        found["status"]["observedCommit"] = pushed

    world.controller = applying
    assert run("source", "plan", "--commit", pushed, "-C", str(tmp_path)) == 0


def test_a_source_that_waits_for_a_person_is_not_waited_for(
    world: World, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    def stalled(found: dict[str, Any], asked: str) -> None:
        message = {"reason": "BranchNotFound", "message": "there is no branch"}
        condition = {"type": "Stalled", "status": "True", **message}
        found["status"] = {"lastHandledRequestAt": asked, "conditions": [condition]}

    world.controller = stalled
    assert run("source", "plan", "--commit", "a" * 40, "--timeout", "1h") == 1
    assert "BranchNotFound: there is no branch" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("ticket", "x", "--commit", "a" * 40), id="of a ticket"),
        pytest.param(("source", "x", "--commit", "a" * 40, "--no-wait"), id="without waiting"),
        pytest.param(("source", "x", "--commit", "--output=x"), id="an option"),
    ],
)
def test_a_commit_that_cannot_be_waited_for_is_wrong_usage(
    run: Callable[..., int], words: tuple[str, ...]
) -> None:
    try:
        code = run(*words)
    except SystemExit as exc:  # by argparse
        code = int(exc.code or 0)
    assert code == 2
