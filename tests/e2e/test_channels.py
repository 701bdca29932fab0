"""People in channels over the whole product: what they say outlives everything but the channel."""

import json
import os
import signal
import subprocess
from typing import Any

import pytest

from tests.e2e.harness import PROGRAM, Mesh, agent_class, agent_pod, run, until

pytestmark = pytest.mark.timeout(180)


def channel(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "Channel",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def ticket(name: str, **spec: Any) -> dict[str, Any]:
    return channel(name) | {"kind": "Ticket", "spec": {"title": name, **spec}}


def words(mesh: Mesh, *arguments: str) -> tuple[str, ...]:
    where = ("--kubeconfig", str(mesh.kubeconfig), "-n", "default")
    return (PROGRAM, "channel", *arguments, *where)


def said(mesh: Mesh, name: str, *arguments: str) -> list[dict[str, Any]]:
    """Return the messages of the channel."""
    out = run(*words(mesh, "read", name, "-o", "json", *arguments))
    return [json.loads(line) for line in out.splitlines()]


def refused(*argv: str) -> tuple[int, str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def kill(mesh: Mesh, name: str) -> None:
    """Kill the process, as soon as there is one: it may just have been killed."""
    pid = until(lambda: mesh.pid(name), seconds=60, what=f"{name} is there")
    os.kill(pid, signal.SIGKILL)


def test_what_is_said_outlives_the_controller(mesh: Mesh) -> None:
    mesh.apply(channel("design", displayName="Design"))
    texts = ["first\n\ttabs and 🦊  ", *(f"before {number}" for number in range(5))]
    run(*words(mesh, "send", "design", "-"), stdin=texts[0])
    follower = subprocess.Popen(
        words(mesh, "read", "design", "--follow", "-o", "json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        for text in texts[1:]:
            run(*words(mesh, "send", "design", text))
        kill(mesh, "controller")
        for number in range(5):  # each waits for the controller, and is stored once
            texts.append(f"after {number}")
            run(*words(mesh, "send", "design", texts[-1]))
        assert follower.stdout is not None
        seen = [json.loads(follower.stdout.readline()) for _ in texts]
        assert [message["content"] for message in seen] == texts
        assert [message["sequence"] for message in seen] == list(range(1, len(texts) + 1))
        assert said(mesh, "design") == seen
        assert said(mesh, "design", "--last", "2") == seen[-2:]
        until(lambda: mesh.get("design", "channel")["status"]["messageCount"], seconds=90)

        mesh.kubectl("delete", "channel", "design", "-n", "default", "--timeout=30s")
        assert follower.wait(30) == 3
    finally:
        follower.kill()
        follower.communicate()
    mesh.apply(channel("design"))
    assert until(lambda: said(mesh, "design") == []), "a channel made anew is empty"
    mesh.kubectl("delete", "channel", "design", "-n", "default")


def test_a_mention_that_does_not_arrive_is_told(mesh: Mesh) -> None:
    nowhere = {"matchLabels": {"is": "nowhere"}}
    reader = agent_class("reader", "exec sleep 100000", "typed")
    mesh.apply(channel("ops"), reader, agent_pod("absent", "reader", runnerSelector=nowhere))
    until(lambda: mesh.condition("absent", "Scheduled"), what="the pod waits")
    run(*words(mesh, "send", "ops", "are you there?", "--mention", "absent"))
    mesh.delete("absent")
    found = until(lambda: said(mesh, "ops")[1:], what="the failure is told")
    assert [message["message_type"] for message in found] == ["system"]
    assert found[0]["sender_user"] == "system:agentsmesh"
    assert found[0]["content"].startswith("DeliveryFailed: pod absent did not get message 1")
    assert found[0]["reply_to"] == said(mesh, "ops")[0]["message_id"]
    mesh.kubectl("delete", "channel", "ops", "-n", "default")


def test_a_mention_is_not_carried_out_by_a_shell(mesh: Mesh) -> None:
    mesh.apply(channel("shells"), agent_class("shell", "exec sh"), agent_pod("prey", "shell"))
    mesh.ready("prey")
    sending = words(mesh, "send", "shells", "echo $((40 + 2))", "--mention", "prey")
    done = subprocess.run(sending, capture_output=True, text=True, check=True)
    assert "pod prey gets no prompt" in done.stderr
    assert [message["content"] for message in said(mesh, "shells")] == ["echo $((40 + 2))"]
    assert "agentsmesh" not in mesh.logs("prey")
    mesh.delete("prey")
    mesh.kubectl("delete", "channel", "shells", "-n", "default")


def test_who_may_read_may_not_send(mesh: Mesh) -> None:
    mesh.apply(channel("quiet"))
    mesh.kubectl("create", "serviceaccount", "watcher", "-n", "default")
    account = "--serviceaccount=default:watcher"
    role = "--clusterrole=agentsmesh-viewer"
    mesh.kubectl("create", "rolebinding", "watcher", role, account, "-n", "default")
    token = mesh.private(
        "watcher-token", mesh.kubectl("create", "token", "watcher", "-n", "default")
    )
    run(*words(mesh, "send", "quiet", "hello"))
    as_watcher = ("--token-file", str(token))
    assert [m["content"] for m in said(mesh, "quiet", *as_watcher)] == ["hello"]
    code, error = refused(*words(mesh, "send", "quiet", "me too", *as_watcher))
    assert code == 4
    assert "may not create channels/messages" in error
    assert refused(*words(mesh, "read", "none"))[0] == 3
    assert len(said(mesh, "quiet")) == 1
    mesh.kubectl("delete", "channel", "quiet", "-n", "default")


def test_tickets_show_how_far_they_are(mesh: Mesh) -> None:
    mesh.apply(
        ticket("epic", acceptance=[{"id": "a", "text": "green", "done": True}]),
        ticket("part", parent="epic", state="done"),
        ticket("one", dependsOn=["two"]),
        ticket("two", dependsOn=["one"]),
    )
    until(lambda: mesh.get("epic", "ticket").get("status", {}).get("children") == ["part"])
    mesh.kubectl("wait", "ticket/epic", "-n", "default", "--for=condition=Ready", "--timeout=20s")
    assert mesh.get("epic", "ticket")["status"]["progress"] == {"done": 2, "total": 2}
    stalled = until(lambda: mesh.condition("one", "Stalled", of="ticket"))
    assert stalled["reason"] == "Cycle"
    assert "one → two → one" in stalled["message"]
    mesh.kubectl("delete", "ticket", "--all", "-n", "default")


@pytest.mark.faults
def test_mentions_arrive_once_whoever_dies_meanwhile(mesh: Mesh) -> None:
    listening = 'echo ready; while read -r line; do echo "took: $line"; done'
    mesh.apply(
        channel("pager"),
        agent_class("listener", listening, "typed"),
        agent_pod("on-call", "listener"),
    )
    mesh.ready("on-call")
    for number in range(6):
        run(*words(mesh, "send", "pager", f"page {number} end", "--mention", "on-call"))
        if number in {1, 3}:
            kill(mesh, "controller")
        if number in {2, 3}:
            kill(mesh, "runner")

    def taken() -> list[str]:
        lines = mesh.logs_when_back("on-call").splitlines()
        return [line.rpartition("): ")[2] for line in lines if line.startswith("took: ")]

    pages = [f"page {number} end" for number in range(6)]
    until(lambda: len(taken()) >= len(pages), seconds=90, what="all pages are taken")
    until(mesh.all_ready, seconds=60, what="everybody is back")
    assert taken() == pages
    assert [message["content"] for message in said(mesh, "pager")] == pages
    mesh.delete("on-call")
    mesh.kubectl("delete", "channel", "pager", "-n", "default")
