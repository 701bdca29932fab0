"""The socket of a run's MCP server: it is there first, outlives the runner, and is the pod's."""

import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from runner.drivers.mcp_port import listen
from runner.drivers.sandbox.prepare import prepare
from runner.drivers.sandbox.probe import probe
from runner.drivers.sandbox.values import Capabilities, Network, Prepared, SandboxRequest, Want
from runner.drivers.terminal import Exited, Launch, LaunchError, NotOffered, NotRunning, Terminals
from runner.drivers.terminal_observe import mcp_port_of
from runner.drivers.terminal_values import Inside, McpLaunch, McpSocket
from runner.shim.listening import INSIDE_PORT
from tests.process.runner.conftest import Pods, all_output, gone, output_until, until

pytestmark = pytest.mark.anyio

HASH = hashlib.sha256(b"token").hexdigest()

CLIENT = """
import socket, sys, time
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=30) as sock:
    sock.sendall(b"hello")
    print("heard", sock.recv(100).decode(), flush=True)
time.sleep(60)
"""
"""An agent that speaks with its server, first of all."""

DAEMON = """
import asyncio, sys
from pathlib import Path
from runner.drivers.mcp_port import listen
from runner.drivers.terminal import Launch, Terminals
from runner.drivers.terminal_values import McpLaunch

async def main():
    data = Path(sys.argv[1])
    listener = listen(0)
    port = str(listener.port)
    launch = Launch(
        uid=data.name, epoch=3, restart=0, run_dir=data / "run" / "3-0",
        transcript_dir=data / "transcript", argv=(*sys.argv[2:], port),
        environment={"PATH": "/usr/bin:/bin"}, cwd=data.parent, mcp=McpLaunch("ab", listener),
    )
    terminals = Terminals()
    await terminals.start(launch)
    print(port, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
"""A daemon reduced to what matters here: it starts a run, and is killed."""


async def answer(found: McpSocket, said: bytes = b"you") -> bytes:
    """Serve one connection, as a runner would; return what was asked."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(20):
        sock, _ = await loop.sock_accept(found.socket)
        with sock:
            asked = await loop.sock_recv(sock, 100)
            await loop.sock_sendall(sock, said)
            return asked


async def test_an_agent_finds_its_server_as_soon_as_it_runs(
    terminals: Terminals, pods: Pods
) -> None:
    listener = listen(0)
    port = listener.port
    launch = pods.python(CLIENT, str(port), mcp=McpLaunch(HASH, listener))
    await terminals.start(launch)
    found = await terminals.mcp(launch.run_dir)
    with found.socket:
        assert (found.address, found.port, found.token_sha256) == ("127.0.0.1", port, HASH)
        assert not found.socket.get_inheritable()
        assert await answer(found) == b"hello"
    await output_until(terminals, launch, b"heard you")
    assert mcp_port_of(launch.run_dir) == port


async def test_only_the_shim_holds_the_socket(terminals: Terminals, pods: Pods) -> None:
    """Not the agent, and not the daemon, whose end would close it."""
    listener = listen(0)
    fds = "import os, time; print('fds', sorted(map(int, os.listdir('/proc/self/fd'))))\n"
    launch = pods.python(f"{fds}time.sleep(60)", mcp=McpLaunch(HASH, listener))
    started = await terminals.start(launch)
    assert listener.fd == -1
    said = await output_until(terminals, launch, b"]")
    assert b"fds [0, 1, 2, 3]" in said  # 3 reads the directory itself
    holders = [each.pid for each in psutil.net_connections("tcp4") if _listens(each, listener.port)]
    assert holders == [started.pid]


def _listens(connection: object, port: int) -> bool:
    laddr = getattr(connection, "laddr", None)
    return bool(laddr) and laddr.port == port and getattr(connection, "status", "") == "LISTEN"


async def test_connections_wait_for_a_runner_that_was_killed(
    terminals: Terminals, pods: Pods
) -> None:
    launch = pods.launch(pod="pod")
    data = launch.run_dir.parents[1]
    data.mkdir(parents=True)
    argv = (sys.executable, "-I", "-S", "-u", "-c", CLIENT)
    process = subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(data), *argv],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    with socket.create_connection(("127.0.0.1", port)) as late:
        late.sendall(b"late")
        found = await terminals.mcp(launch.run_dir)
        with found.socket:
            assert (found.port, found.token_sha256) == (port, "ab")
            asked = {await answer(found), await answer(found)}
        assert asked == {b"hello", b"late"}
        assert late.recv(100) == b"you"
    await output_until(terminals, launch, b"heard you")


async def test_the_socket_ends_with_its_run(terminals: Terminals, pods: Pods) -> None:
    listener = listen(0)
    launch = pods.launch("sh", "-c", "read x", mcp=McpLaunch(HASH, listener))
    await terminals.start(launch)
    with (await terminals.mcp(launch.run_dir)).socket:
        pass
    await terminals.write(launch.run_dir, b"\r")
    await terminals.watch_exit(launch.run_dir)
    with pytest.raises(NotRunning):
        await terminals.mcp(launch.run_dir)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", listener.port))
    again = listen(0, listener.port)
    assert again.port == listener.port
    again.close()


async def test_a_run_that_cannot_record_its_end_has_ended_for_agents(
    terminals: Terminals, pods: Pods
) -> None:
    """A full disk keeps the shim; here it is a folder in the place of the record."""
    listener = listen(0)
    launch = pods.launch("sh", "-c", "read x", mcp=McpLaunch(HASH, listener))
    await terminals.start(launch)
    record = launch.run_dir / "exit.json"
    (record / "full").mkdir(parents=True)
    await terminals.write(launch.run_dir, b"\r")
    await until(lambda: not _accepts(listener.port), "the port is closed")
    assert (await terminals.state(launch.run_dir)).stopping
    with pytest.raises(NotRunning):
        await terminals.mcp(launch.run_dir)
    (record / "full").rmdir()
    record.rmdir()
    assert isinstance(await terminals.watch_exit(launch.run_dir), Exited)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


async def test_a_run_without_a_server_says_so(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch("sleep", "60")
    await terminals.start(launch)
    with pytest.raises(NotOffered, match="no MCP server"):
        await terminals.mcp(launch.run_dir)
    with pytest.raises(NotRunning):
        await terminals.mcp(launch.run_dir.with_name("9-9"))


async def test_a_run_of_an_older_runner_goes_on_without(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch("sh", "-c", "read line; echo got $line")
    await terminals.start(launch)
    identity = launch.run_dir / "identity.json"
    identity.write_text(json.dumps(json.loads(identity.read_text()) | {"protocol": 1}).ljust(1024))
    with pytest.raises(NotOffered, match="older runner"):
        await terminals.mcp(launch.run_dir)
    with pytest.raises(NotOffered, match="older runner"):
        await terminals.write_once(launch.run_dir, "key", b"x")
    await terminals.write(launch.run_dir, b"it\r")
    assert b"got it" in (await all_output(terminals, launch))[0]


async def test_a_start_that_fails_closes_the_socket(terminals: Terminals, pods: Pods) -> None:
    listener = listen(0)
    with pytest.raises(LaunchError):
        await terminals.start(pods.launch("no-such-agent", mcp=McpLaunch(HASH, listener)))
    listen(0, listener.port).close()
    assert listener.fd == -1


# --- in a network of the pod's own ---------------------------------------------------------------


@pytest.fixture(scope="module")
def machine() -> Capabilities:
    return probe()


@pytest.fixture(params=["bubblewrap", "landlock"])
def level(request: pytest.FixtureRequest, machine: Capabilities) -> Iterator[Capabilities]:
    """Each sandbox that takes the network away, alone."""
    if request.param == "bubblewrap":
        assert machine.bubblewrap is not None, machine.why_not
        yield replace(machine, landlock=0, network_namespace=False)
    else:
        assert machine.network_namespace, machine.why_not
        yield replace(machine, bubblewrap=None)


def alone(pods: Pods, level: Capabilities, *argv: str, pod: str = "pod") -> Launch:
    """Return the launch of a pod without the machine's network."""
    folder = pods.root / "pods" / pod
    for name in ("home", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    request = SandboxRequest(
        argv=argv,
        cwd=folder / "home",
        home=folder / "home",
        tmp=folder / "tmp",
        private=folder / "private",
        search_path=(Path("/usr/bin"),),
        isolation=Want.PREFERRED,
        network=Network.NONE,
        environment={"PATH": "/usr/bin:/bin"},
        mcp=True,
    )
    return launched(pods, prepare(request, level), pod, folder / "home")


def launched(pods: Pods, made: Prepared, pod: str, cwd: Path) -> Launch:
    assert made.inside is not None
    return pods.launch(
        *made.argv,
        pod=pod,
        environment=made.environment,
        contents=made.contents,
        scoped=made.scoped,
        wrapper=bool(made.wrapper),
        cwd=cwd,
        mcp=McpLaunch(HASH, made.inside),
    )


async def test_a_pod_without_network_has_its_server_inside(
    terminals: Terminals, pods: Pods, level: Capabilities
) -> None:
    program = CLIENT.replace("time.sleep(60)", "import os\nprint(os.listdir('/proc/self/fd'))")
    launch = alone(pods, level, sys.executable, "-I", "-S", "-u", "-c", program, str(INSIDE_PORT))
    await terminals.start(launch)
    found = await terminals.mcp(launch.run_dir)
    with found.socket:
        assert (found.address, found.port, found.token_sha256) == ("127.0.0.1", INSIDE_PORT, HASH)
        assert await answer(found) == b"hello"
    said, _, ended = await all_output(terminals, launch)
    assert b"heard you" in said
    assert b"['0', '1', '2', '3']" in said  # nothing of ours, and 3 reads the directory
    assert isinstance(ended.observed, Exited)
    assert ended.observed.exit_code == 0
    assert mcp_port_of(launch.run_dir) == INSIDE_PORT


async def test_nobody_else_reaches_the_server_of_a_pod_without_network(
    terminals: Terminals, pods: Pods, level: Capabilities
) -> None:
    """Each pod that tries finds its own server there; the machine finds none."""
    launches = [
        alone(pods, level, sys.executable, "-c", CLIENT, str(INSIDE_PORT), pod=f"pod-{number}")
        for number in range(2)
    ]
    for launch in launches:
        await terminals.start(launch)
    one, two = [await terminals.mcp(launch.run_dir) for launch in launches]
    with one.socket, two.socket:
        assert await answer(one, b"from-one") == b"hello"
        assert await answer(two, b"from-two") == b"hello"
        for found in (one, two):
            with pytest.raises(BlockingIOError):
                found.socket.accept()
    await output_until(terminals, launches[0], b"heard from-one")
    await output_until(terminals, launches[1], b"heard from-two")
    for connection in psutil.net_connections("tcp4"):
        assert not _listens(connection, INSIDE_PORT) or connection.pid not in _shims(launches)


def _shims(launches: list[Launch]) -> set[int]:
    texts = ((launch.run_dir / "identity.json").read_text() for launch in launches)
    return {json.loads(text)["pid"] for text in texts}


async def test_a_sandbox_that_cannot_be_made_ends_as_without_a_server(
    terminals: Terminals, pods: Pods, machine: Capabilities
) -> None:
    """Its own words are the run's output, and its exit code the run's."""
    assert machine.bubblewrap is not None
    launch = alone(pods, machine, "/bin/true")
    at = launch.argv.index("--proc")
    argv = (*launch.argv[:at], "--ro-bind", "/no/such", "/x", *launch.argv[at:])
    broken = replace(launch, argv=argv, run_dir=launch.run_dir.with_name("3-1"))
    pods.launches.append(broken)
    await terminals.start(broken)
    said, _, ended = await all_output(terminals, broken)
    assert b"/no/such" in said
    assert isinstance(ended.observed, Exited)
    assert ended.observed.exit_code == 1


async def test_a_program_does_not_run_where_its_server_cannot_be_made(
    terminals: Terminals, pods: Pods
) -> None:
    """What says it is bubblewrap names a process in whose network the port is taken."""
    taken = listen(INSIDE_PORT)
    try:
        canary = pods.root / "canary"
        script = f"echo '{{\"child-pid\": '$$'}}' >&5; exec 5>&-; read x <&6; touch {canary}"
        script += "; sleep 60"
        launch = pods.launch("sh", "-c", script, mcp=McpLaunch(HASH, Inside.BUBBLEWRAP))
        with pytest.raises(LaunchError, match=r"MCP server's socket.*in use") as caught:
            await terminals.start(launch)
        assert caught.value.reason == "ExecFailed"
        assert not canary.exists()
        assert not list(_marked(launch.uid))
        assert not (launch.run_dir / "identity.json").exists()
    finally:
        taken.close()


def _marked(uid: str) -> Iterator[int]:
    for process in psutil.process_iter():
        try:
            if process.environ().get("AGENTSMESH_POD_UID") == uid:
                yield process.pid
        except psutil.Error:
            continue


async def test_a_killed_shim_takes_the_pod_without_network_along(
    terminals: Terminals, pods: Pods, machine: Capabilities
) -> None:
    launch = alone(pods, machine, "/bin/sleep", "60")
    started = await terminals.start(launch)
    os.kill(started.pid, signal.SIGKILL)
    await terminals.stop(launch.run_dir, 0)
    async with asyncio.timeout(10):
        while not gone(started):
            await asyncio.sleep(0.01)
    with pytest.raises(NotRunning):
        await terminals.mcp(launch.run_dir)
