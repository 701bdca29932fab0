"""What was acknowledged is there, whatever happens to the process."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MAPS = "/api/v1/namespaces/default/configmaps"


class Client:
    """One connection to the server."""

    def __init__(self, server: Any) -> None:
        self._token = server.token
        context = ssl.create_default_context(cafile=str(server.ca_file))
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1", server.port, context=context, timeout=20
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/merge-patch+json"
            if method == "PATCH"
            else "application/json",
        }
        raw = None if body is None else json.dumps(body)
        self._connection.request(method, path, raw, headers)
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())


def config_map(name: str, value: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": {"value": value}}


def write_until_it_dies(
    server: Any, writer: int, acknowledged: dict[str, str], progress: threading.Semaphore
) -> None:
    """Create, change and delete, noting only what the server acknowledged."""
    try:
        with Client(server) as client:
            for number in itertools.count():
                write(client, f"w{writer}-{number}", acknowledged, remove=number % 3 == 0)
                progress.release()
    except (OSError, http.client.HTTPException, ValueError):
        return


def write(client: Client, name: str, acknowledged: dict[str, str], *, remove: bool) -> None:
    code, _ = client.send("POST", MAPS, config_map(name, "first"))
    assert code == 201
    acknowledged[name] = "first"
    code, _ = client.send("PATCH", f"{MAPS}/{name}", {"data": {"value": "second"}})
    assert code == 200
    acknowledged[name] = "second"
    if remove:
        acknowledged[name] = "perhaps"  # from here on both is right until the answer
        code, _ = client.send("DELETE", f"{MAPS}/{name}")
        assert code == 200
        acknowledged[name] = "gone"


def test_acknowledged_writes_survive_a_kill(apiserver_process: Any) -> None:
    server = apiserver_process
    highest = 0
    for _ in range(3):
        notes: list[dict[str, str]] = [{} for _ in range(4)]
        progress = threading.Semaphore(0)
        writers = [
            threading.Thread(target=write_until_it_dies, args=(server, number, note, progress))
            for number, note in enumerate(notes)
        ]
        for writer in writers:
            writer.start()
        for _ in range(100):
            assert progress.acquire(timeout=20)
        server.kill()
        for writer in writers:
            writer.join()
        server.start()
        with Client(server) as client:
            _, found = client.send("GET", MAPS)
            client.send("DELETE", MAPS)
        values = {item["metadata"]["name"]: item["data"]["value"] for item in found["items"]}
        for name, value in (pair for note in notes for pair in note.items()):
            if value == "gone":
                assert name not in values
            elif value == "first":  # the patch was on its way
                assert values[name] in {"first", "second"}
            elif value == "second":
                assert values[name] == "second"
        version = int(found["metadata"]["resourceVersion"])
        versions = [int(item["metadata"]["resourceVersion"]) for item in found["items"]]
        assert version >= max(versions)
        assert version > highest
        highest = version


def test_a_watch_goes_on_over_a_kill(apiserver_process: Any) -> None:
    server = apiserver_process
    with Client(server) as client:
        client.send("POST", MAPS, config_map("a", "1"))
        _, found = client.send("GET", MAPS)
        version = found["metadata"]["resourceVersion"]
        client.send("POST", MAPS, config_map("b", "1"))
    server.kill()
    server.start()
    watched = server.kubectl(
        "get", "--raw", f"{MAPS}?watch=1&resourceVersion={version}&timeoutSeconds=1"
    )
    events = [json.loads(line) for line in watched.stdout.splitlines()]
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in events] == [("ADDED", "b")]


def test_the_kubeconfig_is_the_same_after_a_restart(apiserver_process: Any) -> None:
    server = apiserver_process
    before = server.kubeconfig.read_bytes()
    assert server.kubeconfig.stat().st_mode & 0o777 == 0o600
    assert server.stop() == 0
    server.start()
    assert server.kubeconfig.read_bytes() == before
    assert server.kubectl("get", "namespaces", "-o", "name").stdout.split() == [
        "namespace/default",
        "namespace/kube-public",
        "namespace/kube-system",
    ]


def test_a_termination_is_clean_also_with_watchers(apiserver_process: Any) -> None:
    server = apiserver_process
    watcher = subprocess.Popen(
        ["kubectl", "--kubeconfig", str(server.kubeconfig), "get", "cm", "-A", "-w", "-o", "name"],
        stdout=subprocess.PIPE,
        env=os.environ | {"HOME": str(server.data_dir)},
    )
    assert watcher.stdout is not None
    server.kubectl("create", "configmap", "seen")
    assert watcher.stdout.readline() == b"configmap/seen\n"
    assert server.stop() == 0
    assert watcher.wait(10) == 0
    watcher.stdout.close()


def run_once(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "apiserver", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=Path(__file__).parents[3],
    )


def test_two_servers_do_not_share_a_directory(apiserver_process: Any) -> None:
    done = run_once("--data-dir", str(apiserver_process.data_dir), "--port", "0")
    assert done.returncode == 1
    assert done.stdout == ""
    directory = apiserver_process.data_dir
    assert done.stderr == f"Another API server uses the data directory {directory}.\n"


def test_a_port_that_is_taken_is_named(
    make_apiserver: Callable[[str], Any], tmp_path: Path
) -> None:
    port = make_apiserver("one").port
    done = run_once("--data-dir", str(tmp_path / "two"), "--port", str(port))
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"Port {port} on 127.0.0.1 cannot be used: Address already in use"
    )
    assert done.stderr.count("\n") == 1


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    target = tmp_path / "file" / "data"
    done = run_once("--data-dir", str(target), "--port", "0")
    assert done.returncode == 1
    assert done.stderr == f"The data directory {target} cannot be used: Not a directory.\n"


def test_secrets_are_readable_for_their_owner_alone(apiserver_process: Any) -> None:
    server = apiserver_process
    server.kubectl("create", "token", "default")
    assert server.data_dir.stat().st_mode & 0o777 == 0o700
    for path in server.data_dir.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.is_dir(), path
    assert server.token not in server.log.read_text()


@pytest.mark.parametrize("path", ["/api", "/apis", "/api/v1/secrets", "/openapi/v3", "/"])
def test_nobody_gets_in_without_a_credential(apiserver_process: Any, path: str) -> None:
    context = ssl.create_default_context(cafile=str(apiserver_process.ca_file))
    for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": "Basic YTpi"}):
        connection = http.client.HTTPSConnection(
            "localhost", apiserver_process.port, context=context
        )
        connection.request("GET", path, headers=headers)
        assert connection.getresponse().status == 401
        connection.close()
