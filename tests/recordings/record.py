"""Makes the recordings with labels anew: ``python -m tests.recordings.record [NAME...]``.

Stubs need nothing; the agents' own programs are those that scripts/agents installs.
"""

import json
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.recordings import agents, stubs
from tests.recordings.recorder import FOLDER, Recorder

LABELS = FOLDER / "labels.json"
_AT_ONCE = 9


def main(names: list[str]) -> int:
    """Record those scenarios, or all."""
    wanted = names or [*stubs.SCENARIOS, *agents.SCENARIOS]
    fresh: dict[str, Any] = {}
    failed = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        done = {name: pool.submit(_record, name) for name in wanted}
        for name, entry in done.items():
            try:
                fresh[name] = entry.result()
                print(name, len(fresh[name]["labels"]), flush=True)
            except Exception as exc:  # noqa: BLE001  the others go on
                failed += 1
                print(f"{name}: {type(exc).__name__}: {exc}", file=sys.stderr, flush=True)
    known = json.loads(LABELS.read_text(encoding="utf-8")) if LABELS.exists() else {}
    known |= fresh
    lines = (f"{json.dumps(name)}: {json.dumps(known[name])}" for name in sorted(known))
    LABELS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return 1 if failed else 0


def _record(name: str) -> dict[str, Any]:
    if name in agents.SCENARIOS:
        return agents.record(name)
    argv, scenario = stubs.SCENARIOS[name]
    with tempfile.TemporaryDirectory(prefix="recording-") as text:
        folder = Path(text)
        (folder / "marked.rc").write_text(stubs.MARKED + "\n")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": text,
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "PS1": "$ ",
        }
        with Recorder(argv, environment, folder) as recorder:
            scenario(recorder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        return recorder.save(name, "stub")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
