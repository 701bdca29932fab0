"""What up writes down is read back whole, or not at all."""

import json
from pathlib import Path

import pytest

from cli import processes
from cli.datadir import DataDir
from cli.up.ports import Ports
from cli.up.state import PartState, UpState, read


@pytest.fixture
def written(tmp_path: Path) -> UpState:
    me = processes.me()
    parts = [PartState("runner", "/log", "ready", me, 3, "why"), PartState("apiserver", "/log2")]
    state = UpState(me, "/kubeconfig", Ports(1, 2, 3), embedded=True, ready=True, parts=parts)
    state.write(DataDir(tmp_path))
    return state


def test_it_is_read_back(tmp_path: Path, written: UpState):
    assert read(DataDir(tmp_path)) == written


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"format": 2}', b"\xff\x00"])
def test_nonsense_is_nothing(tmp_path: Path, content: bytes):
    directory = DataDir(tmp_path)
    directory.state.write_bytes(content)
    assert read(directory) is None


def test_damaged_parts_are_left_out(tmp_path: Path, written: UpState):
    directory = DataDir(tmp_path)
    document = json.loads(directory.state.read_bytes())
    document["processes"][0] = {"name": 7}
    directory.state.write_text(json.dumps(document), encoding="utf-8")
    found = read(directory)
    assert found is not None
    assert found.parts == written.parts[1:]
