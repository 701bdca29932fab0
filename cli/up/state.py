"""What `up` writes down about itself, for `status`, `down` and the next `up`."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from cli.datadir import DataDir, read_json, write_private
from cli.processes import Process
from cli.up.ports import Ports

_FORMAT: Final = 1


@dataclass(slots=True)
class PartState:
    """One supervised process."""

    name: str
    log: str
    state: str = "waiting"
    """waiting, starting, ready, restarting, stopping or stopped."""
    process: Process | None = None
    restarts: int = 0
    message: str = ""
    """Why it is not ready, if there is something to say."""

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "pid": self.process.pid if self.process else 0,
            "started": self.process.started if self.process else "",
            "state": self.state,
            "restarts": self.restarts,
            "message": self.message,
            "log": self.log,
        }

    @classmethod
    def of(cls, document: Any) -> "PartState | None":
        """Return what :meth:`document` made *document* from; None if it is nothing such."""
        match document:
            case {"name": str(name), "log": str(log), "state": str(state)}:
                process = Process.of(document)
                restarts, message = document.get("restarts"), document.get("message")
                return cls(
                    name,
                    log,
                    state,
                    process,
                    restarts if isinstance(restarts, int) else 0,
                    message if isinstance(message, str) else "",
                )
            case _:
                return None


@dataclass(slots=True)
class UpState:
    """Everything that `up` knows about what it runs."""

    supervisor: Process
    kubeconfig: str
    ports: Ports
    embedded: bool
    ready: bool = False
    """Whether everything was ready once: from then on parts may come and go."""
    parts: list[PartState] = field(default_factory=list)

    def write(self, directory: DataDir) -> None:
        """Write it into *directory*, whole.

        Raises:
            OSError: The disk is full, or the like.
        """
        document = {
            "format": _FORMAT,
            "supervisor": self.supervisor.document(),
            "kubeconfig": self.kubeconfig,
            "ports": asdict(self.ports),
            "embedded": self.embedded,
            "ready": self.ready,
            "processes": [part.document() for part in self.parts],
        }
        write_private(directory.state, json.dumps(document, indent=1).encode())


def read(directory: DataDir) -> UpState | None:
    """Return what the latest `up` on *directory* wrote; None if there was none."""
    document = read_json(directory.state)
    supervisor = Process.of(document.get("supervisor"))
    if supervisor is None or document.get("format") != _FORMAT:
        return None
    kept = document.get("ports") or {}
    parts = [PartState.of(entry) for entry in document.get("processes", [])]
    return UpState(
        supervisor,
        str(document.get("kubeconfig", "")),
        Ports(**{name: int(kept.get(name, 0)) for name in asdict(Ports())}),
        bool(document.get("embedded")),
        bool(document.get("ready")),
        [part for part in parts if part is not None],
    )
