"""A whole mesh as a user starts it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Mesh, agent_class, make_origin, repository, until


@pytest.fixture(scope="session")
def _mesh() -> Iterator[Mesh]:
    """Start a mesh with a repository ``origin`` and a class ``idle``; stop it afterwards."""
    with tempfile.TemporaryDirectory(prefix="mesh-e2e-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        made = Mesh(folder, folder / "data")
        origin = make_origin(folder / "git")
        made.up()
        try:
            made.apply(
                repository("origin", f"file://{origin}"),
                agent_class("idle", "exec sleep 100000"),
            )
            yield made
            made.kubectl("delete", "agentpods", "--all", "-n", "default", "--timeout=60s")
        finally:
            made.down()


@pytest.fixture
def mesh(_mesh: Mesh) -> Mesh:
    """Give the mesh that all tests share, every process of it ready."""
    until(_mesh.all_ready, seconds=60, what="the mesh is ready")
    return _mesh
