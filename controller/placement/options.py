"""Options of an AgentClass: what a pod's values may be, and what becomes of them. Pure.

A value is data. It is one argument or one variable, as it is, or stands in an argument at the place
that the class gives it, escaped as the class says; one that begins with a dash, and is none of the
values that the class names, is refused where it would be an argument: some programs would take it
for another flag.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

from controller.placement.expansion import expand, literal
from schemas.agentclass import AgentClassSpec, Option, OptionType
from schemas.quoting import TextFormat, quoted

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_HUGE: Final = 10**17
"""Numbers beyond it are no settings. Integers below it are exact as texts."""
_WORDS: Final = {"true": True, "false": False}
_NAMED: Final = 20
"""So many names are told in a sentence."""

Value = bool | int | float | str


def unfit(agent: AgentClassSpec, config: Mapping[str, str]) -> str | None:
    """Return what is wrong with the first of the values that does not fit, None if all do."""
    options = {option.name: option for option in agent.options}
    for name, text in config.items():
        if name not in options:
            return f"{name}: there is no such option; {_there_are(options)}"
        if (why := _fault(options[name], text)) is not None:
            return f"{name}: {why}"
    return None


def texts(agent: AgentClassSpec, values: Mapping[str, Value]) -> dict[str, str]:
    """Return JSON values as the texts that stand in ``AgentPod.spec.config``.

    Raises:
        ValueError: One does not fit its option; the text names it and says what would.
    """
    options = {option.name: option for option in agent.options}
    found = {}
    for name, value in values.items():
        if name not in options:
            raise ValueError(f"{name}: there is no such option; {_there_are(options)}")
        text = _text(options[name].type, value)
        why = _fault(options[name], text) if text is not None else _wanted(options[name])
        if text is None or why is not None:
            raise ValueError(f"{name}: {why}")
        found[name] = text
    return found


def arguments(agent: AgentClassSpec, config: Mapping[str, str]) -> Iterable[str]:
    """Give the arguments of the options that the pod sets, in the class's order, for the runner."""
    for option in agent.options:
        text = config.get(option.name)
        if text is None or (option.type is OptionType.BOOLEAN and not _WORDS.get(text)):
            continue
        if option.args:
            value = {"VALUE": literal(quoted(text, option.format or TextFormat.TEXT))}
            yield from (expand(arg, value) for arg in option.args)
        elif option.flag is not None:
            yield literal(option.flag)
            if option.type is not OptionType.BOOLEAN:
                yield literal(text)


def variables(agent: AgentClassSpec, config: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the options that the pod sets, in the class's order."""
    return {
        option.env: config[option.name]
        for option in agent.options
        if option.env is not None and option.name in config
    }


def _text(kind: OptionType, value: Value) -> str | None:
    """Return *value* as text, None if it is of another type."""
    match kind:
        case OptionType.STRING:
            return value if isinstance(value, str) else None
        case OptionType.BOOLEAN:
            return str(value).lower() if isinstance(value, bool) else None
        case OptionType.INTEGER | OptionType.NUMBER:
            if isinstance(value, bool | str) or not abs(value) < _HUGE:
                return None
            return str(int(value)) if float(value).is_integer() else str(value)


def _fault(option: Option, text: str) -> str | None:
    """Return what the value should be instead, None if it is right."""
    return None if _is_right(option, text) else _wanted(option)


def _is_right(option: Option, text: str) -> bool:
    match option.type:
        case OptionType.STRING:
            return _string(option, text)
        case OptionType.BOOLEAN:
            return text in _WORDS
        case OptionType.INTEGER:
            return _INTEGER.fullmatch(text) is not None and _within(option, float(text))
        case OptionType.NUMBER:
            return _NUMBER.fullmatch(text) is not None and _within(option, float(text))


def _string(option: Option, text: str) -> bool:
    if option.values:
        return text in option.values
    return "\0" not in text and not (_is_argument(option) and text.startswith("-"))


def _is_argument(option: Option) -> bool:
    """Whether the value is an argument of its own, or begins one."""
    if option.args:
        return any(arg.startswith("$(VALUE)") for arg in option.args)
    return option.flag is not None


def _within(option: Option, value: float) -> bool:
    return (
        math.isfinite(value)
        and (option.minimum is None or value >= option.minimum)
        and (option.maximum is None or value <= option.maximum)
    )


def _wanted(option: Option) -> str:
    match option.type:
        case OptionType.BOOLEAN:
            return "it must be true or false"
        case OptionType.STRING if option.values:
            return f"it must be one of {_listed(option.values)}"
        case OptionType.STRING:
            return "it must be a text" + (
                " that does not begin with -" if _is_argument(option) else ""
            )
        case OptionType.INTEGER:
            return f"it must be an integer{_range(option)}"
        case OptionType.NUMBER:
            return f"it must be a number{_range(option)}"


def _range(option: Option) -> str:
    low, high = option.minimum, option.maximum
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return f" of at most {high}" if high is not None else ""


def _there_are(options: Mapping[str, Option]) -> str:
    return f"there are: {_listed(options)}" if options else "the class has none"


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:_NAMED]) + (" …" if len(every) > _NAMED else "")
