"""``agentsmesh plan``: read everything, make the plan, print it, say how it went by the exit code.

* 0  the plan was made, and nothing of what ``--fail-on`` names is in it
* 1  something of it is, or the plan could not be made
"""

import asyncio
import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from cli.api import Api
from cli.datadir import locate
from cli.kubeconfig import load, paths
from cli.plan.cluster import Cluster, Reader, check_namespace, read
from cli.plan.document import document
from cli.plan.drawn import draw
from cli.plan.made import make, needs_programs
from cli.plan.place import Commit, Place, also, found
from cli.plan.settings import Settings, choose
from cli.plan.text import text
from cli.plan.values import Action, Fate, Origin, Plan
from controller.gitops.keeper import is_suspended

_API_SECONDS: Final = 60.0

FAILS: Final[Mapping[str, Callable[[Plan], bool]]] = {
    "refused": lambda plan: plan.refused,
    "held": lambda plan: plan.held is not None,
    "change": lambda plan: plan.changes,
    "delete": lambda plan: any(c.action in {Action.DELETE, Action.CANCEL} for c in plan.changed),
    "drift": lambda plan: any(c.action is Action.REVERT for c in plan.changed),
    "wait": lambda plan: any(p.fate in {Fate.WAITS, Fate.CONTESTED} for p in plan.pods),
    "stop": lambda plan: any(p.fate is Fate.STOPS for p in plan.pods),
    "unread": lambda plan: bool(plan.unread),
}
"""What the exit code can be made to depend on."""


def plan(arguments: Namespace) -> int:
    """Print the plan; return its exit code.

    Raises:
        CommandError: It cannot be made.
    """
    target = load(
        paths(arguments.kubeconfig, locate(arguments.data_dir)),
        context=arguments.context,
        token_file=arguments.token_file,
    )
    namespace = arguments.namespace or target.namespace
    made = planned(
        Api(target, timeout_seconds=_API_SECONDS), namespace, arguments.source, arguments.name
    )
    if arguments.output == "json":
        print(json.dumps(document(made), indent=2))
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print(text(made, colour=colour))
    return int(any(FAILS[word](made) for word in arguments.fail_on))


def planned(api: Reader, namespace: str, source: str, name: str | None) -> Plan:
    """Return what the commit *source* would change in the namespace.

    Raises:
        CommandError: It cannot be said.
    """
    check_namespace(api, namespace)
    with found(source) as place:
        cluster = read(api, namespace)
        settings = choose(cluster.store(), namespace, name, place.addresses, place.branch)
        return _made(cluster, settings, place)


def _made(cluster: Cluster, settings: Settings, place: Place) -> Plan:
    item, notes = settings.source, _notes(settings, place)
    applied = item.status.applied_commit
    before: Commit | None = None
    unbased = ""
    if applied is not None:
        if also(place, applied):
            before = Commit(place.folder, applied)
        else:
            notes.append(
                f"the commit that is applied now, {applied[:12]}, is not in the repository: pods "
                "that have finished and are gone are shown as if they started, and what was "
                "changed by hand as if its file had changed"
            )
        unbased = unbased_on(place, applied, notes)
    after = Commit(place.folder, place.commit)
    sight = draw(cluster, cluster.store(), item, after, before, rewritten=unbased != "")
    drawn = asyncio.run(sight)
    origin = Origin(
        cluster.namespace,
        item.metadata.name if settings.exists else None,
        item.spec.path,
        place.shown,
        place.ref,
        place.commit,
        applied,
    )
    made = replace(make(origin, cluster, drawn, notes).plan, unbased=unbased)
    if needs_programs(made):
        programs = "whether runners have the programs of agents is known to the controller alone"
        return replace(made, notes=(*made.notes, programs))
    return made


def unbased_on(place: Place, applied: str, notes: list[str]) -> str:
    """Return what to do about a commit that lacks what is applied; note where nobody knows."""
    based = place.is_based_on(applied)
    if based is None:
        notes.append(
            f"whether the commit is based on the one that is applied now, {applied[:12]}: the "
            "history is not all here. If it is not, what only that one has is shown as undone"
        )
    if based is not False:
        return ""
    return (
        f"not based on the applied commit {applied[:12]}: what only that one has is undone below. "
        "git fetch and rebase first"
    )


def _notes(settings: Settings, place: Place) -> list[str]:
    notes = []
    if not settings.exists:
        notes.append(
            "no GitSource reads this repository: the plan is for one with default settings; "
            "--name says which one counts"
        )
    if is_suspended(settings.source):
        notes.append("the source is suspended: this is what would happen once it no longer is")
    if settings.branch and place.branch and settings.branch != place.branch:
        notes.append(
            f"the source reads branch {settings.branch}: this is what happens once the commit is "
            "there"
        )
    return notes
