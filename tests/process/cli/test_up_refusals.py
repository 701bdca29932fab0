"""What `up`, `down` and `status` say when they cannot do what was asked."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = str(Path(sys.executable).with_name("agentsmesh"))


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("detach", [(), ("--detach",)], ids=["in the foreground", "detached"])
def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path, detach: tuple[str, ...]):
    for unusable in (tmp_path / "file" / "data", Path("/sys/agentsmesh")):  # root cannot either
        (tmp_path / "file").touch()
        done = run("up", "--data-dir", str(unusable), "--port", "0", *detach)
        assert done.returncode == 1
        assert str(unusable) in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("detach", [(), ("--detach",)], ids=["in the foreground", "detached"])
def test_a_disk_that_takes_nothing_more_is_said(tmp_path: Path, detach: tuple[str, ...]):
    small = ("prlimit", "--fsize=1:1")  # not by a fork of this process: gRPC has threads in it
    done = subprocess.run(
        [*small, PROGRAM, "up", "--data-dir", str(tmp_path / "data"), "--port", "0", *detach],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 1
    assert str(tmp_path / "data") in done.stderr
    assert "too large" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_directory_with_other_things_in_it_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("ten years of work", encoding="utf-8")
    mode = tmp_path.stat().st_mode
    done = run("up", "--data-dir", str(tmp_path), "--port", "0")
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert tmp_path.stat().st_mode == mode
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--port", "99999"), id="no port"),
        pytest.param(("--port", "six"), id="no number"),
        pytest.param(("--max-pods", "0"), id="no pods"),
        pytest.param(("--allow-local-repositories", "/does/not/exist"), id="no such folder"),
        pytest.param(("--kubeconfig", "/does/not/exist"), id="no such kubeconfig"),
        pytest.param(("--kubeconfig", __file__, "--port", "7"), id="a port without a server"),
        pytest.param(("--unknown",), id="unknown"),
    ],
)
def test_wrong_usage_has_code_2(tmp_path: Path, arguments: tuple[str, ...]):
    done = run("up", "--data-dir", str(tmp_path / "data"), *arguments)
    assert done.returncode == 2
    assert "--" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("detach", [(), ("--detach",)], ids=["in the foreground", "detached"])
def test_a_port_that_is_taken_is_named_with_its_flag(tmp_path: Path, detach: tuple[str, ...]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("up", "--data-dir", str(tmp_path / "data"), "--port", port, *detach)
    assert done.returncode == 1
    assert port in done.stderr
    assert "--port" in done.stderr


def test_nothing_runs_on_a_directory_that_was_never_used(tmp_path: Path):
    missing = str(tmp_path / "never")
    status = run("status", "--data-dir", missing)
    assert (status.returncode, status.stdout) == (3, "")
    assert "agentsmesh up" in status.stderr
    down = run("down", "--data-dir", missing)
    assert down.returncode == 0
    assert "nothing runs" in down.stdout
    assert not (tmp_path / "never").exists()


def test_status_in_json_has_its_shape_even_when_nothing_runs(tmp_path: Path):
    done = run("status", "--data-dir", str(tmp_path), "-o", "json")
    assert done.returncode == 3
    document = json.loads(done.stdout)
    assert document["processes"] == []
    assert document["kubeconfig"] == str(tmp_path / "kubeconfig")
    assert document["running"] is False


def test_the_version_is_printed():
    done = run("version")
    assert done.returncode == 0
    assert done.stdout.startswith("agentsmesh 0.")
