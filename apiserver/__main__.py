"""Start the embedded API server: `python -m apiserver --data-dir DIR --kubeconfig FILE`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Final

import uvloop
from typing_extensions import override

from apiserver.server import Server, Settings, StartError, bind, data_directory

_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _JsonLines(logging.Formatter):
    """One JSON object for each record."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _PLAIN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="apiserver", description="A single-node Kubernetes API server, on loopback only."
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="where everything is kept")
    parser.add_argument(
        "--port", type=int, default=6443, help="port on 127.0.0.1; 0 for any free one (6443)"
    )
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        help="where the administrator's kubeconfig is written (DIR/kubeconfig)",
    )
    parser.add_argument("--log-file", type=Path, help="log to this file instead of stderr")
    return parser.parse_args(argv)


def _log_to(path: Path | None) -> None:
    handler: logging.Handler = logging.FileHandler(path) if path else logging.StreamHandler()
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy in ("uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _announce(url: str) -> None:
    print(f"ready {url}", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run the server; return the exit status."""
    arguments = _arguments(argv)
    data_dir: Path = arguments.data_dir.absolute()
    settings = Settings(
        data_dir, arguments.port, (arguments.kubeconfig or data_dir / "kubeconfig").absolute()
    )
    try:
        with data_directory(data_dir):
            _log_to(arguments.log_file)
            server = Server(settings, bind(settings.port))
            uvloop.run(server.serve(_announce))
    except StartError as exc:
        print(exc, file=sys.stderr)
        return 1
    except OSError as exc:
        print(f"The API server cannot go on: {exc}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
