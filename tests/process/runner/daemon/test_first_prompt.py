"""The first prompt of a pod: given once in its life, whatever ends in between, and said to be."""

import asyncio
import os
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from meshwire.v1 import link_pb2

pytestmark = [pytest.mark.anyio, pytest.mark.faults]

ENTRY = Path(__file__).with_name("crashing_runner.py")
PROMPT = 'say "it\'s" $(now)'
SCRIPT = """
echo start $$ >> {file}
if [ "$1" = --prompt ]; then shift; fi
if [ -n "$1" ]; then printf 'prompt %s\\n' "$1" >> {file}; fi
echo ready; while IFS= read -r line; do printf 'prompt %s\\n' "$line" >> {file}; done
"""
POSITIONS = {
    "argument": link_pb2.PROMPT_ARGUMENT,
    "flag": link_pb2.PROMPT_FLAG,
    "typed": link_pb2.PROMPT_TYPED,
}


class Agent:
    """A pod with a prompt, and what its agents have written down."""

    def __init__(self, pod: Any, folder: Path, position: str) -> None:
        self.uid = f"pod-{uuid.uuid4()}"  # leftovers are found by it
        self._make = pod
        self._file = folder / "said"
        self._position = position
        self.resumed_with: bool | None = None
        """Whether the prompt is given again to a run that goes on; None: the class says nothing."""

    def wanted(self, epoch: int = 1, desired: int = link_pb2.RUN) -> Any:
        def more(message: link_pb2.PodDesired) -> None:
            spec = message.spec
            spec.prompt, spec.prompt_position = PROMPT, POSITIONS[self._position]
            spec.prompt_flag = "--prompt" if self._position == "flag" else ""
            spec.restart_policy = link_pb2.RESTART_ON_FAILURE
            spec.args.append("agent")
            if self.resumed_with is not None:
                spec.resume.prompt = self.resumed_with
            message.keep_stopped = desired == link_pb2.STOP

        script = SCRIPT.format(file=self._file)
        return self._make(self.uid, script, epoch=epoch, desired=desired, grace=1, more=more)

    def starts(self) -> list[int]:
        return [int(line.split()[1]) for line in self._lines() if line.startswith("start ")]

    def prompts(self) -> list[str]:
        return [line for line in self._lines() if line.startswith("prompt ")]

    def _lines(self) -> list[str]:
        return self._file.read_text().splitlines() if self._file.exists() else []


async def until(claim: Callable[[], Any]) -> None:
    async with asyncio.timeout(40):
        while not claim():
            await asyncio.sleep(0.05)


async def connected(controller: Any, daemon: Any) -> None:
    before = len(controller.sessions)
    await daemon.start()
    await controller.until(lambda: len(controller.sessions) > before and controller.live)


async def settled(controller: Any) -> None:
    """Wait until whatever the runner would do wrongly, it would have done."""
    beats = controller.beats
    await controller.until(lambda: controller.beats > beats + 4)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize(
    "step", ["before-starting", "after-starting", "asked", "spawned", "before-running"]
)
async def test_conv_02_a_crash_at_any_step_gives_the_prompt_once(
    controller: Any, daemon: Any, pod: Any, tmp_path: Path, position: str, step: str
) -> None:
    agent = Agent(pod, tmp_path, position)
    controller.pods = [agent.wanted()]
    await daemon.start(entry=(str(ENTRY), step, str(tmp_path), "--"))
    assert await daemon.ended(30) == -signal.SIGKILL
    controller.observed.clear()
    await connected(controller, daemon)
    seen = await controller.until_state(agent.uid, link_pb2.RUNNING)
    await until(agent.prompts)
    await settled(controller)
    assert (len(agent.starts()), seen.restarts) == (1, 0)
    assert agent.prompts() == [f"prompt {PROMPT}"]
    assert controller.observed[agent.uid].prompt_given


@pytest.mark.parametrize("position", POSITIONS)
async def test_a_prompt_is_given_once_over_restarts_stops_and_placements(
    controller: Any, daemon: Any, pod: Any, tmp_path: Path, position: str
) -> None:
    agent = Agent(pod, tmp_path, position)
    await connected(controller, daemon)
    await controller.want(agent.wanted())
    await until(agent.prompts)
    os.kill(agent.starts()[-1], signal.SIGKILL)  # a failure: it is restarted
    await until(lambda: len(agent.starts()) == 2)
    await settled(controller)
    await controller.want(agent.wanted(desired=link_pb2.STOP))
    await controller.until_state(agent.uid, link_pb2.FAILED)
    await daemon.kill()
    await connected(controller, daemon)
    await controller.want(agent.wanted())  # a person wants it again
    await until(lambda: len(agent.starts()) == 3)
    await settled(controller)
    await daemon.kill()
    await connected(controller, daemon)
    await controller.want(agent.wanted(epoch=2))  # it is placed anew
    await until(lambda: len(agent.starts()) == 4)
    await settled(controller)
    assert agent.prompts() == [f"prompt {PROMPT}"]
    assert len(set(agent.starts())) == 4
    assert controller.observed[agent.uid].prompt_given


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize("position", ["argument", "typed"])
async def test_only_a_class_that_says_so_has_its_prompt_given_again(
    controller: Any,
    daemon: Any,
    pod: Any,
    tmp_path: Path,
    position: str,
    again: bool,  # noqa: FBT001 - a column of the table
) -> None:
    agent = Agent(pod, tmp_path, position)
    agent.resumed_with = again
    await connected(controller, daemon)
    await controller.want(agent.wanted())
    await until(agent.prompts)
    os.kill(agent.starts()[-1], signal.SIGKILL)
    await until(lambda: len(agent.starts()) == 2)
    if again:
        await until(lambda: len(agent.prompts()) == 2)
    await settled(controller)
    assert agent.prompts() == [f"prompt {PROMPT}"] * (2 if again else 1)


@pytest.mark.parametrize("position", POSITIONS)
async def test_a_prompt_waits_for_the_first_run_that_can_take_it(
    controller: Any, daemon: Any, pod: Any, tmp_path: Path, position: str
) -> None:
    agent = Agent(pod, tmp_path, position)
    wanted = agent.wanted()
    more = wanted.more

    def missing(message: link_pb2.PodDesired) -> None:
        more(message)
        message.spec.executable = "no-such-program"

    wanted.more = missing
    await connected(controller, daemon)
    await controller.want(wanted)
    seen = await controller.until_state(agent.uid, link_pb2.FAILED)
    assert (seen.reason, seen.prompt_given) == ("ExecutableNotFound", False)
    await controller.want(agent.wanted(epoch=2))
    await until(agent.prompts)
    assert agent.prompts() == [f"prompt {PROMPT}"]
