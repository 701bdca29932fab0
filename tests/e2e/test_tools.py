"""The tools of agents over the whole product: real agents' processes, two runners, one controller.

Whichever runner a pod is on, and whether or not its sandbox has a network, it gets the same results
and the same refusals.
"""

import hashlib
import itertools
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from schemas.tools.catalogue import CATALOGUE
from tests.e2e.harness import Mesh, agent_pod, processes_of, until

pytestmark = pytest.mark.timeout(300)

CALLER = Path(__file__).with_name("agents") / "caller.py"
NUMBERS = itertools.count(1)
SECOND = "second"


@dataclass
class Agent:
    """A pod whose agent does what it is told."""

    mesh: Mesh
    name: str
    folder: Path
    """Its private home, on the runner's machine."""
    used: set[str] = field(default_factory=set)

    def post(self, tool: str, **arguments: Any) -> Path:
        """Have the agent call a tool; return where its answer will be."""
        self.used.add(tool)
        name = f"{next(NUMBERS):05}.json"
        draft = self.folder / "commands" / f".{name}"
        draft.write_text(json.dumps({"tool": tool, "arguments": arguments}))
        draft.rename(draft.with_name(name))
        return self.folder / "answers" / name

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Have the agent call a tool; return its answer."""
        return answered(self.post(tool, **arguments))

    def did(self, tool: str, **arguments: Any) -> Any:
        """Have the agent call a tool, which must work; return its result."""
        answer = self.call(tool, **arguments)
        assert answer.get("failed") is False, (tool, answer)
        assert json.loads(answer["text"]) == answer["structured"], "the text is the same data"
        return answer["structured"]

    def refused(self, tool: str, **arguments: Any) -> str:
        """Have the agent call a tool, which must be refused; return the sentence."""
        answer = self.call(tool, **arguments)
        assert answer.get("failed") is True, (tool, answer)
        return str(answer["text"])

    def pid(self) -> int:
        """Return the agent's process."""
        uid = self.mesh.get(self.name)["metadata"]["uid"]
        found = [pid for pid in processes_of(uid) if b"caller.py" in _command(pid)]
        assert found, f"the agent of {self.name} is gone"
        return max(found)

    def door(self) -> tuple[str, str]:
        """Return the address of its MCP server, and its token."""
        environment = Path(f"/proc/{self.pid()}/environ").read_bytes().decode().split("\0")
        values = dict(item.split("=", 1) for item in environment if "=" in item)
        return values["AGENTSMESH_MCP_URL"], values["AGENTSMESH_MCP_TOKEN"]


def answered(file: Path) -> dict[str, Any]:
    """Return the answer in the file, as soon as it is there."""
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline, f"there is no answer {file}"
        time.sleep(0.003)
    answer: dict[str, Any] = json.loads(file.read_text())
    return answer


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class Runner:
    """A second runner on this machine, which is ours to kill."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        token = f"amjt_{SECOND}.{secrets.token_urlsafe(32)}"
        digest = hashlib.sha256(token.encode()).hexdigest()
        spec = {"runnerName": SECOND, "tokenHash": digest}
        mesh.apply(
            {
                "apiVersion": "agentsmesh.io/v1alpha1",
                "kind": "RunnerEnrollment",
                "metadata": {"name": SECOND, "namespace": "default"},
                "spec": spec,
            }
        )
        bundle = ("get", "cm", "agentsmesh-trust-bundle", "-n", "default", "-o", "json")
        data = json.loads(mesh.kubectl(*bundle))["data"]
        self.data = mesh.folder / SECOND
        argv = ["--data-dir", str(self.data), "--organization", "default", "--name", SECOND]
        argv += ["--controller", data["runnerEndpoint"], "--enroll", data["publicEndpoint"]]
        argv += ["--join-token-file", str(mesh.private("second.token", token))]
        argv += ["--ca-file", str(mesh.private("second.ca", data["ca.crt"]))]
        self._argv = [sys.executable, "-m", "runner", *argv]
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with (self.mesh.folder / "second.log").open("ab") as log:
            return subprocess.Popen(self._argv, stdout=log, stderr=log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.process = self._start()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def second(_mesh: Mesh) -> Iterator[Runner]:
    """Give a second runner, and the class of agents that call tools."""
    runner = Runner(_mesh)
    source = CALLER.read_text(encoding="utf-8").replace("$", "$$")
    _mesh.apply(
        {
            "apiVersion": "agentsmesh.io/v1alpha1",
            "kind": "AgentClass",
            "metadata": {"name": "caller"},
            "spec": {
                "executable": sys.executable,
                "args": ["-u", "$(HOME)/caller.py"],
                "prompt": {"position": "typed"},
                "homeFiles": [{"path": "caller.py", "content": source}],
            },
        }
    )
    try:
        until(lambda: _online(_mesh), seconds=60, what="the second runner is online")
        yield runner
        _mesh.kubectl("delete", "agentpods", "--all", "-n", "default", "--timeout=60s")
    finally:
        runner.stop()


def _online(mesh: Mesh) -> bool:
    if not mesh.exists(SECOND, "runner"):
        return False
    return bool(mesh.get(SECOND, "runner").get("status", {}).get("phase") == "Online")


def start(mesh: Mesh, *names: str, runner: str = "local", **spec: Any) -> list[Agent]:
    """Start pods on a runner; return their agents once they have listed their tools."""
    mesh.apply(*(agent_pod(name, "caller", runnerName=runner, **spec) for name in names))
    return [_agent(mesh, name) for name in names]


def _agent(mesh: Mesh, name: str) -> Agent:
    pod = mesh.ready(name, seconds=60)
    home = _home(mesh, pod["metadata"]["uid"])
    until((home / "commands").is_dir, what=f"{name} has started")
    return Agent(mesh, name, home)


def _home(mesh: Mesh, uid: str) -> Path:
    for data in (mesh.data, mesh.folder / SECOND):
        found = next(data.rglob(f"pods/{uid}"), None)
        if found is not None:
            return found / "home"
    raise AssertionError(f"no runner has {uid}")


class Tour:
    """Every tool once or more, from one pod for another; what came is kept without its names."""

    def __init__(self, caller: Agent, target: Agent, runner: str) -> None:
        self.caller, self.target = caller, target
        self.runner = runner
        self.seen: list[Any] = []
        self.number = f"tour{next(NUMBERS):05}"
        self._names = {caller.name: "CALLER", target.name: "TARGET", self.number: "TOUR"}

    def plain(self, value: Any) -> Any:
        """Return *value* with what differs from tour to tour taken out."""
        text = json.dumps(value)
        for name, word in self._names.items():
            text = re.sub(rf"\b{re.escape(name)}\b", word, text)
        text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|\+00:00)", "TIME", text)
        text = re.sub(r"\b(pb-[0-9a-f]+|tk-[0-9a-z]{10}|[0-9A-HJKMNP-TV-Z]{26})\b", "ID", text)
        return json.loads(text)

    def did(self, tool: str, who: Agent | None = None, **arguments: Any) -> Any:
        result = (who or self.caller).did(tool, **arguments)
        self.seen.append((tool, self.plain(result)))
        return result

    def refused(self, tool: str, who: Agent | None = None, **arguments: Any) -> str:
        said = (who or self.caller).refused(tool, **arguments)
        self.seen.append((tool, self.plain(said)))
        return said

    def run(self) -> list[Any]:
        """Make the tour."""
        self._bindings_and_terminals()
        self._channels()
        self._tickets()
        self._discovery()
        self._pods()
        return self.seen

    def _bindings_and_terminals(self) -> None:
        there: dict[str, Any] = {"pod_key": self.target.name}
        uses: tuple[tuple[str, dict[str, Any]], ...] = (
            ("observe_terminal", there),
            ("send_terminal_text", there | {"text": "x"}),
            ("send_terminal_key", there | {"keys": ["enter"]}),
        )
        for tool, arguments in uses:
            assert "bind_pod" in self.refused(tool, **arguments)
        read, write = ["terminal:read"], ["terminal:write"]
        asked = self.did("bind_pod", target_pod=self.target.name, scopes=read)
        assert (asked["status"], asked["granted_scopes"]) == ("pending", [])
        assert "has not answered yet" in self.refused("observe_terminal", **there)
        waiting = self.did("get_bindings", self.target, status="pending")["bindings"]
        assert [one["binding_id"] for one in waiting] == [asked["binding_id"]]
        self.refused("accept_binding", binding_id=asked["binding_id"])
        self.did("accept_binding", self.target, binding_id=asked["binding_id"])
        assert self.caller.did("observe_terminal", **there)["pod_key"] == self.target.name
        for tool, arguments in uses[1:]:
            assert "terminal:write" in self.refused(tool, **arguments)
        self.did("bind_pod", target_pod=self.target.name, scopes=write)
        self.did("reject_binding", self.target, binding_id=asked["binding_id"], reason="not now")
        self.refused("send_terminal_text", **there, text="x")
        self.did("bind_pod", target_pod=self.target.name, scopes=write)
        self.did("accept_binding", self.target, binding_id=asked["binding_id"])
        self.did("get_bound_pods")
        self.did("get_bound_pods", self.target)
        self._type(there)
        self.did("unbind_pod", target_pod=self.target.name)
        for tool, arguments in uses:
            assert "bind_pod" in self.refused(tool, **arguments)

    def _type(self, there: dict[str, Any]) -> None:
        word = self.number
        self.did("send_terminal_text", **there, text=f"{word} 'é'")
        self.refused("send_terminal_key", **there, keys=["enter", "hyper+q"])
        assert "typed: " not in self._output(there).split(word)[-1], "nothing was pressed"
        self.did("send_terminal_key", **there, keys=["enter"])
        until(lambda: f"typed: \"{word} 'é'\"" in self._output(there), what="the line is taken")
        one = self.caller.did("observe_terminal", **there, lines=1, include_screen=True)
        assert one["output"].count("\n") == 0
        assert one["has_more"]
        assert word in one["screen"]
        self.refused("observe_terminal", **there, lines=10_001)
        self.refused("observe_terminal", pod_key="nobody")

    def _output(self, there: dict[str, Any]) -> str:
        return str(self.caller.did("observe_terminal", **there)["output"])

    def _channels(self) -> None:
        name = f"talk-{self.number}"
        here = {"channel_id": self.did("create_channel", name=name)["channel_id"]}
        assert name in self.refused("create_channel", name=name)
        self.refused("get_channel_messages", self.target, **here)
        sent = self.did(
            "send_channel_message",
            **here,
            content="Look at this",
            mentions=[self.target.name],
            idempotency_key="1",
        )
        again = self.did(
            "send_channel_message",
            **here,
            content="Look at this",
            mentions=[self.target.name],
            idempotency_key="1",
        )
        assert sent["message_id"] == again["message_id"]
        until(lambda: "Look at this" in self._terminal_of_target(), what="the mention is typed")
        answer = self.did(
            "send_channel_message",
            self.target,
            **here,
            content="Seen",
            reply_to=sent["message_id"],
        )
        assert answer["sequence"] == 2
        found = self.did("get_channel_messages", **here, limit=10)["messages"]
        assert [one["content"] for one in found] == ["Look at this", "Seen"]
        self.did("get_channel", **here)
        self.did("search_channels", name=name[5:].upper())
        self.did("get_channel_document", **here)
        self.did("update_channel_document", **here, document="# Plan\r\n", revision=0)
        self.refused("update_channel_document", self.target, **here, document="x", revision=0)
        assert self.did("get_channel_document", **here)["document"] == "# Plan\r\n"

    def _terminal_of_target(self) -> str:
        return str(self.target.did("observe_terminal", pod_key=self.target.name)["output"])

    def _tickets(self) -> None:
        text = "# Mend\r\n\n- the *gate* \n"
        made = self.did(
            "create_ticket", title=f"Mend {self.number}", description=text, priority="high"
        )
        ticket = {"ticket_id": made["ticket_id"]}
        assert self.did("get_ticket", **ticket)["description"] == text
        self.did("update_ticket", **ticket, status="in_progress", expected_revision=1)
        self.refused("update_ticket", self.target, **ticket, status="done", expected_revision=1)
        self.did("search_tickets", query=self.number)
        self.refused("get_ticket", ticket_id="tk-nobody")

    def _discovery(self) -> None:
        pods = self.caller.did("list_available_pods")["pods"]
        mine = {one["pod_key"]: one for one in pods}
        assert mine[self.caller.name]["is_self"]
        assert mine[self.target.name]["runner"] == self.runner
        runners = self.caller.did("list_runners")["runners"]
        assert {"local", SECOND} <= {one["runner_id"] for one in runners}
        assert all({"name": "idle"} in one["available_agents"] for one in runners)
        self.did("list_repositories")

    def _pods(self) -> None:
        made = self.caller.did("create_pod", agent_type_id="idle", runner_id=self.runner)
        assert made["binding_status"] == "active"
        child = {"pod_key": made["pod_key"]}
        self.caller.mesh.ready(made["pod_key"], seconds=60)
        assert self.caller.did("observe_terminal", **child)["output"] == ""
        self.refused("create_pod", agent_type_id="nobody")
        self.caller.mesh.delete(made["pod_key"])
        self.caller.refused("observe_terminal", **child)


def test_every_tool_works_alike_for_pods_on_this_and_on_another_runner(
    mesh: Mesh,
    second: Runner,  # noqa: ARG001 - it must be there
) -> None:
    lead, near = start(mesh, "lead", "near")
    (far,) = start(mesh, "far", runner=SECOND)
    (quiet,) = start(mesh, "quiet", sandbox={"isolation": "required", "network": "none"})
    tours = {
        "the same runner": Tour(lead, near, "local").run(),
        "another runner": Tour(lead, far, SECOND).run(),
        "without a network": Tour(quiet, near, "local").run(),
        "without a network, another runner": Tour(quiet, far, SECOND).run(),
        "from the other runner": Tour(far, lead, "local").run(),
    }
    first = tours.pop("the same runner")
    for name, tour in tours.items():
        for expected, found in zip(first, tour, strict=True):
            assert found == expected, name
    used = lead.used | near.used
    assert used == set(CATALOGUE)


@pytest.mark.faults
def test_the_same_agent_goes_on_calling_after_its_runner_was_killed(
    mesh: Mesh, second: Runner
) -> None:
    (here,) = start(mesh, "survivor", runner=SECOND)
    (there,) = start(mesh, "watcher")
    pid = here.pid()
    here.did("list_available_pods")
    second.kill()
    asked = there.did("bind_pod", target_pod="survivor", scopes=["terminal:read"])
    assert asked["status"] == "pending"
    waiting = here.post("list_available_pods")
    time.sleep(1)  # the call is made while nobody serves it
    assert not waiting.exists()
    second.restart()
    assert answered(waiting)["failed"] is False
    here.did("accept_binding", binding_id=asked["binding_id"])
    until(
        lambda: there.call("observe_terminal", pod_key="survivor")["failed"] is False,
        what="the terminal can be seen again",
    )
    assert here.pid() == pid
    mesh.replace("runner")
    there.did("observe_terminal", pod_key="survivor")
    mesh.replace("controller")
    until(
        lambda: there.call("observe_terminal", pod_key="survivor").get("failed") is False,
        seconds=60,
        what="the tools work with the next controller",
    )


def test_calls_that_hang_delay_neither_other_pods_nor_heartbeats(
    mesh: Mesh, second: Runner
) -> None:
    hanging, quick = start(mesh, "hanging", "quick")
    start(mesh, "stuck", runner=SECOND)
    spec = {"initiator": "hanging", "target": "stuck", "scopes": ["terminal:read"]}
    mesh.apply(
        {
            "apiVersion": "agentsmesh.io/v1alpha1",
            "kind": "PodBinding",
            "metadata": {"name": "hanging-stuck", "namespace": "default"},
            "spec": spec,
        }
    )
    until(
        lambda: not hanging.call("observe_terminal", pod_key="stuck")["failed"],
        what="the declared binding holds",
    )
    os.kill(second.process.pid, signal.SIGSTOP)
    try:
        calls = [hanging.post("observe_terminal", pod_key="stuck") for _ in range(24)]
        began, times = time.monotonic(), []
        while time.monotonic() < began + 5:
            times.append(quick.call("list_runners")["ms"])
        assert not any(call.exists() for call in calls)
        assert sorted(times)[len(times) // 2] < 500
        assert max(times) < 4500
        renewed = mesh.condition("local", "Ready", of="runner")
        assert renewed["status"] == "True", "heartbeats come through"
    finally:
        os.kill(second.process.pid, signal.SIGCONT)
    assert all(answered(call)["failed"] is False for call in calls)


def test_the_token_of_an_ended_pod_is_dead(mesh: Mesh, second: Runner) -> None:  # noqa: ARG001
    (agent,) = start(mesh, "shortlived")
    url, token = agent.door()
    assert _status(url, token) == 200
    assert _status(url, "a" * len(token)) == 403
    assert _status(url, "shortlived") == 403
    os.kill(agent.pid(), signal.SIGKILL)
    mesh.phase("shortlived", "Failed")
    assert _status(url, token) in {0, 403}
    mesh.delete("shortlived")


def _status(url: str, token: str) -> int:
    """Call a tool by hand; return the HTTP status, 0 if nobody listens."""
    call = {"name": "list_runners", "arguments": {}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    request = urllib.request.Request(  # noqa: S310 - as the pod's environment says
        url,
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2025-11-25",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
