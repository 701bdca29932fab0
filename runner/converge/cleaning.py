"""Ends and clears what runs of an earlier runner left behind, and only what is ours.

Ours are the control groups below the one that is named after our data directory. A run whose shim
lives goes on; everything else in them was started by a run that is over.
"""

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runner.converge.places import Places
from runner.drivers.cgroups.cgroups import Cgroups, elsewhere
from runner.drivers.terminal_observe import observe
from runner.drivers.terminal_values import Alive
from runner.shim.group import Group

logger = logging.getLogger(__name__)

_NAME: Final = re.compile(
    r"^(?P<uid>[A-Za-z0-9-]+)\.(?P<script>script-)?(?P<major>[0-9]+)-(?P<minor>[0-9]+)$"
)
"""As ``keeping.group_name`` makes them."""
_PATIENCE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.01


def clean_groups(places: Places, cgroups: Cgroups) -> list[str]:
    """Kill and remove every group of ours whose run is over; return their names. Blocking."""
    cleaned = []
    for name, group in _groups(places, cgroups):
        if isinstance(_run(places, name), Alive):
            continue
        if _cleared(group):
            cleaned.append(name)
        else:
            logger.error("a control group cannot be removed", extra={"group": name})
    if cleaned:
        logger.info("cleared what earlier runs left", extra={"groups": len(cleaned)})
    return cleaned


def _groups(places: Places, cgroups: Cgroups) -> Iterator[tuple[str, Group]]:
    for name in cgroups.names():
        yield name, cgroups.group(name)
    for group in elsewhere(places.data_dir, cgroups):
        path = Path(group.directories[0])
        if _NAME.match(path.name):
            yield path.name, group
        elif not any(each.is_dir() for each in path.iterdir()):
            group.remove()  # the root of groups that are all gone


def _run(places: Places, name: str) -> object:
    """Return what is known of the run that the group is named after; None: it is no run's."""
    found = _NAME.match(name)
    if found is None:
        return None
    try:
        place = places.script if found["script"] else places.run
        run_dir = place(found["uid"], int(found["major"]), int(found["minor"]))
    except ValueError:
        return None
    return observe(run_dir)


def _cleared(group: Group) -> bool:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not group.remove():
        if time.monotonic() > deadline:
            return False
        group.kill()
        time.sleep(_PAUSE_SECONDS)  # while they die
    return True
