"""``python -m bench [NAME...]``: run the benchmarks and print one table."""

import importlib
import sys

from bench.report import Row, markdown

NAMES = (
    "start",
    "burst",
    "terminal",
    "memory",
    "apiserver",
    "messages",
    "tools",
    "front",
    "observe",
    "activity",
    "worktree",
    "many",
    "gitops",
)


def main(names: list[str]) -> int:
    """Run the named benchmarks, all of them if none is named."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        sys.stderr.write(f"unknown benchmark {unknown[0]!r}; there are: {', '.join(NAMES)}\n")
        return 2
    rows: list[Row] = []
    failed = False
    for name in names or NAMES:
        sys.stderr.write(f"bench {name} …\n")
        try:
            rows += importlib.import_module(f"bench.{name}").measure()
        except (RuntimeError, OSError) as exc:
            failed = True
            sys.stderr.write(f"bench {name} failed: {exc}\n")
    print(markdown(rows))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
