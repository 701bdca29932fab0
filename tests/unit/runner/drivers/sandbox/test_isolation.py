"""What a pod can and cannot reach, by real processes under every isolation."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runner.drivers.sandbox.prepare import agent_exit
from runner.drivers.sandbox.values import Capabilities, Isolation, Network
from tests.unit.runner.drivers.sandbox.conftest import Pod, make_pod
from tests.unit.runner.drivers.sandbox.starting import started

CANARY = "canary-7f3kq9xw2m"
SHELL = "/bin/sh"


@pytest.fixture
def secrets(pod: Pod, tmp_path: Path) -> tuple[Path, ...]:
    """Files with a secret, everywhere that a runner's machine has them."""
    other = make_pod(pod.data_dir, "0002").request
    places = (
        pod.data_dir / "key.pem",
        pod.data_dir / "journal.db",
        pod.data_dir / "pods/0001/run/identity",
        pod.data_dir / "caches/x/repo.git/config",
        other.home / ".netrc",
        other.tmp / "note",
        other.cwd / "code.py",
        tmp_path / "host-home/.ssh/id_ed25519",
    )
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(CANARY)
    return places


def test_secrets_of_the_runner_and_of_other_pods_cannot_be_read(
    pod: Pod, level: Capabilities, secrets: tuple[Path, ...]
) -> None:
    for place in secrets:
        done = pod.run(level, SHELL, "-c", f"cat '{place}'; cat < '{place}'; cp '{place}' .")
        assert CANARY not in done.stdout + done.stderr
        assert list(pod.request.cwd.iterdir()) == []
        assert done.returncode != 0


@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/ssl/private", "/root", "/home", "/run"])
def test_secrets_of_the_machine_cannot_be_read(pod: Pod, level: Capabilities, path: str) -> None:
    done = pod.run(level, SHELL, "-c", f"cat {path} || ls {path}/*")
    assert done.stdout == ""
    assert done.returncode != 0


def test_environments_of_other_processes_cannot_be_read(pod: Pod, level: Capabilities) -> None:
    other = subprocess.Popen(["/bin/sleep", "60"], env={"KEY": CANARY})
    try:
        done = pod.run(
            level,
            SHELL,
            "-c",
            f"cat /proc/{other.pid}/environ; cat /proc/*/environ; kill {other.pid}",
        )
        assert CANARY not in done.stdout
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_what_is_not_the_pods_cannot_be_written(pod: Pod, level: Capabilities) -> None:
    other = make_pod(pod.data_dir, "0002").request
    for place in (pod.data_dir, other.home, other.cwd):
        pod.run(level, SHELL, "-c", f"mkdir -p '{place}'; touch '{place}/planted'")
        assert not (place / "planted").exists()
    for name in ("/", "/usr", "/etc", "/var", "/opt", "/sys", "/proc"):
        done = pod.run(level, SHELL, "-c", f"touch '{name}/planted'")
        assert done.returncode != 0


def test_the_pods_own_folders_can_be_written(pod: Pod, level: Capabilities) -> None:
    own = (pod.request.home, pod.request.cwd, pod.request.writable[1], pod.request.tmp)
    for place in own[:3]:
        assert pod.run(level, SHELL, "-c", f"echo x > '{place}/mine'").returncode == 0
        assert (place / "mine").read_text() == "x\n"
    assert pod.run(level, SHELL, "-c", 'echo x > "$TMPDIR/mine"').returncode == 0
    assert (pod.request.tmp / "mine").read_text() == "x\n"


def test_tmp_is_the_pods_own_or_closed(pod: Pod, level: Capabilities) -> None:
    outside = Path("/tmp") / f"canary-{os.getpid()}"
    outside.write_text(CANARY)
    try:
        assert CANARY not in pod.run(level, "/bin/cat", str(outside)).stdout
        pod.run(level, SHELL, "-c", f"echo planted > /tmp/planted-{os.getpid()}")
        assert not (Path("/tmp") / f"planted-{os.getpid()}").exists()
    finally:
        outside.unlink()


def test_an_agent_has_no_capabilities_and_gains_none(pod: Pod, level: Capabilities) -> None:
    done = pod.run(
        level, SHELL, "-c", "grep -E 'CapEff|CapPrm|CapBnd|NoNewPrivs' /proc/self/status"
    )
    found = dict(line.split(":\t") for line in done.stdout.splitlines())
    assert found["NoNewPrivs"] == "1"
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == 0
    if os.geteuid() == 0:
        assert int(found["CapBnd"], 16) == 0


def test_it_may_use_the_network_unless_told_otherwise(pod: Pod, level: Capabilities) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        call = (
            f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)"
        )
        assert pod.run(level, sys.executable, "-c", call).returncode == 0
        offline = pod.run(level, sys.executable, "-c", call, network=Network.NONE)
        assert "ConnectionRefused" in offline.stderr
        local = (
            "import socket; s = socket.create_server(('127.0.0.1', 0));"
            "socket.create_connection(s.getsockname())"
        )
        assert pod.run(level, sys.executable, "-c", local, network=Network.NONE).returncode == 0


def test_udp_and_abstract_sockets_do_not_get_out_of_no_network(
    pod: Pod, level: Capabilities
) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        name = f"\0agentsmesh-{os.getpid()}"
        abstract.bind(name)
        abstract.listen()
        port = udp.getsockname()[1]
        send = f"import socket; socket.socket(2, 2).sendto(b'x', ('127.0.0.1', {port}))"
        pod.run(level, sys.executable, "-c", send, network=Network.NONE)
        with pytest.raises(BlockingIOError):
            udp.recv(1)
        connect = f"import socket; socket.socket(1).connect({name!r})"
        done = pod.run(level, sys.executable, "-c", connect, network=Network.NONE)
        assert done.returncode != 0


@pytest.mark.parametrize("number", [0, 1, 42, 127])
def test_the_exit_code_is_the_agents(pod: Pod, level: Capabilities, number: int) -> None:
    assert pod.run(level, SHELL, "-c", f"exit {number}").returncode == number


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_the_signal_is_the_agents(pod: Pod, level: Capabilities, signal_number: int) -> None:
    code = f"import os; os.kill(os.getpid(), {int(signal_number)})"
    prepared = pod.prepared(level, sys.executable, "-c", code)
    done = pod.run(level, sys.executable, "-c", code)
    status = done.returncode
    seen = (None, -status) if status < 0 else (status, None)
    assert agent_exit(prepared.isolation, *seen) == (None, signal_number)


def test_an_agent_decides_itself_about_signals_of_its_terminal(
    pod: Pod, level: Capabilities
) -> None:
    """A terminal's ^C goes to the whole group: to bwrap, too, which must not die of it."""
    code = (
        "import os, signal, sys, time\n"
        "def stop(*_): os.write(1, b'stopped\\n'); sys.exit(7)\n"
        "signal.signal(signal.SIGINT, stop)\n"
        "os.write(1, b'ready\\n')\n"
        "time.sleep(30)\n"
    )
    prepared = pod.prepared(level, sys.executable, "-c", code)
    with started(prepared, cwd=pod.request.cwd, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "stopped\n"
        assert process.wait(10) == 7


def test_an_agent_finds_signals_as_they_are_by_default(pod: Pod, level: Capabilities) -> None:
    code = "import signal; print(*(signal.getsignal(n).name for n in (1, 3, 10, 12, 14, 15)))"
    done = pod.run(level, sys.executable, "-c", code)
    assert set(done.stdout.split()) == {"SIG_DFL"}, done


def test_bubblewrap_takes_everything_along_when_it_is_killed(
    pod: Pod, machine: Capabilities
) -> None:
    if machine.bubblewrap is None:
        pytest.skip("no bubblewrap here")
    marker = f"86399.{os.getpid()}"
    prepared = pod.prepared(
        machine, SHELL, "-c", f"setsid sleep {marker} & echo started; exec sleep {marker}"
    )
    with started(prepared, cwd=pod.request.cwd, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        deadline = time.monotonic() + 10
        while len(_sleeping(marker)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)  # it was a shell until now
        assert len(_sleeping(marker)) == 2
        process.kill()
    deadline = time.monotonic() + 5
    while (left := _sleeping(marker)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


def _sleeping(marker: str) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[-1:] == [marker]
    ]


def test_arguments_arrive_byte_for_byte(pod: Pod, level: Capabilities) -> None:
    prompt = "$(touch x) `id` \"q\" 'q' \\ \n\t--help é 😀 $HOME %s;|&<>*?" + "x" * 32_000
    code = "import sys; sys.stdout.buffer.write(sys.argv[1].encode())"
    done = pod.run(level, sys.executable, "-c", code, prompt)
    assert done.stdout == prompt


def test_git_works_on_the_pods_worktree(pod: Pod, level: Capabilities) -> None:
    script = (
        "git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x "
        "&& git log --format=%s && git -c core.pager= diff"
    )
    done = pod.run(level, SHELL, "-c", script)
    assert done.stdout == "x\n", done.stderr


def test_what_it_has_is_what_it_says(pod: Pod, level: Capabilities) -> None:
    prepared = pod.prepared(level, SHELL)
    expected = Isolation.BUBBLEWRAP if level.bubblewrap else Isolation.LANDLOCK
    assert prepared.isolation is expected
    assert prepared.wrapper == ("bwrap" if level.bubblewrap else "")
    assert ("Landlock" in prepared.note) == (not level.bubblewrap)


def test_a_failing_landlock_starts_nothing(machine: Capabilities, tmp_path: Path) -> None:
    if not machine.landlock:
        pytest.skip("no Landlock here")
    script = Path(__file__).parents[5] / "runner/drivers/sandbox/landlock_exec.py"
    canary = tmp_path / "canary"
    done = subprocess.run(
        [sys.executable, "-I", "-S", script, "--read", "/usr", "--", "/bin/touch", canary],
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert not canary.exists()
    missing = subprocess.run(
        [sys.executable, "-I", "-S", script, "--read", "/", "--", "/nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert missing.returncode == 126
    assert "nothing was started" in missing.stderr
