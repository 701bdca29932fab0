"""Kubeconfigs are found and read as kubectl does it."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.datadir import DataDir
from cli.errors import CommandError, NotFound
from cli.kubeconfig import Target, load, paths


def document(user: dict[str, Any], **cluster: Any) -> dict[str, Any]:
    return {
        "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": "https://one:6443", **cluster}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "acme"}}],
        "users": [{"name": "u", "user": user}],
    }


def read(folder: Path, user: dict[str, Any], **cluster: Any) -> Target:
    path = folder / "config"
    path.write_text(yaml.safe_dump(document(user, **cluster)), encoding="utf-8")
    return load([path])


def test_a_token_is_taken_as_it_stands(tmp_path: Path):
    target = read(tmp_path, {"token": "secret"})
    assert (target.server, target.namespace) == ("https://one:6443", "acme")
    assert target.authorization == "Bearer secret"
    assert "secret" not in repr(target)


def test_a_token_file_is_found_beside_the_kubeconfig(tmp_path: Path):
    (tmp_path / "token").write_text("from-file\n", encoding="utf-8")
    assert read(tmp_path, {"tokenFile": "token"}).authorization == "Bearer from-file"


def test_a_token_file_of_the_command_line_wins(tmp_path: Path):
    read(tmp_path, {"token": "secret"})
    (tmp_path / "other").write_text("mine", encoding="utf-8")
    target = load([tmp_path / "config"], token_file=str(tmp_path / "other"))
    assert target.authorization == "Bearer mine"


def test_certificates_come_from_data_or_files(tmp_path: Path):
    (tmp_path / "key.pem").write_bytes(b"key")
    data = base64.b64encode(b"cert").decode()
    user = {"client-certificate-data": data, "client-key": "key.pem"}
    ca = base64.b64encode(b"ca").decode()
    target = read(tmp_path, user, **{"certificate-authority-data": ca})
    assert (target.client_certificate, target.client_key) == (b"cert", b"key")
    assert target.ca == b"ca"
    assert target.authorization == ""


def test_several_files_are_merged_and_the_first_wins(tmp_path: Path):
    first, second = document({"token": "one"}), document({"token": "two"})
    second["current-context"] = "d"
    second["contexts"].append({"name": "d", "context": {"cluster": "k", "user": "u"}})
    files = [tmp_path / "missing", tmp_path / "first", tmp_path / "second"]
    files[1].write_text(yaml.safe_dump(first), encoding="utf-8")
    files[2].write_text(yaml.safe_dump(second), encoding="utf-8")
    assert load(files).namespace == "acme"
    other = load(files, context="d")
    assert (other.namespace, other.authorization) == ("default", "Bearer one")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a: [", "is not YAML", id="no YAML"),
        pytest.param("[]", "is not a kubeconfig", id="another document"),
        pytest.param("{}", "current-context", id="no context"),
        pytest.param("current-context: x", "no entry 'x' under contexts", id="unknown context"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(tmp_path: Path, text: str, said: str):
    path = tmp_path / "config"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CommandError, match=said) as caught:
        load([path])
    assert str(path) in str(caught.value)


def test_a_token_that_would_break_the_header_is_refused_and_not_repeated(tmp_path: Path):
    with pytest.raises(CommandError) as caught:
        read(tmp_path, {"token": "se\ncret"})
    assert "cret" not in str(caught.value)


def test_the_order_in_which_kubeconfigs_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    directory = DataDir(tmp_path / "data")
    directory.root.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(NotFound, match="agentsmesh up"):
        paths(None, directory)
    directory.kubeconfig.touch()
    assert paths(None, directory) == [directory.kubeconfig]
    usual = tmp_path / ".kube" / "config"
    usual.parent.mkdir()
    usual.touch()
    assert paths(None, directory) == [usual]
    monkeypatch.setenv("KUBECONFIG", "/a:/b:")
    assert paths(None, directory) == [Path("/a"), Path("/b")]
    assert paths("/named", directory) == [Path("/named")]
