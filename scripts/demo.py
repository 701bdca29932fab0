"""``make demo``: a whole mesh on this machine, two agents at work, and how to go on.

Does what examples/quickstart/README.md says, with a data directory of its own
(``.agentsmesh/demo`` below this tree, or ``$AGENTSMESH_DATA_DIR``). With ``--once`` it has a new
directory beside that one and free ports, and takes away all that it made: a mesh that runs already
is left alone.
"""

import argparse
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
QUICKSTART: Final = ROOT / "examples" / "quickstart"
PROGRAM: Final = str(Path(sys.executable).with_name("agentsmesh"))
PODS: Final = ("ada", "grace")
READY_SECONDS: Final = 60
GONE_SECONDS: Final = 30
KUBECTL: Final = os.environ.get("KUBECTL", "kubectl")
QUESTION: Final = "What shall I plant next?"


class DemoError(Exception):
    """A step did not work: which, and where to look."""


def say(text: str) -> None:
    """Print a line of progress."""
    sys.stdout.write(f"[demo] {text}\n")
    sys.stdout.flush()


def run(*argv: str | Path, what: str, cwd: Path | None = None, **environment: str) -> str:
    """Run a command and return what it printed.

    Raises:
        DemoError: It failed; says what it was for and what it said.
    """
    done = subprocess.run(
        [str(part) for part in argv],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise DemoError(f"{what} failed: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout


class Demo:
    """One demonstration on one data directory."""

    def __init__(self, data: Path, *, free_ports: bool = False) -> None:
        self.data = data
        self.free_ports = free_ports
        self.git_folder = data.parent / f"{data.name}-git"
        self.kubeconfig = data / "kubeconfig"

    def up(self) -> None:
        """Start the mesh, unless it runs already."""
        if self.running():
            say(f"the mesh on {self.data} runs already")
            return
        command = [PROGRAM, "up", "--data-dir", str(self.data), "--detach"]
        command += ["--allow-local-repositories", str(self.git_folder)]
        if self.free_ports:
            command += ["--port", "0"]
        self.git_folder.mkdir(parents=True, exist_ok=True)
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as starting:
            for line in starting.stdout or ():
                if line.startswith("[up]"):  # how to go on is said at the end, once
                    sys.stdout.write(line)
                    sys.stdout.flush()
        if starting.returncode != 0:
            raise DemoError(f"the mesh did not start: see above; logs are in {self.data / 'logs'}")

    def running(self) -> bool:
        """Return whether a mesh runs on the data directory."""
        status = [PROGRAM, "status", "--data-dir", str(self.data)]
        return subprocess.run(status, capture_output=True, check=False).returncode == 0

    def down(self) -> None:
        """Stop the mesh and delete its pods first, so that nothing is left running.

        Raises:
            DemoError: An agent did not end; the mesh still runs.
        """
        if self.running():
            self._delete_pods()
        run(PROGRAM, "down", "--data-dir", self.data, what="stopping the mesh")

    def make_repository(self) -> Path:
        """Make a small git repository with one commit, unless it is there.

        One that is there is used as it is: it holds what agents pushed.

        Raises:
            DemoError: What is there is no repository with a branch main.
        """
        bare = self.git_folder / "garden.git"
        if bare.exists():
            branch = ("rev-parse", "--quiet", "--verify", "refs/heads/main^{commit}")
            missing = f"{bare} is no repository with a branch main (move it away): looking at it"
            run("git", f"--git-dir={bare}", *branch, what=missing)
            return bare
        with tempfile.TemporaryDirectory(prefix=".making-", dir=self.git_folder) as scratch:
            seed, made = Path(scratch, "seed"), Path(scratch, "garden.git")
            seed.mkdir()
            (seed / "README").write_text("A garden, tended by agents.\n", encoding="utf-8")
            (seed / "garden.txt").write_text("gardener: a lawn\n", encoding="utf-8")
            who = ("-c", "user.name=AgentsMesh", "-c", "user.email=demo@agentsmesh.invalid")
            for command in (
                ("init", "--quiet", "--initial-branch=main"),
                ("add", "."),
                ("commit", "--quiet", "--no-gpg-sign", "--message=Begin the garden"),
            ):
                run("git", *who, *command, what="making the repository", cwd=seed)
            run("git", "clone", "--quiet", "--bare", seed, made, what="making the repository")
            run("git", f"--git-dir={made}", "remote", "remove", "origin", what="git remote")
            made.rename(bare)
        return bare

    def apply(self, repository: Path) -> None:
        """Apply the manifests of the quickstart, with the repository's real address."""
        rendered = self.data / "quickstart"
        rendered.mkdir(mode=0o700, exist_ok=True)
        for source in sorted(QUICKSTART.glob("*.yaml")):
            text = source.read_text("utf-8").replace("/srv/git/garden.git", str(repository))
            (rendered / source.name).write_text(text, encoding="utf-8")
        if shutil.which(KUBECTL):
            sys.stdout.write(self._kubectl("apply", "-f", str(rendered)))
        else:
            say("kubectl is not installed: the manifests are applied by Python instead")
            self._apply_without_kubectl(rendered)
        sys.stdout.flush()

    def wait(self) -> None:
        """Return once both pods are ready and have asked their question."""
        deadline = time.monotonic() + READY_SECONDS
        for pod in PODS:
            while (reason := self._not_ready(pod)) and time.monotonic() < deadline:
                time.sleep(0.2)
            if reason:
                raise self._failure(pod, f"is not ready: {reason}")
            while QUESTION not in self.terminal(pod):
                if (reason := self._not_ready(pod)) or time.monotonic() > deadline:
                    raise self._failure(pod, f"asked nothing: {reason or 'it is still at work'}")
                time.sleep(0.2)

    def _failure(self, pod: str, what: str) -> DemoError:
        logs = self.data / "logs"
        return DemoError(
            f"the agent {pod} {what} (agentsmesh logs {pod}; "
            f"logs: {logs / 'controller.log'}, {logs / 'runner.log'})"
        )

    def table(self) -> str:
        """Return the pods as a table."""
        if shutil.which(KUBECTL):
            return self._kubectl("get", "agentpods", "-n", "default")
        rows = [("NAME", "PHASE", "RUNNER")]
        for pod in PODS:
            status = self._pod(pod).get("status") or {}
            runner = (status.get("placement") or {}).get("runnerName", "")
            rows.append((pod, str(status.get("phase", "")), str(runner)))
        return "".join(f"{name:8}{phase:10}{runner}\n" for name, phase, runner in rows)

    def terminal(self, pod: str) -> str:
        """Return what the pod's terminal has shown."""
        return run(
            *(PROGRAM, "logs", pod, "-n", "default", "--kubeconfig", self.kubeconfig),
            what=f"reading the terminal of {pod}",
        )

    def commits(self, pod: str) -> str:
        """Return the latest commits on the pod's branch."""
        uid = self._pod(pod)["metadata"]["uid"]
        worktree = next((self.data / "runner").rglob(f"pods/{uid}/worktree"), None)
        if worktree is None:
            raise DemoError(f"the worktree of {pod} is not below {self.data / 'runner'}")
        trusted = f"safe.directory={worktree}"  # as root the pod's files are another account's
        log = ("-C", worktree, "log", "--oneline", "-3")
        return run("git", "-c", trusted, *log, what=f"the log of {pod}")

    def _kubectl(self, *arguments: str) -> str:
        return run(KUBECTL, "--kubeconfig", self.kubeconfig, *arguments, what="kubectl")

    def _api(self) -> Any:
        from cli.api import Api  # only where kubectl is not enough
        from cli.kubeconfig import load

        return Api(load([self.kubeconfig]))

    def _pod(self, pod: str) -> dict[str, Any]:
        from schemas.names import AGENT_POD

        found: dict[str, Any] = self._api().get(AGENT_POD, "default", pod)
        return found

    def _not_ready(self, pod: str) -> str:
        """Return why the pod is not ready; empty if it is.

        Raises:
            DemoError: It never will be.
        """
        status = self._pod(pod).get("status") or {}
        conditions = status.get("conditions") or []
        ready = next((c for c in conditions if c["type"] == "Ready"), None)
        if ready and ready["status"] == "True":
            return ""
        message = str(ready["message"]) if ready else "the controller has not looked at it"
        if status.get("phase") in {"Failed", "Succeeded"}:
            raise self._failure(pod, f"has ended: {message}")
        return message

    def _apply_without_kubectl(self, folder: Path) -> None:
        import yaml

        from cli.api import Conflict
        from schemas.names import OURS

        api = self._api()
        kinds = {resource.kind: resource for resource in OURS}
        manifests = [
            document
            for path in folder.glob("*.yaml")
            for document in yaml.safe_load_all(path.read_text("utf-8"))
        ]
        for manifest in sorted(manifests, key=lambda m: list(kinds).index(m["kind"])):
            resource, about = kinds[manifest["kind"]], manifest["metadata"]
            namespace = str(about.get("namespace", ""))
            try:
                api.create(resource, namespace, manifest)
            except Conflict:
                api.patch(resource, namespace, about["name"], {"spec": manifest["spec"]})
            sys.stdout.write(f"{resource.kind.lower()}.agentsmesh.io/{about['name']} applied\n")

    def _delete_pods(self) -> None:
        from schemas.names import AGENT_POD

        api = self._api()
        for pod in PODS:
            api.delete(AGENT_POD, "default", pod)
        deadline = time.monotonic() + GONE_SECONDS
        while left := sorted(pod["metadata"]["name"] for pod in api.list(AGENT_POD, "default")):
            if time.monotonic() > deadline:
                raise DemoError(f"{' and '.join(left)} did not end; the mesh on {self.data} runs")
            time.sleep(0.2)


def show(demo: Demo) -> None:
    """Print what the agents did."""
    say("kubectl get agentpods")
    sys.stdout.write(demo.table())
    say(f"the terminal of {PODS[0]} (agentsmesh logs {PODS[0]})")
    sys.stdout.write("".join(f"  | {line}\n" for line in demo.terminal(PODS[0]).splitlines()))
    for pod in PODS:
        say(f"the commits of {pod}, in its own worktree")
        sys.stdout.write("".join(f"  {line}\n" for line in demo.commits(pod).splitlines()))


def how_to_go_on(demo: Demo) -> None:
    """Print the next things to try."""
    program = Path(PROGRAM)
    shown = program.relative_to(ROOT) if program.is_relative_to(ROOT) else program
    install = "" if shutil.which(KUBECTL) else "   # https://kubernetes.io/docs/tasks/tools/"
    steps = (
        (f"export KUBECONFIG={shlex.quote(str(demo.kubeconfig))}{install}", ""),
        (f"{shown} attach ada", "answer: a plant and enter; ctrl-p ctrl-q leaves"),
        ("kubectl get agentpods -w", "watch them"),
        ("kubectl apply -f examples/quickstart/next/pod.yaml", "the next manifest to try"),
        ("kubectl delete agentpod ada", "ends it and removes every trace"),
        (f"{shown} down --data-dir {shlex.quote(str(demo.data))}", "stops the mesh; agents go on"),
    )
    sys.stdout.write("\nBoth agents wait for an answer. To go on:\n")
    for command, why in steps:
        sys.stdout.write(f"  {command:52} # {why}\n" if why else f"  {command}\n")


def work(demo: Demo) -> None:
    """Start everything, and show it once both agents have asked their question."""
    demo.up()
    demo.apply(demo.make_repository())
    say("waiting for the agents")
    demo.wait()
    show(demo)


@contextlib.contextmanager
def of_its_own(beside: Path) -> Iterator[Demo]:
    """Yield a demo on a new directory, and take both away; after a failure the logs stay."""
    beside.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="agentsmesh-once-", dir=beside))
    demo = Demo(folder / "data", free_ports=True)
    say(f"everything is in {folder}, which is taken away at the end")
    try:
        yield demo
    except DemoError:
        demo.down()
        raise
    except KeyboardInterrupt:
        demo.down()
        shutil.rmtree(folder)
        raise
    demo.down()
    shutil.rmtree(folder)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration; return the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop everything at the end")
    once: bool = parser.parse_args(argv).once
    named = os.environ.get("AGENTSMESH_DATA_DIR")
    data = Path(named).expanduser().absolute() if named else ROOT / ".agentsmesh" / "demo"
    began = time.monotonic()
    try:
        if not once:
            demo = Demo(data)
            work(demo)
            how_to_go_on(demo)
            return 0
        with of_its_own(data.parent) as demo:
            work(demo)
    except DemoError as exc:
        sys.stderr.write(f"[demo] {exc}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    say(f"stopped and taken away; everything took {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
