"""A run's MCP server as its agent is to see it."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from runner.drivers.mcp_formats import Format, Given
from runner.drivers.mcp_server import equip, mcp_server
from runner.drivers.terminal_values import Inside

URL = "http://127.0.0.1:19000/mcp"
SETTINGS = ".gemini/settings.json"


def test_every_run_has_a_token_of_its_own_and_only_its_hash_is_told() -> None:
    one, two = mcp_server(inside=True), mcp_server(inside=True)
    assert one.token != two.token
    assert len(one.token) == 43  # 256 bits
    launch = one.launch(Inside.BUBBLEWRAP)
    assert launch.token_sha256 == hashlib.sha256(one.token.encode()).hexdigest()
    assert one.token not in repr((one, launch))
    assert one.environment == {"AGENTSMESH_MCP_URL": URL, "AGENTSMESH_MCP_TOKEN": one.token}


def test_the_address_is_the_real_one() -> None:
    server = mcp_server(inside=False, first_port=0)
    assert server.listener is not None
    assert server.url == f"http://127.0.0.1:{server.listener.port}/mcp"
    assert server.launch(None).where is server.listener
    server.listener.close()


def test_a_sandbox_that_makes_no_socket_is_noticed() -> None:
    with pytest.raises(ValueError, match="makes no socket"):
        mcp_server(inside=True).launch(None)


def test_what_an_agent_has_set_for_itself_outlives_a_restart(tmp_path: Path) -> None:
    given = Given(URL, tmp_path)
    equip(Format.GEMINI, given)
    file = tmp_path / SETTINGS
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(json.dumps(json.loads(file.read_text()) | {"theme": "dark"}))
    equip(Format.GEMINI, Given("http://127.0.0.1:19001/mcp", tmp_path))
    found = json.loads(file.read_text())
    assert found["theme"] == "dark"
    assert found["mcpServers"]["agentsmesh"]["httpUrl"] == "http://127.0.0.1:19001/mcp"


def test_what_the_class_gives_comes_before_what_the_agent_has_set(tmp_path: Path) -> None:
    (tmp_path / ".gemini").mkdir()
    (tmp_path / SETTINGS).write_text('{"theme": "dark"}')
    equip(Format.GEMINI, Given(URL, tmp_path, {}, {f"./{SETTINGS}": '{"theme": "light"}'}))
    assert json.loads((tmp_path / SETTINGS).read_text())["theme"] == "light"


@pytest.mark.parametrize("spoiled", ["not json", "link", "pipe", "large", "latin"])
def test_settings_that_an_agent_has_spoiled_are_replaced(tmp_path: Path, spoiled: str) -> None:
    folder, secret = tmp_path / "home" / ".gemini", tmp_path / "secret.json"
    secret.write_text('{"canary": 1}')
    folder.mkdir(parents=True)
    file = folder / "settings.json"
    match spoiled:
        case "not json":
            file.write_text("{")
        case "link":
            file.symlink_to(secret)
        case "pipe":
            os.mkfifo(file)
        case "large":
            file.write_text('{"canary": "' + "x" * 2**20 + '"}')
        case "latin":
            file.write_bytes(b'{"canary": "\xe4"}')
    equip(Format.GEMINI, Given(URL, tmp_path / "home"))
    assert set(json.loads(file.read_text())) == {"mcpServers"}
    assert file.is_file()
    assert not file.is_symlink()
    assert secret.read_text() == '{"canary": 1}'
