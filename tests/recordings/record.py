"""Makes the recordings with labels anew: ``python -m tests.recordings.record SET [NAME...]``.

SET is ``activity``, which patterns are tuned on, or ``heldout``, which they are not. Stubs need
nothing; the agents' own programs are those that scripts/agents installs.
"""

import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.recordings import agents, heldout, heldout_stubs, stubs
from tests.recordings.recorder import Recorder

FOLDER = Path(__file__).parent
_AT_ONCE = 9
_SIZE = (120, 40)


def main(chosen: str, names: list[str]) -> int:
    """Record those scenarios of a set, or all."""
    folder = FOLDER / chosen
    wanted = names or [*_stubs(chosen), *_agents(chosen)]
    fresh: dict[str, Any] = {}
    failed = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        done = {name: pool.submit(_record, chosen, name) for name in wanted}
        for name, entry in done.items():
            try:
                fresh[name] = entry.result()
                print(name, len(fresh[name]["labels"]), flush=True)
            except Exception as exc:  # noqa: BLE001  the others go on
                failed += 1
                print(f"{name}: {type(exc).__name__}: {exc}", file=sys.stderr, flush=True)
    path = folder / "labels.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known |= fresh
    lines = (f"{json.dumps(name)}: {json.dumps(known[name])}" for name in sorted(known))
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return 1 if failed else 0


def _agents(chosen: str) -> dict[str, agents.Plan]:
    return heldout.AGENTS if chosen == "heldout" else agents.SCENARIOS


def _stubs(chosen: str) -> dict[str, tuple[list[str], stubs.Scenario, tuple[int, int]]]:
    if chosen == "heldout":
        return heldout_stubs.STUBS
    return {name: (argv, scenario, _SIZE) for name, (argv, scenario) in stubs.SCENARIOS.items()}


def _record(chosen: str, name: str) -> dict[str, Any]:
    if name in _agents(chosen):
        return agents.record(FOLDER / chosen, name, _agents(chosen)[name])
    argv, scenario, size = _stubs(chosen)[name]
    with tempfile.TemporaryDirectory(prefix="recording-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        (folder / "marked.rc").write_text(stubs.MARKED + "\n")
        (folder / "page.1").write_text(heldout_stubs.PAGE)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": text,
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "PS1": "$ ",
        }
        with Recorder(argv, environment, folder, size) as recorder:
            scenario(recorder)
        return recorder.save(FOLDER / chosen, name, "stub")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
