"""The page of the tools is what the catalogue says."""

import re
from pathlib import Path

import pytest

from runner.mcpserver.ports import Limits
from schemas.tools import docgen
from schemas.tools.base import json_schema
from schemas.tools.catalogue import CATALOGUE


def test_the_committed_page_is_what_the_catalogue_generates():
    assert docgen.FILE.read_text(encoding="utf-8") == docgen.rendered()
    assert docgen.main(["--check"]) == 0


def test_an_outdated_page_is_noticed_and_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(docgen, "FILE", tmp_path / "mcp-tools.md")
    assert docgen.main(["--check"]) == 1
    assert docgen.main([]) == 0
    assert docgen.main(["--check"]) == 0
    assert "python -m schemas.tools.docgen" in capsys.readouterr().err


def section(name: str) -> str:
    return docgen.page().partition(f"### `{name}`")[2].partition("\n### ")[0]


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_argument_and_field_has_a_row(name: str):
    tool = CATALOGUE[name]
    arguments, _, results = section(name).partition("| result |")
    for text, model in ((arguments, tool.arguments), (results, tool.result)):
        schema = json_schema(model)
        for field, node in schema["properties"].items():
            mark = "" if field in schema.get("required", ()) else r"\?"
            row = re.search(rf"^\| `{field}`{mark} \| .+ \| (.*) ?\|$", text, re.MULTILINE)
            assert row, field
            assert " ".join(node.get("description", "").split()) in row[1]
    assert (f"`{tool.scope}`" in arguments) == (tool.scope is not None)


def test_bounds_and_defaults_are_said():
    assert "| `lines`? | integer, 1 to 10,000 = `50` |" in section("observe_terminal")
    assert "| `text` | string, 1 to 65,536 |" in section("send_terminal_text")
    assert "list of string, 1 to 32, 1 to 64 |" in section("send_terminal_key")
    assert "`permission_mode`? | `plan` `default`" in section("create_pod")


def test_the_limits_are_those_of_the_runner():
    limits, page = Limits(), docgen.page()
    (row,) = [line for line in page.splitlines() if line.startswith("| limits |")]
    assert limits.body_bytes == 1024 * 1024 + 64 * 1024
    assert [int(number) for number in re.findall(r"\d+", row)] == [
        1,
        64,
        int(limits.call_seconds),
        limits.calls,
        int(limits.turn_seconds),
        limits.connections,
        int(limits.requests_per_second),
    ]


def test_the_page_is_text_without_control_characters():
    assert all(char.isprintable() or char == "\n" for char in docgen.rendered())
