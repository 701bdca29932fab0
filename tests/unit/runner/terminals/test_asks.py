"""What cannot be answered is refused with a sentence, before anything is touched."""

from pathlib import Path
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from runner.converge.places import Places
from runner.converge.states import Row, State
from runner.terminals.asks import TerminalAsks

pytestmark = pytest.mark.anyio

FROZEN = {"suspended": True, "frozen_at_ms": 5}


class Untouched:
    """Fails on any use but to be asked whether it holds a pod."""

    def __contains__(self, uid: str) -> bool:
        return True


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param({"text": link_pb2.TypeText(data=b"rm x")}, id="text"),
        pytest.param({"keys": link_pb2.PressKeys(keys=["Enter"])}, id="keys"),
    ],
)
async def test_nothing_is_typed_into_a_suspended_pod(tmp_path: Path, ask: dict[str, Any]) -> None:
    row = Row("pod-a1", 1, "acme", "one", State.RUNNING, **FROZEN)  # type: ignore[arg-type]
    nobody: Any = Untouched()
    asks = TerminalAsks(lambda: {"pod-a1": row}, Places(tmp_path), nobody, nobody)
    ref = link_pb2.PodRef(pod_uid="pod-a1", epoch=1)
    answer = await asks.answer(link_pb2.AskDown(ref=ref, **ask))
    assert answer.failed.reason == "NotRunning"
    assert "suspended" in answer.failed.message
