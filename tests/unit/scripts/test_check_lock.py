"""The lock is made for these dependencies, hashed throughout, and names no host."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from scripts.check_lock import ROOT, digest, problems

HASH = "    --hash=sha256:" + "0" * 64


@pytest.fixture
def project() -> dict[str, Any]:
    return {
        "build-system": {"requires": ["hatchling"]},
        "project": {"dependencies": ["kopf>=1.45"], "optional-dependencies": {"dev": ["Ruff"]}},
    }


@pytest.fixture
def lock(project: dict[str, Any]) -> str:
    pins = ("hatchling==1.0", "kopf==1.46", "ruff==0.1")
    lines = [f"# Generated from pyproject.toml (sha256 {digest(project)}) by scripts/lock."]
    for pin in pins:
        lines += [f"{pin} \\", HASH, "    # via agentsmesh (pyproject.toml)"]
    return "\n".join(lines) + "\n"


def test_a_lock_that_fits_is_fine(project: dict[str, Any], lock: str):
    assert list(problems(project, lock)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param("kopf==1.46", "kopf==1.44", "kopf 1.44 does not fit >=1.45", id="too old"),
        pytest.param("ruff==0.1", "tuff==0.1", "Ruff is missing", id="one is missing"),
        pytest.param("(sha256 ", "(sha256 0", "other dependency lists", id="made from others"),
        pytest.param(HASH, "    # no hash", "has no hash", id="without hashes"),
        pytest.param("kopf==1.46 \\", "kopf @ file:///x \\", "names a host", id="a local file"),
        pytest.param("hatchling==1.0", "--index-url https://x", "names a host", id="an index"),
    ],
)
def test_what_is_wrong_is_said(project: dict[str, Any], lock: str, old: str, new: str, said: str):
    found = " ".join(problems(project, lock.replace(old, new)))
    assert said in found


def test_the_one_that_is_committed_fits():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert list(problems(project, Path(ROOT / "requirements.lock").read_text("utf-8"))) == []
