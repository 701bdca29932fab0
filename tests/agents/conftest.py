"""A mesh whose runner finds the agents' own command lines, and the model they speak to."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.classes import AGENTS, SEARCH_PATH
from tests.agents.fakemodel import FakeModel
from tests.e2e.harness import Mesh, repository, run

# OpenCode adds the schema to a file that lacks it.
OPENCODE_JSON = '{"$schema": "https://opencode.ai/config.json", "instructions": []}\n'


@pytest.fixture(scope="session")
def model() -> Iterator[FakeModel]:
    """Run the model."""
    with FakeModel() as running:
        yield running


@pytest.fixture(scope="session")
def mesh() -> Iterator[Mesh]:
    """Start a mesh with a repository that has settings of its own for each agent."""
    missing = [name for name in AGENTS if not any((at / name).exists() for at in SEARCH_PATH)]
    assert not missing, f"{missing} are not installed: run scripts/agents"
    with tempfile.TemporaryDirectory(prefix="mesh-agents-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        made = Mesh(folder, folder / "data")
        origin = _origin(folder / "git")
        path = os.environ["PATH"]
        os.environ["PATH"] = os.pathsep.join([*map(str, SEARCH_PATH), path])
        try:
            made.up()
        finally:
            os.environ["PATH"] = path
        try:
            made.apply(repository("origin", f"file://{origin}"))
            yield made
            made.kubectl("delete", "agentpods", "--all", "-n", "default", "--timeout=60s")
        finally:
            made.down()


def _origin(folder: Path) -> Path:
    """Make a bare repository that brings settings for each agent."""
    work, bare = folder / "seed", folder / "origin.git"
    (work / ".gemini").mkdir(parents=True)
    (work / ".mcp.json").write_text('{"mcpServers": {"theirs": {"command": "/bin/false"}}}\n')
    (work / ".gemini" / "settings.json").write_text('{"ui": {"hideTips": true}}\n')
    (work / "opencode.json").write_text(OPENCODE_JSON)
    git = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.invalid")
    run(*git, "init", "-q", "-b", "main", ".", cwd=work)
    run(*git, "add", ".", cwd=work)
    run(*git, "commit", "-qm", "Begin", cwd=work)
    run("git", "clone", "-q", "--bare", str(work), str(bare))
    return bare
