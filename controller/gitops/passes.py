"""What passes of all sources have in common: what they share, and how they end."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from controller.gitops.writing import Writer
from controller.kernel.events import Recorder
from controller.kernel.store import Store


class Ending(Enum):
    """How a pass ended."""

    WHOLE = auto()
    """Everything that can be applied is."""
    AGAIN = auto()
    """Something is left to be done at once: a new commit came, or somebody was faster."""
    FAILED = auto()
    """The repository or the API server could not be asked, or refused."""


@dataclass(frozen=True, slots=True)
class Around:
    """What all sources share."""

    store: Store
    kube: Writer
    recorder: Recorder
    wall: Callable[[], float]
    ticks: Callable[[], float]
