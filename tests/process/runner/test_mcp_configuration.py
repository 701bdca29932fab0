"""From a pod's spec to an agent that finds its MCP server: worktree, home, sandbox, shim."""

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from meshwire.v1 import link_pb2

from runner.converge.places import Places
from runner.converge.unprepared import NotPreparedError
from runner.converge.workshop import Ground, Plan, Ready, Workshop
from runner.drivers.mcp_port import listen
from runner.drivers.sandbox.probe import probe
from runner.drivers.terminal import Terminals
from runner.drivers.terminal_values import Inside, Listener
from runner.drivers.trash import Trash
from runner.drivers.worktree import GitWorktrees, WorktreeSettings
from tests.process.runner.conftest import Pods, all_output, output_until

pytestmark = pytest.mark.anyio

UID = "11111111-2222-3333-4444-555555555555"

BROUGHT = {
    ".mcp.json": '{"mcpServers": {"theirs": {"type": "http", "url": "http://theirs"}}}',
    ".gemini/settings.json": '{ "mcpServers" : {} }\r\n// theirs',
    "opencode.json": '{"mcp": {}}',
    ".codex/config.toml": "model = 'theirs'",
    ".agentsmesh/mcp.json": "theirs",
}
"""What a repository has for its own agents."""

SHOWS = 'echo "<$AGENTSMESH_MCP_URL|$AGENTSMESH_MCP_TOKEN>"; read line'


_RESTARTS = 10


class Runner:
    """A workshop with a repository, as a daemon has one."""

    def __init__(self, root: Path, first_port: int) -> None:
        self.places = Places(root / "data")
        self.places.data_dir.mkdir(mode=0o700)
        self.upstream = root / "upstream"
        for path, text in BROUGHT.items():
            file = self.upstream / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())
        self.git("init", "-q", "-b", "main")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "what they have")
        trash = Trash(root / "trash")
        trees = GitWorktrees(self.places.data_dir, trash, WorktreeSettings((root,)))
        ground = Ground((Path("/usr/bin"), Path("/bin")), probe(), mcp_port=first_port)
        self.workshop = Workshop(self.places, trees, trash, ground)

    def git(self, *args: str, cwd: Path | None = None) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *args]
        done = subprocess.run(
            command,
            cwd=cwd or self.upstream,
            check=True,
            env={"PATH": "/usr/bin:/bin", "HOME": "/"},
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout

    def pod(
        self, agent_format: str, script: str = SHOWS, network: str = "host"
    ) -> link_pb2.PodDesired:
        repository = link_pb2.Repository(url=str(self.upstream))
        sandbox = link_pb2.Sandbox(isolation="preferred", network=network)
        spec = link_pb2.RunSpec(
            executable="/bin/sh",
            args=["-c", script],
            repository=repository,
            sandbox=sandbox,
            mcp=link_pb2.Mcp(format=agent_format),
        )
        ref = link_pb2.PodRef(pod_uid=UID, epoch=1)
        return link_pb2.PodDesired(ref=ref, namespace="acme", name="fix", spec=spec)

    async def plan(self, pod: link_pb2.PodDesired, restart: int = 0) -> tuple[Plan, Ready]:
        ready = await self.workshop.prepare(pod, None)
        return await self.workshop.plan(pod, restart, ready), ready


@pytest.fixture
def runner(root: Path) -> Runner:
    return Runner(root, first_port=0)


def tracked(pods: Pods, plan: Plan) -> Plan:
    """Have the run ended after the test."""
    pods.launches.append(plan.launch)
    return plan


@pytest.mark.parametrize("agent_format", ["claude", "codex", "gemini", "opencode", "none", ""])
async def test_an_agent_is_told_and_its_repository_stays_as_it_was(
    terminals: Terminals, pods: Pods, runner: Runner, agent_format: str
) -> None:
    plan, ready = await runner.plan(runner.pod(agent_format))
    tracked(pods, plan)
    await terminals.start(plan.launch)
    said = await output_until(terminals, plan.launch, b">")
    url, token = said.decode().strip()[1:-1].split("|")
    found = await terminals.mcp(plan.launch.run_dir)
    with found.socket:
        assert url == f"http://127.0.0.1:{found.port}/mcp"
        assert found.token_sha256 == hashlib.sha256(token.encode()).hexdigest()
    assert ready.worktree is not None
    tree = ready.worktree.path
    assert {path: (tree / path).read_bytes().decode() for path in BROUGHT} == BROUGHT
    assert runner.git("status", "--porcelain", "--ignored", cwd=tree) == ""
    transcript = {plan.launch.transcript_dir / each for each in _names(plan.launch.transcript_dir)}
    for file in set(pods.root.rglob("*")) - transcript:
        assert not file.is_file() or token.encode() not in file.read_bytes(), file
    assert token not in " ".join(plan.launch.argv)
    assert token not in repr(plan)


def _names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


async def test_a_pod_without_network_is_told_of_its_own_loopback(
    terminals: Terminals, pods: Pods, runner: Runner
) -> None:
    plan, _ = await runner.plan(runner.pod("none", network="none"))
    tracked(pods, plan)
    assert plan.launch.mcp is not None
    assert plan.launch.mcp.where is Inside.BUBBLEWRAP
    await terminals.start(plan.launch)
    assert b"<http://127.0.0.1:19000/mcp|" in await output_until(terminals, plan.launch, b">")


async def test_a_restart_has_a_new_token_and_the_same_port(
    terminals: Terminals, pods: Pods, root: Path
) -> None:
    runner = Runner(root, first_port=23000)  # a port that the kernel gives to nobody meanwhile
    pod = runner.pod("claude", SHOWS)
    seen: list[list[str]] = []
    for restart in range(_RESTARTS):
        plan, ready = await runner.plan(pod, restart)
        tracked(pods, plan)
        offset = terminals.size(plan.launch.transcript_dir)
        await terminals.start(plan.launch)
        said = await output_until(terminals, plan.launch, b">", offset)
        seen.append(said.decode().strip()[1:-1].split("|"))
        config = json.loads((ready.home / ".agentsmesh/mcp.json").read_text())
        assert config["mcpServers"]["agentsmesh"]["url"] == seen[-1][0]
        await terminals.write(plan.launch.run_dir, b"\r")
        await all_output(terminals, plan.launch, offset)
    assert len({url for url, _ in seen}) == 1
    assert len({token for _, token in seen}) == _RESTARTS
    port = int(seen[0][0].rsplit(":")[2].split("/")[0])
    taken = listen(0, port)
    assert taken.port == port
    plan, ready = await runner.plan(pod, _RESTARTS)
    assert plan.launch.mcp is not None
    assert isinstance(plan.launch.mcp.where, Listener)
    assert plan.launch.mcp.where.port != port
    config = json.loads((ready.home / ".agentsmesh/mcp.json").read_text())
    assert f":{plan.launch.mcp.where.port}/" in config["mcpServers"]["agentsmesh"]["url"]
    taken.close()


async def test_a_pod_that_cannot_be_told_is_refused_in_one_sentence(runner: Runner) -> None:
    pod = runner.pod("gemini")
    pod.spec.home_files.add(path=".gemini/settings.json", content="{'x'}")
    with pytest.raises(NotPreparedError) as caught:
        await runner.plan(pod)
    assert caught.value.message.startswith("homeFiles: .gemini/settings.json is not JSON")
    assert not caught.value.retryable
    with pytest.raises(NotPreparedError, match="'fax' is not a valid Format"):
        await runner.plan(runner.pod("fax"))


async def test_two_runners_on_one_machine_serve_pods_side_by_side(
    terminals: Terminals, pods: Pods, root: Path
) -> None:
    ports = set()
    for name in ("one", "two"):
        (root / name).mkdir()
        runner = Runner(root / name, first_port=19000)
        plan, _ = await runner.plan(runner.pod("none"))
        plan = tracked(pods, replace(plan, launch=replace(plan.launch, uid=f"{UID}-{name}")))
        await terminals.start(plan.launch)
        found = await terminals.mcp(plan.launch.run_dir)
        found.socket.close()
        ports.add(found.port)
    assert len(ports) == 2
    assert min(ports) >= 19000
