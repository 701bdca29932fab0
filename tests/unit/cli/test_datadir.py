"""The data directory is private, written whole, and held by one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli import datadir
from cli.datadir import DataDir, default_root, held, holder, read_json, write_private
from cli.errors import CommandError


def test_where_it_is_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("AGENTSMESH_DATA_DIR", str(tmp_path / "named"))
    assert default_root() == tmp_path / "named"
    monkeypatch.delenv("AGENTSMESH_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert default_root() == tmp_path / "xdg" / "agentsmesh"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_root() == tmp_path / ".local" / "share" / "agentsmesh"


def test_it_is_made_for_its_owner_alone(tmp_path: Path):
    directory = DataDir(tmp_path / "a" / "b")
    directory.prepare()
    directory.prepare()
    for path in (directory.root, directory.logs):
        assert path.stat().st_mode & 0o777 == 0o700


def test_what_a_pod_made_of_the_modes_is_private_again(tmp_path: Path):
    directory = DataDir(tmp_path / "data")
    directory.prepare()
    key = directory.of("apiserver") / "tls" / "ca.key"
    key.parent.mkdir(parents=True)
    write_private(key, b"key")
    write_private(directory.kubeconfig, b"token")
    for path in (directory.root, directory.of("apiserver"), key.parent):
        path.chmod(0o755)
    directory.kubeconfig.chmod(0o644)
    key.chmod(0)
    directory.prepare()
    for path in (directory.root, directory.of("apiserver"), key.parent):
        assert path.stat().st_mode & 0o777 == 0o700
    for path in (directory.kubeconfig, key):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_directory_of_somebody_else_is_refused_and_left_as_it_is(tmp_path: Path):
    tmp_path.chmod(0o755)
    (tmp_path / "letters").mkdir()
    with pytest.raises(CommandError, match="is not empty"):
        DataDir(tmp_path).prepare()
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["letters"]


def test_a_file_in_the_way_is_said_in_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(CommandError, match=r"cannot be used .*--data-dir"):
        DataDir(tmp_path / "file" / "data").prepare()


def test_writing_is_whole_and_private(tmp_path: Path):
    path = tmp_path / "x.json"
    write_private(path, b'{"a": 1}')
    write_private(path, b'{"a": 2}')
    assert read_json(path) == {"a": 2}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "x.json"
    write_private(path, b"{}")
    (tmp_path / f".x.json.{os.getpid()}").mkdir()  # in the way of the scratch file
    with pytest.raises(OSError, match="directory"):
        write_private(path, b"new")
    assert path.read_bytes() == b"{}"


def test_two_cannot_hold_it_and_the_holder_is_named(tmp_path: Path):
    directory = DataDir(tmp_path / "data")
    directory.prepare()
    code = (
        "import sys; from pathlib import Path; from cli.datadir import DataDir, held\n"
        "with held(DataDir(Path(sys.argv[1]))):\n print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(directory.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(datadir.__file__).parent.parent,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        found = holder(directory)
        assert found is not None
        assert found.pid == other.pid
        with pytest.raises(CommandError, match=f"already .*process {other.pid}"), held(directory):
            pass
        other.kill()
        other.wait(10)
    assert holder(directory) is None
    with held(directory):
        assert directory.lock.read_text() == f"{os.getpid()}\n"


def test_a_directory_is_named_for_the_shell_unless_it_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AGENTSMESH_DATA_DIR", str(tmp_path))
    assert DataDir(tmp_path).option == ""
    assert DataDir(tmp_path / "a b").option == f" --data-dir '{tmp_path}/a b'"
