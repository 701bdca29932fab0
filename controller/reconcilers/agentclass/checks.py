"""What is wrong with an AgentClass, beside what its schema refuses. Pure."""

import re
from collections.abc import Callable
from typing import Final

from controller.kernel.reconciler import Finding
from controller.placement.expansion import references
from schemas.agentclass import AgentClass, Option, OptionType
from schemas.patterns import problem

Check = Callable[[AgentClass], Finding | None]

_RESERVED: Final = re.compile(r"AGENTSMESH_.*|LD_.*|GLIBC_TUNABLES|BASH_ENV|ENV|IFS|BASH_FUNC_.*")
"""The runner's own, and what would change how every program of the pod starts."""


def relative_executable(item: AgentClass) -> Finding | None:
    """A path that is not absolute depends on where the runner was started."""
    executable = item.spec.executable
    if "/" not in executable or executable.startswith("/"):
        return None
    return Finding(
        "ExecutableInvalid",
        f"executable: {executable!r} is a relative path; give a name to be searched for, or an "
        "absolute path",
        stalled=True,
    )


def broken_pattern(item: AgentClass) -> Finding | None:
    """The pattern of readiness cannot be used."""
    pattern = item.spec.readiness.regex
    if pattern is None or not (why := problem(pattern)):
        return None
    message = f"readiness.regex: {pattern!r} cannot be searched for: {why}"
    return Finding("ReadinessInvalid", message, stalled=True)


def broken_sign(item: AgentClass) -> Finding | None:
    """A sign of what the agent does cannot be searched for."""
    signs = item.spec.activity
    for name in ("waiting", "executing", "idle"):
        for pattern in getattr(signs, name):
            if why := problem(pattern):
                message = f"activity.{name}: {pattern!r} cannot be searched for: {why}"
                return Finding("ActivityInvalid", message, stalled=True)
    return None


def reserved_variable(item: AgentClass) -> Finding | None:
    """A variable of ours would be overwritten."""
    names = [variable.name for variable in item.spec.environment]
    names += [item.spec.model.env] if item.spec.model and item.spec.model.env else []
    names += [option.env for option in item.spec.options if option.env]
    taken = next((name for name in names if _RESERVED.fullmatch(name)), None)
    if taken is None:
        return None
    message = f"environment: {taken} is reserved; choose another name"
    return Finding("EnvironmentInvalid", message, stalled=True)


def repeated_variable(item: AgentClass) -> Finding | None:
    """Which of two values counts is left to chance."""
    names = [variable.name for variable in item.spec.environment]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is None:
        return None
    message = f"environment: {twice} is given twice; remove one"
    return Finding("EnvironmentInvalid", message, stalled=True)


def useless_option(item: AgentClass) -> Finding | None:
    """An option that can be set and changes nothing, or has no value that fits."""
    for option in item.spec.options:
        if option.flag is None and option.env is None and not option.args:
            what = "has neither flag nor args nor env, so it changes nothing; give it one"
        elif option.flag is not None and option.args:
            what = "has both flag and args; remove one"
        elif _is_never_told(option):
            what = "has args without $(VALUE), so its value is never told; put it in"
        elif option.values and option.type is not OptionType.STRING:
            what = "has values, which only strings have; remove them"
        elif _empty(option.minimum, option.maximum):
            what = "has a minimum above its maximum"
        else:
            continue
        return Finding("OptionInvalid", f"options: {option.name} {what}", stalled=True)
    return None


def _is_never_told(option: Option) -> bool:
    if not option.args or option.env is not None or option.type is OptionType.BOOLEAN:
        return False
    return not any(name == "VALUE" for arg in option.args for name in references(arg))


def unasked_version(item: AgentClass) -> Finding | None:
    """A version is demanded that nobody asks for."""
    if item.spec.minimum_version is None or item.spec.version_command is not None:
        return None
    message = "minimumVersion: it cannot be told without a versionCommand; give one"
    return Finding("VersionInvalid", message, stalled=True)


def _empty(minimum: int | None, maximum: int | None) -> bool:
    return minimum is not None and maximum is not None and minimum > maximum


CHECKS: tuple[Check, ...] = (
    relative_executable,
    broken_pattern,
    broken_sign,
    reserved_variable,
    repeated_variable,
    useless_option,
    unasked_version,
)


def first(item: AgentClass) -> Finding | None:
    """Return the first thing that is wrong, None if nothing is."""
    return next((found for check in CHECKS if (found := check(item)) is not None), None)
