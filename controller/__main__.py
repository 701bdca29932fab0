"""Starts the controller: ``python -m controller --kubeconfig FILE --data-dir DIR …``."""

import os
import sys

from controller.app import StartError, run
from controller.settings import parse


def main() -> int:
    """Run until told to stop; return the exit status."""
    try:
        run(parse(sys.argv[1:], os.environ))
    except StartError as exc:
        print(f"controller: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
