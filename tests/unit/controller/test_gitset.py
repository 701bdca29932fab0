"""What the sync with git keeps on the disk, over starts of the controller."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from controller.gitset import INDEX_FILE, MIRRORS, GitSettings, opened
from controller.kernel.events import Recorder
from controller.placement.indexes import new_store
from schemas.names import GIT_SOURCE
from tests.unit.controller.kube_memory import MemoryKube

pytestmark = pytest.mark.anyio


def _mirror(folder: Path, uid: str) -> Path:
    repository = folder / MIRRORS / uid / "repo.git"
    repository.mkdir(parents=True)
    (repository / "HEAD").write_text("ref: refs/heads/main\n", encoding="ascii")
    return repository


@pytest.mark.parametrize("remembered", [True, False], ids=["index kept", "index lost"])
async def test_mirrors_of_sources_that_went_while_the_controller_was_down_are_deleted(
    tmp_path: Path, *, remembered: bool
) -> None:
    kube: Any = MemoryKube()
    store = new_store()
    made = await kube.create(
        GIT_SOURCE,
        "acme",
        {"metadata": {"name": "plan"}, "spec": {"repositoryRef": {"name": "shop"}}},
    )
    store.apply(GIT_SOURCE.kind, made)
    kept = _mirror(tmp_path, made["metadata"]["uid"])
    gone = _mirror(tmp_path, str(uuid4()))
    theirs = _mirror(tmp_path, "notes")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / MIRRORS / str(uuid4())).symlink_to(tmp_path / "elsewhere")
    settings, recorder = GitSettings(tmp_path), Recorder(kube)
    for epoch in (1, 2):
        async with opened(
            settings, epoch, store=store, kube=kube, recorder=recorder, touch=lambda _: None
        ):
            assert not gone.parent.exists()
            assert kept.exists()
            assert theirs.exists()
            assert (tmp_path / "elsewhere").exists()
        if not remembered:
            (tmp_path / INDEX_FILE).unlink()
        gone = _mirror(tmp_path, str(uuid4()))
