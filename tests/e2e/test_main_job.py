"""A manifest becomes a running agent, and deleting it removes every trace."""

import os
import select
import signal
import subprocess
from pathlib import Path

import ptyprocess
import pytest

from tests.e2e.harness import (
    PROGRAM,
    Mesh,
    agent_class,
    agent_pod,
    is_clear,
    pod_dir,
    processes_of,
    run,
    until,
)

pytestmark = pytest.mark.timeout(180)

_WORKER = """
echo "prompt: $1"; echo done >> work.txt
git add work.txt && git commit -qm 'Do the work' && git log -1 --format=%s
printf 'Shall I go on? '; read answer; echo "answer: $answer"; exec sleep 100000
"""


def test_an_applied_pod_runs_in_its_own_worktree_and_leaves_nothing(mesh: Mesh):
    mesh.apply(agent_class("worker", _WORKER, "argument"))
    repository = {"name": "origin", "worktree": {"branch": "fix-login"}}
    mesh.apply(agent_pod("fix", "worker", prompt="Fix it.", repositoryRef=repository))
    pod = mesh.ready("fix")
    uid = pod["metadata"]["uid"]
    until(lambda: "Shall I go on?" in mesh.logs("fix"), what="the agent asks")

    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["worktree"]["branch"] == "fix-login"
    assert pod["status"]["observedGeneration"] == pod["metadata"]["generation"]
    assert pod["status"]["sandbox"]["isolation"] in {"bubblewrap", "landlock"}
    assert "prompt: Fix it." in mesh.logs("fix")
    assert "Do the work" in mesh.logs("fix")
    worktree = pod_dir(mesh, uid) / "worktree"
    assert (worktree / "work.txt").read_text(encoding="utf-8") == "done\n"
    assert not [p for p in worktree.iterdir() if p.name not in {".git", "README", "work.txt"}]

    mesh.delete("fix")
    is_clear(mesh, uid)


def test_the_status_follows_what_a_live_agent_has_done(mesh: Mesh):
    """Within seconds: the runner notices what changes in a worktree."""
    mesh.apply(agent_class("worker", _WORKER, "argument"))
    mesh.apply(agent_pod("follow", "worker", prompt="x", repositoryRef={"name": "origin"}))
    pod = mesh.ready("follow")
    until(lambda: "Shall I go on?" in mesh.logs("follow"), what="the agent asks")
    worktree = pod_dir(mesh, pod["metadata"]["uid"]) / "worktree"
    ours = f"safe.directory={worktree}"  # as root: the files are the pod's own account's
    commit = run("git", "-c", ours, "-C", str(worktree), "rev-parse", "HEAD").strip()
    assert pod["status"]["worktree"]["commit"] != commit

    def told() -> bool:
        status = mesh.get("follow")["status"]
        return bool(status["worktree"]["commit"] == commit and status["terminal"]["bytes"] > 0)

    until(told, seconds=60, what="the status has the agent's commit")
    assert mesh.get("follow")["status"]["worktree"]["dirty"] is False
    mesh.delete("follow")


def test_work_that_was_not_pushed_is_kept_and_comes_back(mesh: Mesh, tmp_path: Path):
    mesh.apply(agent_class("worker", _WORKER, "argument"))
    mesh.apply(agent_pod("keep", "worker", prompt="x", repositoryRef={"name": "origin"}))
    pod = mesh.ready("keep")
    until(lambda: "Shall I go on?" in mesh.logs("keep"), what="the agent asks")
    mesh.delete("keep")
    ref = f"refs/agentsmesh/saved/{pod['metadata']['uid']}"
    caches = mesh.data.rglob("caches/*/repo.git")
    cache = next(c for c in caches if ref in run("git", "-C", str(c), "for-each-ref", ref))
    assert run("git", "-C", str(cache), "show", f"{ref}:work.txt") == "done\n"
    events = mesh.kubectl("get", "events", "-n", "default", "-o", "jsonpath={.items[*].message}")
    assert ref in events

    clone = tmp_path / "clone"  # of a user, who knows the pod by its name
    run("git", "clone", "--quiet", str(mesh.folder / "git/origin.git"), str(clone))
    restore = [PROGRAM, "worktree", "restore", "-C", str(clone), "-n", "default"]
    where = ["--kubeconfig", str(mesh.kubeconfig)]
    assert "branch saved/keep has the work" in run(*restore, "keep", *where)
    assert run("git", "-C", str(clone), "show", "saved/keep:work.txt") == "done\n"
    run(*restore, pod["metadata"]["uid"], "--branch", "again", *where)
    assert run("git", "-C", str(clone), "show", "again:work.txt") == "done\n"
    run(*restore, "keep", "--branch", "here", "--local", "--data-dir", str(mesh.data))
    assert run("git", "-C", str(clone), "show", "here:work.txt") == "done\n"
    done = subprocess.run([*restore, "nobody", *where], capture_output=True, text=True, check=False)
    assert (done.returncode, "nothing is kept of a pod nobody" in done.stderr) == (3, True)


class _Viewer:
    """``agentsmesh attach`` on a terminal of its own."""

    def __init__(self, mesh: Mesh, pod: str, *extra: str) -> None:
        argv = [PROGRAM, "attach", pod, "-n", "default", "--kubeconfig", str(mesh.kubeconfig)]
        self.process = ptyprocess.PtyProcess.spawn([*argv, *extra], dimensions=(30, 100))
        self.seen = b""

    def expect(self, text: bytes, seconds: float = 20) -> None:
        def arrived() -> bool:
            if select.select([self.process.fd], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.process.fd, 65536)
                except OSError:
                    return text in self.seen
            return text in self.seen

        until(arrived, seconds=seconds, what=f"{text!r} in {self.seen[-500:]!r}")

    def type(self, data: bytes) -> None:
        os.write(self.process.fd, data)

    def close(self) -> None:
        if self.process.isalive():
            self.process.kill(signal.SIGKILL)
        self.process.wait()


def test_two_people_attach_type_resize_and_detach(mesh: Mesh):
    script = 'trap "stty size" WINCH; stty size; while true; do read x && echo "got $x"; done'
    mesh.apply(agent_class("echoer", script))
    mesh.apply(agent_pod("talk", "echoer"))
    mesh.ready("talk")
    first, second = _Viewer(mesh, "talk"), _Viewer(mesh, "talk", "--read-only")
    try:
        first.expect(b"30 100")
        first.type(b"hello\r")
        first.expect(b"got hello")
        second.expect(b"got hello")
        first.process.setwinsize(20, 90)
        first.expect(b"20 90")
        first.type(b"\x10\x11")  # ctrl-p ctrl-q
        until(lambda: not first.process.isalive(), what="the first viewer has detached")
        assert mesh.get("talk")["status"]["phase"] == "Running"
    finally:
        first.close()
        second.close()
    mesh.delete("talk")


def test_how_an_agent_ended_is_told(mesh: Mesh):
    mesh.apply(agent_class("fails", "echo bye; exit 3"), agent_class("works", "exit 0"))
    mesh.apply(agent_pod("ended-badly", "fails"), agent_pod("ended-well", "works"))
    failed = mesh.phase("ended-badly", "Failed")
    assert failed["status"]["observed"]["exitCode"] == 3
    completed = mesh.condition("ended-badly", "Completed")
    assert completed["status"] == "True"
    assert "3" in completed["message"]
    assert mesh.phase("ended-well", "Succeeded")["status"]["observed"]["exitCode"] == 0
    assert mesh.logs("ended-badly").strip() == "bye"
    mesh.delete("ended-badly")
    mesh.delete("ended-well")


def test_a_signal_that_ended_an_agent_is_told(mesh: Mesh):
    mesh.apply(agent_class("shot", "kill -KILL $$"))
    mesh.apply(agent_pod("was-shot", "shot"))
    assert mesh.phase("was-shot", "Failed")["status"]["observed"]["signal"] == 9
    mesh.delete("was-shot")


def test_stubborn_and_daemonised_processes_do_not_outlive_their_pod(mesh: Mesh):
    script = """
trap '' TERM HUP INT; export CANARY=1
setsid sh -c 'trap "" TERM HUP; while true; do sleep 1; done' </dev/null >/dev/null 2>&1 &
(setsid sh -c 'exec sleep 100001' </dev/null >/dev/null 2>&1 &) &
echo started; while true; do sleep 1; done
"""
    mesh.apply(agent_class("stubborn", script))
    mesh.apply(agent_pod("stays", "stubborn"))
    uid = mesh.ready("stays")["metadata"]["uid"]
    until(lambda: "started" in mesh.logs("stays"))
    assert len(processes_of(uid)) >= 3
    mesh.delete("stays")
    is_clear(mesh, uid)


def test_kubectl_shows_the_state_as_a_table(mesh: Mesh):
    mesh.apply(agent_pod("shown", "idle"))
    mesh.ready("shown")
    header, row = mesh.kubectl("get", "agentpods", "shown", "-n", "default").splitlines()
    assert header.split() == ["NAME", "CLASS", "PHASE", "RUNNER", "ACTIVITY", "READY", "AGE"]
    seen = {name: row[header.index(name) :].split()[0] for name in header.split()}
    what = ("NAME", "CLASS", "PHASE", "RUNNER", "READY")
    assert [seen[name] for name in what] == ["shown", "idle", "Running", "local", "True"]
    assert "KIND:" in mesh.kubectl("explain", "agentpod.spec.prompt")
    assert "Scheduled" in mesh.kubectl("describe", "agentpod", "shown", "-n", "default")
    mesh.delete("shown")


def test_people_without_the_right_cannot_attach(mesh: Mesh):
    mesh.apply(agent_pod("private", "idle"))
    mesh.ready("private")
    mesh.kubectl("create", "serviceaccount", "stranger", "-n", "default")
    token = mesh.kubectl("create", "token", "stranger", "-n", "default").strip()
    file = mesh.folder / "token"
    file.write_text(token, encoding="utf-8")
    file.chmod(0o600)
    argv = [PROGRAM, "logs", "private", "-n", "default", "--kubeconfig", str(mesh.kubeconfig)]
    done = subprocess.run(
        [*argv, "--token-file", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4, done.stderr
    assert "agentpods/log" in done.stderr or "may not" in done.stderr
    mesh.delete("private")
