"""A runner from enrolment to its end, as a process, against a scripted controller."""

import asyncio
import json
import signal
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from meshwire.v1 import link_pb2

pytestmark = pytest.mark.anyio

LONG = "echo started >> {file}; trap 'exit 0' TERM; while :; do sleep 0.2; done"


async def connected(controller: Any, daemon: Any, *more: str) -> None:
    before = len(controller.sessions)
    await daemon.start(*more)
    await controller.until(lambda: len(controller.sessions) > before)


def starts(file: Any) -> int:
    return file.read_text().count("started") if file.exists() else 0


async def gone(claim: Any) -> None:
    async with asyncio.timeout(40):
        while claim():
            await asyncio.sleep(0.02)


async def test_a_pod_is_started_and_its_end_is_told(controller: Any, daemon: Any, pod: Any) -> None:
    await connected(controller, daemon)
    await controller.want(pod("pod-a1", "echo hello; exit 3"))
    seen = await controller.until_state("pod-a1", link_pb2.FAILED)
    assert (seen.reason, seen.exit_code, seen.initialized) == ("Exited", 3, True)
    assert seen.finished_unix_ms >= seen.started_unix_ms > 0
    transcript = (daemon.data / "pods/pod-a1/transcript").rglob("*")
    assert b"hello" in b"".join(path.read_bytes() for path in transcript)


async def test_the_agent_finds_its_ticket_at_each_start(
    controller: Any, daemon: Any, pod: Any
) -> None:
    await connected(controller, daemon)
    script = 'cat "$AGENTSMESH_TICKET_FILE"; echo "|end"; echo worse > "$AGENTSMESH_TICKET_FILE"'

    def more(wanted: link_pb2.PodDesired) -> None:
        wanted.spec.ticket.name = "tk-1"
        wanted.spec.ticket.content = "# Ticket tk-1: 🦊\n\n$HOME $(id)\n"
        wanted.spec.restart_policy = link_pb2.RESTART_ON_FAILURE

    await controller.want(pod("pod-ticket", f"{script}; exit 3", more=more))

    def twice() -> bool:
        seen = controller.observed.get("pod-ticket")
        return seen is not None and seen.restarts > 0 and seen.state == link_pb2.FAILED

    await controller.until(twice)
    transcript = (daemon.data / "pods/pod-ticket/transcript").rglob("*")
    said = b"".join(path.read_bytes() for path in transcript)
    assert said.count("# Ticket tk-1: 🦊\r\n\r\n$HOME $(id)\r\n|end".encode()) > 1
    assert b"worse" not in said


async def test_the_identity_is_private_and_the_token_is_used_up(
    controller: Any, daemon: Any
) -> None:
    await connected(controller, daemon)
    assert not daemon.token.exists()
    identity = daemon.data / "identity"
    assert stat.S_IMODE(identity.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in identity.iterdir()}
    assert modes == dict.fromkeys(("key.pem", "cert.pem", "bundle.pem", "runner.json"), 0o600)
    key = (identity / "key.pem").read_text().splitlines()[1]
    assert key not in str(controller.enrolled[0])
    assert "amjt_" not in daemon.log.read_text()


async def test_it_notes_whether_it_had_a_session_since_its_start(
    controller: Any, daemon: Any
) -> None:
    await connected(controller, daemon)
    told = daemon.data / "connected"
    await gone(lambda: told.stat().st_mtime_ns == 0)
    assert stat.S_IMODE(told.stat().st_mode) == 0o600
    await daemon.kill()
    controller.port = controller.public_port  # where nobody welcomes it
    await daemon.start()
    await gone(lambda: told.stat().st_mtime_ns != 0)


async def test_agents_are_looked_for_and_told_with_their_versions(
    controller: Any, daemon: Any
) -> None:
    await connected(controller, daemon)
    assert list(controller.sessions[0].hello.features) == ["agents", "warm"]
    shell = link_pb2.AgentProgram(name="a", executable="bash", version_args=["--version"])
    none = link_pb2.AgentProgram(name="b", executable="no-such-agent")
    await controller.say(agents=link_pb2.AgentCatalogue(agents=[shell, none]))
    await controller.until(lambda: controller.agents and controller.agents[-1].agents[0].version)
    found, missing = controller.agents[-1].agents
    assert (found.looked_for, missing.looked_for) == (shell, none)
    assert found.version.startswith("GNU bash, version ")
    assert found.path.endswith("/bash")
    assert missing.problem.startswith("The executable 'no-such-agent' was not found on this runner")
    assert not list((daemon.data / "versions").iterdir())


async def test_an_agent_outlives_its_runner_and_is_found_again(
    controller: Any, daemon: Any, pod: Any, living: Any, tmp_path: Path
) -> None:
    file = tmp_path / "starts"
    await connected(controller, daemon)
    await controller.want(pod("pod-a1", LONG.format(file=file)))
    first = await controller.until_state("pod-a1", link_pb2.RUNNING)
    await daemon.kill(signal.SIGKILL)
    assert first.pid in living("pod-a1")
    controller.observed.clear()
    await connected(controller, daemon)
    again = await controller.until_state("pod-a1", link_pb2.RUNNING)
    assert (again.pid, again.started_unix_ms) == (first.pid, first.started_unix_ms)
    assert starts(file) == 1


async def test_removing_a_pod_leaves_no_process_and_no_directory(
    controller: Any, daemon: Any, pod: Any, living: Any
) -> None:
    await connected(controller, daemon)
    stubborn = "trap '' TERM HUP; (setsid sleep 600 &); while :; do sleep 0.2; done"
    await controller.want(pod("pod-a1", stubborn, grace=1))
    await controller.until_state("pod-a1", link_pb2.RUNNING)
    await controller.want(pod("pod-a1", stubborn, grace=1, desired=link_pb2.REMOVE))
    await controller.until_state("pod-a1", link_pb2.REMOVED)
    assert living("pod-a1") == []
    assert daemon.pods() == []
    await gone(lambda: any((daemon.data / "trash").iterdir()))
    assert [path for path in daemon.data.rglob("*") if path.is_socket()] == []
    await controller.want()
    await daemon.kill(signal.SIGTERM)
    controller.history.clear()
    await connected(controller, daemon)
    await controller.until(lambda: controller.beats > 0)
    assert controller.history == []  # the tombstone went when the controller forgot the pod


async def test_leaving_says_goodbye_and_stops_no_agent(
    controller: Any, daemon: Any, pod: Any, living: Any
) -> None:
    await connected(controller, daemon)
    await controller.want(pod("pod-a1", "sleep 600"))
    seen = await controller.until_state("pod-a1", link_pb2.RUNNING)
    assert await daemon.kill(signal.SIGTERM) == 0
    await controller.until(lambda: controller.goodbyes == ["Stopping"])
    assert seen.pid in living("pod-a1")


async def test_an_unconfirmed_empty_state_removes_nothing(
    controller: Any, daemon: Any, pod: Any, living: Any
) -> None:
    await connected(controller, daemon)
    await controller.want(pod("pod-a1", "sleep 600"))
    await controller.until_state("pod-a1", link_pb2.RUNNING)
    await controller.want(allow_empty=False)
    await controller.want(pod("pod-a1", "sleep 600"), pod("pod-a2", "true"))
    await controller.until_state("pod-a2", link_pb2.SUCCEEDED)  # so the empty one was looked at
    assert living("pod-a1")
    assert controller.observed["pod-a1"].state == link_pb2.RUNNING
    await controller.want(allow_empty=True)
    await controller.until_state("pod-a1", link_pb2.REMOVED)
    assert living("pod-a1") == []


async def test_an_older_controller_is_not_followed(
    controller: Any, daemon: Any, pod: Any, living: Any
) -> None:
    controller.epoch = 5
    await connected(controller, daemon)
    await controller.want(pod("pod-a1", "sleep 600"))
    await controller.until_state("pod-a1", link_pb2.RUNNING)
    await daemon.kill(signal.SIGKILL)
    controller.epoch, controller.pods = 4, []
    tries = len(controller.sessions)
    await daemon.start()
    await controller.until(lambda: len(controller.sessions) >= tries + 2)
    assert living("pod-a1")
    assert controller.sessions[-1].hello.last_controller_epoch == 5
    controller.epoch, controller.pods = 6, [pod("pod-a1", "sleep 600"), pod("pod-a2", "true")]
    await controller.until_state("pod-a2", link_pb2.SUCCEEDED, 40)
    assert living("pod-a1")


async def test_renewals_keep_the_stream_usable(controller: Any, daemon: Any, pod: Any) -> None:
    controller.lifetime_seconds = 4.0
    await connected(controller, daemon)
    await controller.want(pod("pod-a1", "sleep 600"))
    await controller.until_state("pod-a1", link_pb2.RUNNING)
    await controller.until(lambda: len({each.serial for each in controller.sessions}) >= 4, 30)
    assert controller.renewed >= 3
    assert set(controller.goodbyes) <= {"Renewed"}
    await controller.want(pod("pod-a1", "sleep 600"), pod("pod-a2", "true"))
    await controller.until_state("pod-a2", link_pb2.SUCCEEDED)
    assert len(controller.enrolled) == 1
    assert not [p for p in controller.history if p.ref.pod_uid == "pod-a1" and p.restarts]


async def test_a_stop_ends_the_agent_and_keeps_everything(
    controller: Any, daemon: Any, pod: Any, living: Any
) -> None:
    await connected(controller, daemon)
    script = "echo kept > note; trap 'exit 0' TERM; while :; do sleep 0.1; done"
    await controller.want(pod("pod-a1", script))
    await controller.until_state("pod-a1", link_pb2.RUNNING)
    await controller.want(pod("pod-a1", script, desired=link_pb2.STOP))
    seen = await controller.until(
        lambda: controller.observed["pod-a1"].finished_unix_ms and controller.observed["pod-a1"]
    )
    assert seen.reason == "Stopped"
    assert living("pod-a1") == []
    assert (daemon.data / "pods/pod-a1/home/note").read_text() == "kept\n"
    await controller.want(pod("pod-a1", script))  # the same epoch never starts again
    await controller.want(pod("pod-a1", script), pod("pod-a2", "true"))
    await controller.until_state("pod-a2", link_pb2.SUCCEEDED)
    assert living("pod-a1") == []


async def test_a_new_epoch_starts_after_the_old_run_is_dead(
    controller: Any, daemon: Any, pod: Any, tmp_path: Path
) -> None:
    file = tmp_path / "order"
    script = f"echo up $$ >> {file}; trap 'echo down $$ >> {file}; exit 0' TERM HUP; "
    script += "while :; do sleep 0.1; done"
    await connected(controller, daemon)
    await controller.want(pod("pod-a1", script))
    await controller.until_state("pod-a1", link_pb2.RUNNING)
    await gone(lambda: not file.exists())
    await controller.want(pod("pod-a1", script, epoch=2))
    await controller.until(
        lambda: (
            controller.observed["pod-a1"].ref.epoch == 2
            and controller.observed["pod-a1"].state == link_pb2.RUNNING
        )
    )
    await gone(lambda: len(file.read_text().splitlines()) < 3)
    words = [line.split() for line in file.read_text().splitlines()]
    assert [word for word, _ in words] == ["up", "down", "up"]
    assert words[0][1] == words[1][1] != words[2][1]


async def test_a_failure_is_restarted_as_the_policy_says(
    controller: Any, daemon: Any, pod: Any, tmp_path: Path
) -> None:
    file = tmp_path / "starts"

    def on_failure(message: link_pb2.PodDesired) -> None:
        message.spec.restart_policy = link_pb2.RESTART_ON_FAILURE

    await connected(controller, daemon)
    script = f"echo started >> {file}; test $(wc -l < {file}) -ge 2"
    await controller.want(pod("pod-a1", script, more=on_failure))
    seen = await controller.until_state("pod-a1", link_pb2.SUCCEEDED)
    assert seen.restarts == 1
    assert starts(file) == 2


async def test_a_deadline_ends_the_agent(
    controller: Any, daemon: Any, pod: Any, living: Any
) -> None:
    deadline = int((time.time() + 2) * 1000)

    def due(message: link_pb2.PodDesired) -> None:
        message.deadline_unix_ms = deadline

    await connected(controller, daemon)
    await controller.want(pod("pod-a1", "sleep 600", more=due))
    seen = await controller.until_state("pod-a1", link_pb2.FAILED)
    assert seen.reason == "DeadlineExceeded"
    assert living("pod-a1") == []


async def test_a_missing_executable_is_named_and_blocks_nobody(
    controller: Any, daemon: Any, pod: Any
) -> None:
    def missing(message: link_pb2.PodDesired) -> None:
        message.spec.executable = "no-such-agent"

    await connected(controller, daemon)
    await controller.want(pod("pod-a1", "", more=missing), pod("pod-a2", "true"))
    seen = await controller.until_state("pod-a1", link_pb2.FAILED)
    assert seen.reason == "ExecutableNotFound"
    assert "no-such-agent" in seen.message
    await controller.until_state("pod-a2", link_pb2.SUCCEEDED)


async def test_an_unreachable_repository_is_shown_and_tried_again(
    controller: Any, daemon: Any, pod: Any
) -> None:
    def repository(message: link_pb2.PodDesired) -> None:
        message.spec.repository.url = "https://localhost:1/shop.git"

    await connected(controller, daemon)
    await controller.want(pod("pod-a1", "true", more=repository), pod("pod-a2", "true"))
    seen = await controller.until(
        lambda: (
            controller.observed.get("pod-a1", link_pb2.PodObserved()).reason
            and controller.observed["pod-a1"]
        )
    )
    assert (seen.reason, seen.state) == ("RemoteUnreachable", link_pb2.PREPARING)
    assert seen.message
    await controller.until_state("pod-a2", link_pb2.SUCCEEDED)
    await controller.want(pod("pod-a1", "true", more=repository, desired=link_pb2.REMOVE))
    await controller.until_state("pod-a1", link_pb2.REMOVED)


async def test_a_missed_change_asks_for_everything_again(
    controller: Any, daemon: Any, pod: Any
) -> None:
    await connected(controller, daemon)
    await controller.want(pod("pod-a1", "sleep 600"))
    await controller.until_state("pod-a1", link_pb2.RUNNING)
    late = link_pb2.Delta(base_revision=90, revision=91, upserts=[pod("pod-a2", "true").message()])
    await controller.say(delta=late)
    await controller.until(lambda: controller.resyncs)
    assert "pod-a2" not in controller.observed


async def test_a_prompt_is_typed_once_when_the_agent_is_ready(
    controller: Any, daemon: Any, pod: Any, tmp_path: Path
) -> None:
    file = tmp_path / "typed"

    def typed(message: link_pb2.PodDesired) -> None:
        message.spec.prompt = 'say "it\'s" $(now)'
        message.spec.prompt_position = link_pb2.PROMPT_TYPED
        message.spec.readiness.regex = "^ready>"

    script = f"sleep 0.3; printf 'ready> '; read -r line; echo \"$line\" >> {file}; sleep 600"
    await connected(controller, daemon)
    await controller.want(pod("pod-a1", script, more=typed))
    await gone(lambda: not file.exists())
    await daemon.kill(signal.SIGKILL)
    controller.observed.clear()
    await connected(controller, daemon)
    await controller.until_state("pod-a1", link_pb2.RUNNING)
    assert file.read_text() == 'say "it\'s" $(now)\n'


async def test_a_run_that_the_journal_lost_is_adopted(
    controller: Any, daemon: Any, pod: Any, tmp_path: Path
) -> None:
    file = tmp_path / "starts"
    await connected(controller, daemon)
    wanted = pod("pod-a1", LONG.format(file=file))
    await controller.want(wanted)
    first = await controller.until_state("pod-a1", link_pb2.RUNNING)
    await daemon.kill(signal.SIGKILL)
    for path in daemon.data.glob("journal.db*"):
        path.unlink()
    controller.observed.clear()
    controller.history.clear()
    await connected(controller, daemon)
    await controller.until(
        lambda: (
            "pod-a1" in controller.observed
            and not controller.observed["pod-a1"].orphan
            and controller.observed["pod-a1"].state == link_pb2.RUNNING
        )
    )
    assert controller.observed["pod-a1"].pid == first.pid
    assert starts(file) == 1
    for path in daemon.data.glob("journal.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_run_that_nobody_wants_is_removed(
    controller: Any, daemon: Any, pod: Any, living: Any
) -> None:
    await connected(controller, daemon)
    await controller.want(pod("pod-a1", "sleep 600"))
    await controller.until_state("pod-a1", link_pb2.RUNNING)
    await daemon.kill(signal.SIGKILL)
    for path in daemon.data.glob("journal.db*"):
        path.unlink()
    controller.pods = None  # nothing is said at first: nothing may be done
    controller.history.clear()
    await connected(controller, daemon)
    await controller.until(lambda: [p for p in controller.history if p.orphan])
    assert living("pod-a1")
    await controller.want()
    await controller.until_state("pod-a1", link_pb2.REMOVED)
    assert (living("pod-a1"), daemon.pods()) == ([], [])


async def test_a_second_runner_on_one_directory_is_refused(
    controller: Any, daemon: Any, capfd: Any
) -> None:
    await connected(controller, daemon)
    first = daemon.process
    await daemon.start()
    assert await daemon.ended() == 1
    daemon.process = first
    assert "Another runner uses" in capfd.readouterr().err


async def test_a_data_directory_that_cannot_be_is_named(
    daemon: Any, tmp_path: Path, capfd: Any
) -> None:
    (tmp_path / "file").write_text("")
    daemon.data = tmp_path / "file" / "data"
    await daemon.start()
    assert await daemon.ended() == 1
    assert "cannot be written" in capfd.readouterr().err


async def test_without_a_token_the_runner_waits_and_says_so_once(
    controller: Any, daemon: Any
) -> None:
    daemon.token.unlink()
    await daemon.start()
    await gone(lambda: "join token" not in (daemon.log.read_text() if daemon.log.exists() else ""))
    await asyncio.sleep(2.5)  # long enough for it to look twice more
    lines = [json.loads(line)["message"] for line in daemon.log.read_text().splitlines()]
    assert len([line for line in lines if "waiting for a join token" in line]) == 1
    daemon.write_token()
    await controller.until(lambda: controller.live)


async def test_a_server_without_the_pinned_root_never_sees_the_token(
    controller: Any, daemon: Any
) -> None:
    daemon.pin = "sha256:" + "0" * 64
    await daemon.start()
    await gone(lambda: "pin" not in (daemon.log.read_text() if daemon.log.exists() else ""))
    assert controller.enrolled == []
    assert daemon.token.exists()


async def test_a_terminal_is_seen_typed_into_and_ends(
    controller: Any, daemon: Any, pod: Any
) -> None:
    await connected(controller, daemon)
    await controller.until(lambda: controller.terminals_connected)
    script = "echo banner; read -r line; echo got:$line; exit 4"
    await controller.want(pod("pod-a1", script))
    await controller.until_state("pod-a1", link_pb2.RUNNING)

    async def say(**message: Any) -> None:
        await controller.terminal_out.put(link_pb2.TerminalDown(view=7, **message))

    def said(kind: str) -> list:
        return [getattr(m, kind) for m in controller.terminal_up if m.WhichOneof("msg") == kind]

    def output() -> bytes:
        return b"".join(each.data for each in said("output"))

    ref = link_pb2.PodRef(pod_uid="pod-a1", epoch=1)
    order = link_pb2.OpenView(ref=ref, start=link_pb2.VIEW_START_OFFSET, follow=True)
    await say(open=order)
    await controller.until(lambda: said("opened"))
    assert said("opened")[0].running
    assert output() == b""  # no credit, no output
    await say(credit=link_pb2.Credit(bytes=1 << 16))
    await controller.until(lambda: b"banner" in output())
    await say(resize=link_pb2.TerminalSize(cols=100, rows=30))
    await say(input=link_pb2.Input(seq=1, data=b"hi\r"))
    await controller.until(lambda: said("input_ack"))
    await controller.until(lambda: said("ended"))
    assert b"got:hi" in output()
    assert (said("ended")[0].reason, said("ended")[0].exit_code) == ("Exited", 4)
    offsets = [(each.offset, len(each.data)) for each in said("output")]
    assert [o for o, _ in offsets[1:]] == [o + n for o, n in offsets[:-1]]
    controller.terminal_up.clear()
    await controller.until_state("pod-a1", link_pb2.FAILED)
    await say(open=link_pb2.OpenView(ref=ref, start=link_pb2.VIEW_START_SCREEN))
    await controller.until(lambda: said("ended"))
    assert b"banner" in said("opened")[0].screen
    assert said("ended")[0].reason == "EndOfTranscript"


async def test_the_runner_keeps_its_memory_to_itself(controller: Any, daemon: Any) -> None:
    await connected(controller, daemon)
    assert daemon.process is not None
    owner = Path(f"/proc/{daemon.process.pid}/mem").stat().st_uid
    assert owner == 0  # not dumpable: of root, whoever runs it
