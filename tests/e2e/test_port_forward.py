"""Services inside pods, reached from outside through the whole product."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.e2e.harness import PROGRAM, Mesh, agent_pod, run, until

pytestmark = pytest.mark.timeout(180)

SERVICES = Path(__file__).with_name("agents") / "services.py"
FLOOD = 8 << 20
"""What the agent sends for ``flood``: many windows."""

OWN = {"isolation": "required", "network": "none"}


def said(*argv: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def pods(_mesh: Mesh) -> Iterator[Mesh]:
    """Two pods that serve at the same ports, and one with the machine's network."""
    until(_mesh.all_ready, seconds=60, what="the mesh is ready")
    agent = {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "AgentClass",
        "metadata": {"name": "services"},
        "spec": {
            "executable": "python3",
            "args": ["-c", SERVICES.read_text().replace("$", "$$")],
            "prompt": {"position": "none"},
        },
    }
    _mesh.apply(
        agent,
        agent_pod("left", "services", sandbox=OWN),
        agent_pod("right", "services", sandbox=OWN),
        agent_pod("open", "idle", sandbox={"isolation": "preferred", "network": "host"}),
    )
    for name in ("left", "right", "open"):
        _mesh.ready(name)
    for name in ("left", "right"):
        until(lambda name=name: "serving" in _mesh.logs(name), what=f"{name} serves")
    yield _mesh
    for name in ("left", "right", "open"):
        _mesh.delete(name)


@contextmanager
def forwarded(
    mesh: Mesh, pod: str, *ports: str
) -> Iterator[tuple[list[int], "subprocess.Popen[str]"]]:
    """Give the local ports while they are forwarded."""
    argv = [*command(mesh, pod, *ports)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        try:
            lines = [it.stdout.readline() for _ in ports]
            yield [int(line.split(":")[1].split()[0]) for line in lines], it
        finally:
            it.send_signal(signal.SIGINT)
        assert it.wait(20) == 0


def command(mesh: Mesh, pod: str, *ports: str) -> tuple[str, ...]:
    cluster = ("-n", "default", "--kubeconfig", str(mesh.kubeconfig))
    return (PROGRAM, "port-forward", pod, *ports, *cluster)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def read(sock: socket.socket) -> bytes:
    found = b""
    while piece := sock.recv(65536):
        found += piece
    return found


def test_two_pods_serve_at_the_same_port(pods: Mesh) -> None:
    with (
        forwarded(pods, "left", ":8080") as ([left], _),
        forwarded(pods, "right", ":8080") as (
            [right],
            _,
        ),
    ):
        for port, name in ((left, b"left"), (right, b"right"), (left, b"left")):
            with connect(port) as sock:
                sock.sendall(b"name\n")
                assert read(sock) == name


def test_what_listens_on_localhost_only_in_the_newer_protocol_is_reached(pods: Mesh) -> None:
    with forwarded(pods, "left", ":8081") as ([port], _), connect(port) as sock:
        sock.sendall(b"name\n")
        assert read(sock) == b"left"


def test_each_half_of_a_connection_ends_by_itself(pods: Mesh) -> None:
    sent = b"y" * (3 << 20)  # many windows
    with forwarded(pods, "left", ":8080") as ([port], _), connect(port) as sock:
        sock.sendall(b"count\n" + sent)
        sock.shutdown(socket.SHUT_WR)
        assert int(read(sock)) == len(sent)


def test_who_reads_late_gets_everything_and_holds_nobody_up(pods: Mesh) -> None:
    with forwarded(pods, "left", ":8080") as ([port], _), connect(port) as slow:
        slow.sendall(b"flood\n")
        with connect(port) as quick:
            quick.sendall(b"flood\n")
            assert len(read(quick)) == FLOOD
        assert len(read(slow)) == FLOOD


def test_a_connection_that_the_pod_resets_is_reset_here(pods: Mesh) -> None:
    with forwarded(pods, "left", ":8080") as ([port], _), connect(port) as sock:
        sock.sendall(b"reset\n")
        with pytest.raises(ConnectionResetError):
            read(sock)


def test_a_port_where_nobody_listens_is_named_and_the_rest_goes_on(pods: Mesh) -> None:
    with forwarded(pods, "left", ":4000", ":8080") as ([nobody, port], it):
        with connect(nobody) as sock, pytest.raises(ConnectionResetError):
            read(sock)
        assert it.stderr is not None
        assert "Nothing listens on port 4000 of the pod." in it.stderr.readline()
        with connect(port) as sock:
            sock.sendall(b"name\n")
            assert read(sock) == b"left"


def test_ports_of_the_machine_are_not_forwarded(pods: Mesh) -> None:
    done = said(*command(pods, "open", "6443"))
    assert done.returncode == 1
    assert "The pod has the machine's network" in done.stderr
    assert done.stdout == ""


def test_a_pod_that_is_not_there_is_not_found(pods: Mesh) -> None:
    done = said(*command(pods, "gone", "1"))
    assert (done.returncode, done.stdout) == (3, "")


def test_nobody_forwards_ports_without_the_right(pods: Mesh, tmp_path: Path) -> None:
    pods.kubectl("create", "serviceaccount", "passer-by", "-n", "default")
    token = pods.kubectl("create", "token", "passer-by", "-n", "default").strip()
    config = yaml.safe_load(pods.kubeconfig.read_text())
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    file = tmp_path / "kubeconfig"
    file.touch(mode=0o600)
    file.write_text(json.dumps(config))
    rule = ("--verb=get", "--resource=configmaps")
    pods.kubectl("create", "role", "reader", "-n", "agentsmesh-system", *rule)
    who = ("--role=reader", "--serviceaccount=default:passer-by")
    pods.kubectl("create", "rolebinding", "reader", "-n", "agentsmesh-system", *who)
    argv = (PROGRAM, "port-forward", "left", ":8080", "-n", "default", "--kubeconfig", str(file))
    done = said(*argv)
    assert done.returncode == 4, done.stderr
    assert "may not create agentpods/portforward" in done.stderr or "configmaps" in done.stderr


def test_connections_leave_no_process_and_no_descriptor_behind(pods: Mesh) -> None:
    runner = pods.pid("runner")

    def held() -> int:
        return sum(1 for _ in Path(f"/proc/{runner}/fd").iterdir())

    before = held()
    with forwarded(pods, "left", ":8080") as ([port], _):
        for _ in range(10):
            with connect(port) as sock:
                sock.sendall(b"flood\n")  # and go away
    children = ("ps", "-o", "args=", "--ppid", str(runner))
    until(lambda: held() <= before + 2 and "dial_exec" not in run(*children), what="all ended")
