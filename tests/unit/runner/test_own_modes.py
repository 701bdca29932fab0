"""Whatever a pod made of the modes of the runner's files, they are its own and private again."""

import os
from pathlib import Path

import pytest

from runner.converge.journal import Journal
from runner.converge.places import Places
from runner.own_modes import repair

pytestmark = pytest.mark.anyio


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


async def test_what_a_pod_closed_or_opened_is_private_again(tmp_path: Path) -> None:
    places = Places(tmp_path / "runner")
    places.identity.mkdir(parents=True)
    key = places.identity / "key.pem"
    key.write_bytes(b"key")
    journal = Journal(places.journal)
    await journal.open()
    await journal.close()
    for path, wrong in ((key, 0o644), (places.journal, 0), (places.identity, 0o755)):
        path.chmod(wrong)
    places.data_dir.chmod(0o755)
    repair(places)
    assert [mode(path) for path in (key, places.journal)] == [0o600, 0o600]
    assert [mode(path) for path in (places.identity, places.data_dir)] == [0o700, 0o700]


def test_folders_of_pods_can_be_used_again_and_keep_what_else_they_allow(tmp_path: Path) -> None:
    places = Places(tmp_path / "runner")
    worktree = places.pod("00000001-1111") / "worktree"
    script = worktree / "script"
    worktree.mkdir(parents=True)
    script.touch()
    script.chmod(0o751)
    worktree.chmod(0o055)
    places.pods.chmod(0)
    repair(places)
    assert (mode(worktree), mode(script)) == (0o755, 0o751)
    assert mode(places.pods) == 0o700


def test_links_and_files_of_others_stay_as_they_are(tmp_path: Path) -> None:
    places = Places(tmp_path / "runner")
    places.data_dir.mkdir()
    target = tmp_path / "target"
    target.touch()
    target.chmod(0o644)
    (places.data_dir / "link").symlink_to(target)
    repair(places)
    assert mode(target) == 0o644
    if os.geteuid() == 0:
        theirs = places.data_dir / "theirs"
        theirs.touch()
        theirs.chmod(0o644)
        os.chown(theirs, 12345, 12345)
        repair(places)
        assert mode(theirs) == 0o644
