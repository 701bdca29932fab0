"""Starts a runner: ``python -m runner --data-dir DIR --controller HOST:PORT …``."""

import sys

from runner.daemon import StartError, run
from runner.settings import parse


def main() -> int:
    """Run until told to stop; return the exit status."""
    try:
        run(parse(sys.argv[1:]))
    except StartError as exc:
        print(f"runner: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
