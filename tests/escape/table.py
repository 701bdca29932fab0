"""The table of ways out: what is expected of each, and how the docs show it.

python -m tests.escape.table --record FOLDER    take over what a run with ESCAPE_RECORD found
python -m tests.escape.table                    write it into docs/sandbox.md
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from tests.escape import agent

ROOT: Final = Path(__file__).parents[2]
FILE: Final = Path(__file__).with_name("expected.json")
PAGE: Final = ROOT / "docs/sandbox.md"
BEGIN, END = "<!-- ways out: begin -->", "<!-- ways out: end -->"

COLUMNS: Final = (
    "bubblewrap/root",
    "bubblewrap/user",
    "landlock/root",
    "landlock/user",
    "none/root",
    "none/user",
)
EXPECTED: Final[dict[str, dict[str, str]]] = json.loads(FILE.read_text()) if FILE.exists() else {}

_BY_NETWORK: Final = frozenset({"host_loopback", "interfaces", "abstract_socket", "other_tools"})
_FROM_OUTSIDE: Final = {
    "runner_git": "have the runner's git run its hooks, filters or fsmonitor",
    "runner_held_up": "hold the runner up by FIFOs, links to endless devices and large files",
}


def ways(*, by_network: bool = False) -> dict[str, str]:
    """Return the text of every way by its name, or of those that depend on the network."""
    found = {name: text for name, (text, _) in agent.WAYS.items()} | _FROM_OUTSIDE
    return {name: text for name, text in found.items() if not by_network or name in _BY_NETWORK}


def promised(column: str) -> set[str]:
    """Return the ways that must not lead out there: what is open may be closed on other machines.

    Without a sandbox it depends on the machine what an account can do, and nothing is promised but
    what the runner itself sees to.
    """
    held = {way for way, results in EXPECTED.items() if results.get(column) == "held"}
    return held & {*_FROM_OUTSIDE, "other_tools@host"} if column.startswith("none/") else held


def rows() -> list[str]:
    """Return the lines of the table."""
    heads = [column.replace("/", ", ") for column in COLUMNS]
    lines = [f"| a way out | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for way, results in EXPECTED.items():
        name, _, network = way.partition("@")
        text = ways()[name] + (f" (network {network})" if network else "")
        cells = [_cell(results.get(column, "")) for column in COLUMNS]
        lines.append(f"| {text} | {' | '.join(cells)} |")
    return lines


def _cell(result: str) -> str:
    return {"held": "held", "open": "**open**", "": ""}[result]


def page(text: str) -> str:
    """Return the page with the table as it is now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return "\n".join([before + BEGIN, *rows(), END + after])


def record(folder: Path) -> None:
    """Take over the results of a run."""
    found: dict[str, dict[str, str]] = {}
    columns: dict[str, dict[str, Any]] = {}
    for column in COLUMNS:
        columns[column] = json.loads((folder / f"{column.replace('/', '-')}.json").read_text())
    names = [
        f"{name}@{network}" if name in _BY_NETWORK else name
        for name in ways()
        for network in (("host", "none") if name in _BY_NETWORK else ("",))
    ]
    for name in names:
        found[name] = {c: results[name] for c, results in columns.items() if name in results}
    FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--record"]:
        record(Path(sys.argv[2]))
    else:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
