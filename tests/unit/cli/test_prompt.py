"""A prompt at the command line: what is asked for, what is printed, and broken connections."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from meshwire.v1 import link_pb2, link_pb2_grpc

from cli import prompt as module
from cli.main import main
from tests.unit.cli.served import serve
from tests.unit.cli.test_channel import BUNDLE, identity

QUEUED, ACCEPTED = link_pb2.DELIVERY_QUEUED, link_pb2.DELIVERY_ACCEPTED
SUBMITTED, FAILED = link_pb2.DELIVERY_SUBMITTED, link_pb2.DELIVERY_FAILED


@dataclass
class Controller(link_pb2_grpc.PromptsServicer):
    """The controller's door, which takes a prompt once for each key."""

    asked: list[link_pb2.PromptSubmit] = field(default_factory=list)
    failures: list[grpc.StatusCode] = field(default_factory=list)
    """How the next calls end before anything is taken, one each."""
    states: list[Any] = field(default_factory=lambda: [QUEUED, ACCEPTED, SUBMITTED])
    breaks_after: list[int] = field(default_factory=list)
    """The next calls break after so many states."""

    def Submit(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802 - the RPC's name
        self.asked.append(request)
        if self.failures:
            context.abort(self.failures.pop(0), "as laid out")
        cut = self.breaks_after.pop(0) if self.breaks_after else None
        for state in self.states[:cut]:
            failed = {"reason": "AgentEnded", "message": "pod fix \x1b has ended"}
            yield link_pb2.PromptProgress(
                prompt_id=f"prompt-{request.idempotency_key}",
                state=state,
                **(failed if state == FAILED else {}),
            )
        if cut is not None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the controller goes")


@dataclass
class Door:
    controller: Controller
    kubeconfig: Path

    def run(self, *words: str) -> int:
        return main(["-n", "acme", "--kubeconfig", str(self.kubeconfig), "prompt", *words])


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    controller, (key, certificate) = Controller(), identity()
    server = grpc.server(ThreadPoolExecutor(4))
    link_pb2_grpc.add_PromptsServicer_to_server(controller, server)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    server.start()
    kubeconfig = tmp_path / "kubeconfig"
    with serve() as api:
        endpoint = f"127.0.0.1:{port}"
        data = {"publicEndpoint": endpoint, "runnerEndpoint": endpoint}
        api.answers[BUNDLE] = (200, {"data": data | {"ca.crt": certificate.decode()}})
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
        yield Door(controller, kubeconfig)
    server.stop(0).wait()


def test_a_prompt_is_given_whole_and_waited_for(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    assert door.run("fix", "mend\nit", "--key", "k1") == 0
    assert capsys.readouterr().out == "prompt prompt-k1 submitted to fix\n"
    (asked,) = door.controller.asked
    assert (asked.namespace, asked.pod, asked.text) == ("acme", "fix", "mend\nit")


def test_without_waiting_only_the_id_is_printed(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    door.controller.states = [QUEUED, FAILED]
    assert door.run("fix", "mend it", "--key", "k1", "--no-wait") == 0
    assert capsys.readouterr().out == "prompt-k1\n"


def test_each_prompt_without_a_key_is_another_one(door: Door) -> None:
    assert (door.run("fix", "a"), door.run("fix", "a")) == (0, 0)
    keys = {asked.idempotency_key for asked in door.controller.asked}
    assert len(keys) == 2
    assert all(len(key) >= 24 for key in keys)


def test_the_text_can_come_on_standard_input(
    door: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "text"
    file.write_text("from a file\n")
    with file.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert door.run("fix", "-") == 0
    assert door.controller.asked[0].text == "from a file\n"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(grpc.StatusCode.NOT_FOUND, 3, id="no such pod"),
        pytest.param(grpc.StatusCode.PERMISSION_DENIED, 4, id="not allowed"),
        pytest.param(grpc.StatusCode.FAILED_PRECONDITION, 1, id="the pod has ended"),
        pytest.param(grpc.StatusCode.INVALID_ARGUMENT, 1, id="too long"),
    ],
)
def test_a_refusal_has_its_exit_code_and_is_not_tried_again(
    door: Door, status: Any, code: int
) -> None:
    door.controller.failures = [status]
    assert door.run("fix", "mend it") == code
    assert len(door.controller.asked) == 1


def test_an_empty_prompt_is_wrong_usage(door: Door) -> None:
    assert door.run("fix", " \n") == 2
    assert door.controller.asked == []


def test_a_prompt_that_fails_says_why(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    door.controller.states = [QUEUED, FAILED]
    assert door.run("fix", "mend it", "--key", "k1", "-o", "json") == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["reason"] == "AgentEnded"
    assert "prompt-k1 was not submitted to fix: pod fix \ufffd has ended (AgentEnded)" in said.err


def test_a_controller_that_goes_is_asked_again_with_the_same_key(door: Door) -> None:
    door.controller.failures = [grpc.StatusCode.UNAVAILABLE]
    door.controller.breaks_after = [1, 2, 3]
    assert door.run("fix", "mend it") == 0
    assert len(door.controller.asked) == 4, "until the last state has come"
    assert len({asked.idempotency_key for asked in door.controller.asked}) == 1


def test_a_controller_that_stays_away_leaves_what_to_do(
    door: Door, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONG_PATIENCE_SECONDS", 0.0)
    door.controller.breaks_after = [1]
    assert door.run("fix", "mend it", "--key", "k1") == 5
    assert "prompt prompt-k1 is still under way: the same command with --key k1" in (
        capsys.readouterr().err
    )


def test_an_interruption_says_that_it_is_under_way(
    door: Door, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_self: Any, _exc: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module._Submission, "_give_up", interrupted)
    door.controller.breaks_after = [2]
    assert door.run("fix", "mend it", "--key", "k1") == 130
    assert "prompt prompt-k1 is still under way" in capsys.readouterr().err
