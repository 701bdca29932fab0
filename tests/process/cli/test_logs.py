"""``agentsmesh logs``, and what both it and ``attach`` say when something is wrong."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.cli.conftest import Site
from tests.process.cli.doubles import certificate_user, write_kubeconfig

PROGRAM = str(Path(sys.executable).with_name("agentsmesh"))


def logs(site: Site, *arguments: str, pod: str = "pod") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [PROGRAM, "logs", pod, "--kubeconfig", str(site.kubeconfig), *arguments],
        capture_output=True,
        check=False,
        timeout=40,
        stdin=subprocess.DEVNULL,
    )


def test_the_transcript_is_printed_as_text(site: Site):
    site.terminal.write(b"\x1b[32mone\x1b[0m\r\ntwo\r\n")
    done = logs(site)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"one\ntwo\n", b"")


def test_raw_is_every_byte(site: Site):
    data = b"\x1b[32mone\x1b[0m\r\n" + bytes(range(256)) * 4000  # more than the window
    site.terminal.write(data)
    assert logs(site, "--raw").stdout == data


def test_the_tail_is_asked_for(site: Site):
    logs(site, "--tail", "7")
    assert site.terminal.openings[0].tail_lines == 7
    assert site.terminal.openings[0].read_only


def test_a_tail_of_nothing_is_what_comes_from_now_on(site: Site):
    site.terminal.write(b"before\r\n")
    assert logs(site, "--tail", "0").stdout == b""
    command = [PROGRAM, "logs", "-f", "--tail", "0", "pod", "--kubeconfig", str(site.kubeconfig)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        with site.terminal.changed:
            assert site.terminal.changed.wait_for(lambda: site.terminal.followed, 20)
        site.terminal.write(b"after\r\n")
        site.terminal.end()
        assert following.stdout.read() == b"after\n"


def test_following_goes_on_over_a_restart_until_the_agent_ends(site: Site):
    command = [PROGRAM, "logs", "-f", "pod", "--kubeconfig", str(site.kubeconfig)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        site.terminal.write(b"before\r\n")
        assert following.stdout.readline() == b"before\n"
        site.controller.stop()
        site.terminal.write(b"meanwhile\r\n")
        site.controller.start()
        assert following.stdout.readline() == b"meanwhile\n"
        site.terminal.end(exit_code=1)
        assert following.stdout.read() == b""
        assert following.wait(20) == 0


def test_a_reader_that_has_enough_ends_it_quietly(site: Site):
    site.terminal.write(b"line\r\n" * 500_000)
    command = [PROGRAM, "logs", "pod", "--kubeconfig", str(site.kubeconfig)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as piped:
        assert piped.stdout is not None
        assert piped.stderr is not None
        assert piped.stdout.readline() == b"line\n"
        piped.stdout.close()
        assert piped.wait(20) == 0
        assert piped.stderr.read() == b""


def test_a_reader_that_leaves_while_the_agent_is_quiet_ends_it(site: Site):
    site.terminal.write(b"line\r\n")
    command = [PROGRAM, "logs", "-f", "pod", "--kubeconfig", str(site.kubeconfig)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as piped:
        assert piped.stdout is not None
        assert piped.stderr is not None
        assert piped.stdout.readline() == b"line\n"
        piped.stdout.close()
        assert piped.wait(20) == 0
        assert piped.stderr.read() == b""


@pytest.mark.parametrize("command", ["logs", "attach"])
def test_a_full_disk_is_one_sentence(site: Site, command: str):
    site.terminal.write(b"line\r\n")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [PROGRAM, command, "pod", "--kubeconfig", str(site.kubeconfig)],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=30,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        b"agentsmesh: the output cannot be written: No space left on device"
    ]


def test_a_pod_that_is_not_there_is_said_with_code_3(site: Site):
    done = logs(site, pod="nobody")
    assert done.returncode == 3
    assert b"there is no AgentPod nobody" in done.stderr


def test_a_namespace_without_an_organization_is_said_with_code_3(site: Site):
    done = logs(site, "-n", "elsewhere")
    assert done.returncode == 3
    assert b"elsewhere has no ConfigMap agentsmesh-trust-bundle" in done.stderr


@pytest.mark.parametrize("token", ["stranger", "unknown"])
def test_who_may_not_is_told_with_code_4_and_the_token_is_not_repeated(site: Site, token: str):
    file = site.folder / "token"
    file.write_text(f"{token}\n", encoding="utf-8")
    done = logs(site, "--token-file", str(file))
    assert done.returncode == 4
    assert b"Bearer" not in done.stderr


def test_a_client_certificate_cannot_be_passed_on_and_what_to_do_is_said(site: Site):
    write_kubeconfig(site.kubeconfig, site.server, certificate_user())
    done = logs(site)
    assert done.returncode == 1
    assert b"--token-file" in done.stderr
    assert b"kubectl create token" in done.stderr


def test_an_exec_plugin_gives_the_token(site: Site):
    plugin = site.folder / "plugin"
    plugin.write_text(
        "#!/bin/sh\n"
        'echo \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",'
        ' "status": {"token": "good"}}\'\n'
    )
    plugin.chmod(0o755)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}}
    write_kubeconfig(site.kubeconfig, site.server, user)
    site.terminal.write(b"hello\r\n")
    done = logs(site)
    assert (done.returncode, done.stdout) == (0, b"hello\n"), done.stderr


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as taken:  # bound and not listening: refuses, and nobody else gets it
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_an_api_server_that_does_not_answer_is_said_with_code_5(site: Site, closed_port: int):
    write_kubeconfig(site.kubeconfig, f"http://127.0.0.1:{closed_port}", {"token": "good"})
    done = logs(site)
    assert done.returncode == 5
    assert str(closed_port).encode() in done.stderr


def test_without_any_kubeconfig_the_ways_to_have_one_are_said(tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    environment |= {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    environment.pop("AGENTSMESH_DATA_DIR", None)
    done = subprocess.run(
        [PROGRAM, "logs", "pod"], capture_output=True, check=False, env=environment, timeout=30
    )
    assert done.returncode == 3
    assert b"agentsmesh up" in done.stderr
