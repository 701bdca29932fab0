"""Whatever is killed around starts: one process for each run, each prompt once, no orphan.

``ONCE_KILLS`` says how often something is killed, ``ONCE_SEED`` which storm it is; both are in what
the test prints. A thousand: ``ONCE_KILLS=1000 make test-faults``.
"""

import contextlib
import json
import os
import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.harness import PROGRAM, Mesh, agent_pod, until
from tests.process.once.checker import ENDS, Pod, faults, lines
from tests.process.once.storm import DECK, Storm

KILLS: Final = int(os.environ.get("ONCE_KILLS", "50"))
_A_ROUND: Final = 50
_FIRST: Final = ("quick", "stands", "flagged", "typed")
_KINDS: Final = (*_FIRST, "typed", "fails", "typed-fails", "stopped")

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300 + 10 * KILLS)]

_SAY: Final = 'say() { printf "%s\\t%s\\t%s\\t%s\\n" "$1" "$AGENTSMESH_POD" "$$" "$2" >> LOG; }; '
_FAIL_ONCE: Final = (
    'if [ ! -e "$AGENTSMESH_HOME/ran" ]; then : > "$AGENTSMESH_HOME/ran"; sleep 0.3; exit 3; fi; '
)
_STAND: Final = "exec sleep 100000"
_READ: Final = 'echo ready; while IFS= read -r line; do say prompt "$line"; done; '


def _class(name: str, script: str, log: Path, **prompt: str) -> dict[str, Any]:
    script = f"{_SAY}say start; {script}".replace("LOG", str(log)).replace("$", "$$")
    return {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "AgentClass",
        "metadata": {"name": name},
        "spec": {"executable": "sh", "args": ["-c", script, "agent"], "prompt": prompt},
    }


def _classes(log: Path) -> list[dict[str, Any]]:
    argument = 'if [ $# -gt 0 ]; then say prompt "$1"; fi; '
    flag = 'if [ "$1" = --prompt ]; then say prompt "$2"; fi; '
    return [
        _class("quick", argument, log, position="argument"),
        _class("stands", argument + _STAND, log, position="argument"),
        _class("flagged", flag + _STAND, log, position="flag", flag="--prompt"),
        _class("fails", argument + _FAIL_ONCE + _STAND, log, position="argument"),
        _class("typed", _READ, log, position="typed"),
        _class("typed-fails", _FAIL_ONCE + _READ, log, position="typed"),
    ]


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    with tempfile.TemporaryDirectory(prefix="mesh-once-", ignore_cleanup_errors=True) as text:
        made = Mesh(Path(text), Path(text) / "data")
        (made.folder / "git").mkdir()
        made.up("--allow-no-isolation")
        try:
            yield made
        finally:
            with contextlib.suppress(AssertionError):  # else agents would outlive a failure
                made.kubectl("delete", "agentpods", "--all", "-n", "default", "--timeout=60s")
            made.down()


@pytest.fixture
def log() -> Iterator[Path]:
    """Give a file that agents of every user may append to."""
    with tempfile.TemporaryDirectory(prefix="once-") as folder:
        Path(folder).chmod(0o755)
        file = Path(folder) / "said"
        file.touch()
        file.chmod(0o666)
        yield file


def patiently(step: Callable[[], Any], seconds: float = 120) -> Any:
    """Return what *step* returns, tried again while the mesh is being killed."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return step()
        except AssertionError:
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.2)


class Round:
    """Some pods, and what is wanted of them while the storm blows."""

    def __init__(self, mesh: Mesh, number: int, chance: random.Random) -> None:
        self._mesh = mesh
        self._chance = chance
        self.applied = (threading.Event(), threading.Event())
        """Set once the first, and the other, pods are asked for."""
        self.pods = [
            Pod(f"r{number}-{place}-{kind}", f"do {number}/{place}")
            for place, kind in enumerate(_KINDS * 2)
        ]

    def ask(self) -> None:
        """Apply the pods, half of them later; give some further prompts, stop some for a while."""
        half = len(_KINDS)
        halves = (self.pods[:half], self.pods[half:])
        for pods, applied in zip(halves, self.applied, strict=True):
            self._patient("apply", "-f", "-", stdin=json.dumps(self._manifests(pods)))
            applied.set()
            self._prompt(pods[3], f"more for {pods[3].name}")
            self._stop_for_a_while(pods[-1])

    def _stop_for_a_while(self, stopped: Pod) -> None:
        patiently(lambda: self._started(stopped))
        self._desire(stopped, "Stopped")
        patiently(lambda: self._ended(stopped))
        self._desire(stopped, "Running")

    def _manifests(self, pods: list[Pod]) -> dict[str, Any]:
        items = []
        for pod in pods:
            kind = pod.name.split("-", 2)[2]
            fails = kind.endswith("fails")
            pod.starts = 2 if fails or kind == "stopped" else 1
            pod.due = "Succeeded" if kind == "quick" else "Running"
            spec = {
                "prompt": pod.prompt,
                "sandbox": {"isolation": "none"},
                "restartPolicy": "OnFailure" if fails else "Never",
            }
            items.append(agent_pod(pod.name, "stands" if kind == "stopped" else kind, **spec))
        self._chance.shuffle(items)
        return {"apiVersion": "v1", "kind": "List", "items": items}

    def _patient(self, *words: str, stdin: str | None = None) -> str:
        return str(patiently(lambda: self._mesh.kubectl(*words, stdin=stdin)))

    def _desire(self, pod: Pod, state: str) -> None:
        patch = json.dumps({"spec": {"desiredState": state}})
        words = ("patch", "agentpod", pod.name, "-n", "default", "--type=merge", "-p", patch)
        self._patient(*words)

    def _started(self, pod: Pod) -> None:
        seen = self._mesh.get(pod.name)["status"]
        assert seen.get("phase") in {"Running", *ENDS}, seen.get("phase")

    def _ended(self, pod: Pod) -> None:
        assert self._mesh.get(pod.name)["status"].get("phase") in ENDS

    def _prompt(self, pod: Pod, text: str) -> None:
        """Give a prompt until its end is known, again and again by one key."""
        words = (PROGRAM, "prompt", pod.name, text, "-n", "default", "--key", "more")
        argv = [*words, "--kubeconfig", str(self._mesh.kubeconfig)]

        def told() -> str:
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            failed = done.returncode == 1 and "was not submitted" in done.stderr
            assert done.returncode == 0 or failed, done.stderr
            return "failed" if failed else "submitted"

        pod.later = {text: patiently(told, 300)}

    def settle(self, log: Path) -> list[str]:
        """Wait until all is as it must be; return what is not."""
        deadline = time.monotonic() + 90
        while True:
            with contextlib.suppress(AssertionError):
                self._look()
                found = faults(self.pods, [one for one in lines(log.read_text()) if self._is(one)])
                if not found or time.monotonic() > deadline:
                    return found
            assert time.monotonic() < deadline + 60, "the API server does not answer"
            time.sleep(0.5)

    def _is(self, line: Any) -> bool:
        return line.pod in {pod.name for pod in self.pods}

    def _look(self) -> None:
        """Take over what the API says."""
        found = json.loads(self._mesh.kubectl("get", "agentpods", "-n", "default", "-o", "json"))
        by_name = {item["metadata"]["name"]: item for item in found["items"]}
        for pod in self.pods:
            status = by_name[pod.name].get("status", {})
            conditions = {each["type"]: each for each in status.get("conditions", [])}
            pod.phase = status.get("phase", "")
            pod.reason = conditions.get("Completed", {}).get("reason", "")
            pod.delivered = conditions.get("PromptDelivered", {}).get("status") != "False"

    def forget(self) -> list[str]:
        """Delete the pods; return their uids."""
        names = [pod.name for pod in self.pods]
        words = ("agentpod", *names, "-n", "default")
        found = json.loads(self._patient("get", *words, "-o", "json"))
        self._patient("delete", *words, "--wait=false", "--ignore-not-found")
        return [item["metadata"]["uid"] for item in found["items"]]


def is_asked(applied: threading.Event, asking: Future[None]) -> None:
    """Wait until the pods are asked for; raise what asking for them failed of."""
    until(lambda: applied.is_set() or asking.done(), seconds=400, what="the pods are asked for")
    if asking.done():
        asking.result()


def left(mesh: Mesh, uids: list[str]) -> set[str]:
    """Return those of whom a process or a file is left."""
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            environment = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
            found |= {uid for uid in uids if uid.encode() in environment}
    walk = os.walk(mesh.data)  # unlike rglob it goes on when a directory vanishes meanwhile
    names = {name for _, folders, files in walk for name in folders + files}
    return found | {uid for uid in uids for name in names if uid in name}


def test_a_storm_of_kills_starts_each_agent_once_and_gives_each_prompt_once(
    mesh: Mesh, log: Path
) -> None:
    seed = int(os.environ.get("ONCE_SEED", "") or random.SystemRandom().randrange(1 << 32))
    print(f"ONCE_SEED={seed} ONCE_KILLS={KILLS}")
    chance = random.Random(seed)  # noqa: S311 - it chooses, it hides nothing
    storm = Storm(mesh.data, chance.randrange(1 << 32))
    mesh.apply(*_classes(log))
    uids: list[str] = []
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        for number, to_come in enumerate(range(KILLS, 0, -_A_ROUND)):
            one = Round(mesh, number, chance)
            asking: Future[None] = pool.submit(one.ask)
            kills = min(to_come, _A_ROUND)
            for applied, some in zip(one.applied, (kills // 2, kills - kills // 2), strict=True):
                is_asked(applied, asking)
                storm.blow(some)  # around the starts of these pods
            asking.result(timeout=400)
            found = one.settle(log)
            assert not found, f"seed {seed}, {storm.hits}: {found}"
            uids += one.forget()
            print(f"round {number}: {dict(storm.hits)} {time.monotonic() - began:.0f} s")
    assert storm.hits.total() == KILLS
    if sum(DECK.values()) <= KILLS:
        assert all(storm.hits[what] for what in DECK), f"seed {seed}: {dict(storm.hits)}"
    until(lambda: not left(mesh, uids), seconds=120, what="nothing is left of any pod")
    starts = sum(line.what == "start" for line in lines(log.read_text()))
    print(f"{KILLS} kills {dict(storm.hits)}: {len(uids)} pods, {starts} starts")
