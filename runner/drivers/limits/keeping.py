"""What keeps each limit on this machine, and how a run is started within its limits."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Final

from runner.drivers.cgroups.cgroups import Cgroups
from runner.drivers.cgroups.values import CgroupError, GroupLimits
from runner.drivers.limits.values import Asked, Keeper, Limit
from runner.drivers.terminal_values import Launch

logger = logging.getLogger(__name__)

_WITHOUT_GROUPS: Final = {
    Limit.MEMORY: Keeper.WATCHED,
    Limit.CPU: Keeper.NONE,
    Limit.PIDS: Keeper.WATCHED,
    Limit.OPEN_FILES: Keeper.RLIMIT,
    Limit.DISK: Keeper.WATCHED,
}
_UNITS: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def keepers(cgroups: Cgroups, *, counted: bool = False) -> dict[Limit, Keeper]:
    """Return what keeps each limit of a pod on this machine.

    *counted*: the kernel counts a pod's processes also without a group.
    """
    by_group = {Limit(name): Keeper(version) for name, version in cgroups.kept.items()}
    by_count = {Limit.PIDS: Keeper.RLIMIT} if counted else {}
    return {**_WITHOUT_GROUPS, **by_count, **by_group}


def equipped(launch: Launch, cgroups: Cgroups) -> Launch:
    """Return the launch with its limits, and with the control group that it shall start in.

    Without a group, where none can be made, what is kept says so.
    """
    asked, kept = launch.asked, keepers(cgroups)
    directories: tuple[str, ...] = ()
    if cgroups:
        name = group_name(launch)
        limits = GroupLimits(asked.memory_bytes, asked.cpu_millis, asked.most_pids)
        try:
            made = cgroups.make(name, limits)
        except (CgroupError, ValueError) as exc:
            logger.warning("a pod has no control group: %s", exc, extra={"pod": launch.uid})
            kept = dict(_WITHOUT_GROUPS)
        else:
            directories = made.group.directories
            kept |= {Limit(each): _WITHOUT_GROUPS[Limit(each)] for each in made.unkept}
    rlimits = dict(launch.limits)
    if asked.open_files:
        rlimits["nofile"] = asked.open_files
    if launch.account:  # the pod's alone; and a fork that fails by it costs the kernel nothing
        rlimits["nproc"] = asked.most_pids
    if (launch.account or launch.counted) and kept[Limit.PIDS] is Keeper.WATCHED:
        kept[Limit.PIDS] = Keeper.RLIMIT
    in_group = kept[Limit.MEMORY] in {Keeper.CGROUP1, Keeper.CGROUP2}
    return dataclasses.replace(
        launch,
        limits=rlimits,
        group=directories,
        kept={str(limit): str(keeper) for limit, keeper in kept.items()},
        out_of_memory=out_of_memory(asked) if asked.memory_bytes and in_group else "",
    )


def group_name(launch: Launch) -> str:
    """Return how the run's control group is named: by the pod, and the run's own directory."""
    run = f"script-{launch.script}" if launch.script else f"{launch.epoch}-{launch.restart}"
    return f"{launch.uid}.{run}"


def out_of_memory(asked: Asked) -> str:
    """Return the sentence about a pod whose memory is used up."""
    return f"The pod needed more than its {size(asked.memory_bytes)} of memory, so all of it ended."


def told(asked: Asked, kept: Mapping[str, str]) -> tuple[bool, str, str]:
    """Return whether something keeps all that was asked for, with reason and sentence."""
    by_keeper: dict[str, list[str]] = {}
    for limit in asked.limits():
        by_keeper.setdefault(kept.get(limit, Keeper.NONE), []).append(limit)
    phrases = [_phrase(keeper, names) for keeper, names in sorted(by_keeper.items())]
    if Keeper.NONE in by_keeper:
        return False, "NotEnforced", "; ".join(phrases)
    if Keeper.WATCHED in by_keeper:
        return True, "Watched", "; ".join(phrases)
    return True, "Enforced", "; ".join(phrases)


def size(amount: int) -> str:
    """Return an amount of bytes as people say it."""
    for unit, name in _UNITS:
        if amount >= unit:
            return f"{amount / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{amount} bytes"


def _phrase(keeper: str, names: list[str]) -> str:
    listed = ", ".join(names)
    match keeper:
        case Keeper.NONE:
            return f"{listed}: nothing on this runner can keep it"
        case Keeper.WATCHED:
            return f"{listed}: looked at now and then, and the pod is ended when it is over"
        case Keeper.RLIMIT:
            return f"{listed}: kept by rlimit"
        case _:
            return f"{listed}: kept by {keeper}"
