"""Record what the real server answers: ``python -m tests.conformance.record``.

Needs ``KUBEBUILDER_ASSETS``.
"""

import json
import sys
from pathlib import Path

from tests.conformance.scenarios import SCENARIOS
from tests.conformance.world import play, real

FOLDER = Path(__file__).parent / "recorded"


def main() -> None:
    """Write one file a scenario: those that the command line names, or all."""
    with real() as world:
        for name in sys.argv[1:] or SCENARIOS:
            text = json.dumps(play(name, world), indent=1, ensure_ascii=False, sort_keys=True)
            (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
            print(f"recorded {name}")


if __name__ == "__main__":
    main()
