"""The part of JSONPath that CRDs may use in columns and selectable fields.

``.a.b``, ``.a['b.c']``, ``.l[0]``, ``.l[-1]``, ``.l[*].x``, ``.m.*``, ``.l[0:2]``, ``..x`` and
filters such as ``.status.conditions[?(@.type=="Ready")].status``. Braces around it are allowed.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_STEP: Final = re.compile(
    r"""(?P<deep>\.\.(?:[\w$@-][^.\[\]\s]*|\*)?)
      | \.(?P<name>(?:\\.|[^.\[\]\s\\*'"])+)
      | (?P<any>\.\*|\[\*\])
      | \[(?P<index>-?\d+(?:,-?\d+)*)\]
      | \[(?P<slice>-?\d*:-?\d*(?::\d+)?)\]
      | \[(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]
      | \[\?\((?P<filter>(?:[^()'"]|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")*)\)\]
    """,
    re.VERBOSE,
)
_FILTER: Final = re.compile(
    r"""\s*(?P<left>@[^\s=!<>]*|\$[^\s=!<>]*)\s*
        (?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<right>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s'"]+)\s*)?$""",
    re.VERBOSE,
)

Step = Callable[[Any], Iterable[Any]]

_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class JsonPathError(ValueError):
    """A text that is no path of the supported kind."""


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A compiled path."""

    text: str
    steps: tuple[Step, ...]

    def find(self, value: Any) -> list[Any]:
        """Return all that the path leads to, in order; nothing is not an error."""
        found = [value]
        for step in self.steps:
            found = [below for item in found for below in step(item)]
        return found

    def first(self, value: Any) -> Any:
        """Return the first thing that the path leads to, None if there is none."""
        return next(iter(self.find(value)), None)


def parse(text: str) -> JsonPath:
    """Return the path written as *text*.

    Raises:
        JsonPathError: It is none.
    """
    body = text.strip()
    if body.startswith("{") and body.endswith("}"):
        body = body[1:-1].strip()
    body = body.removeprefix("$")
    if body in {"", "."}:
        return JsonPath(text, ())
    if body[0] not in ".[":
        raise JsonPathError(f"invalid path {text!r}: must start with a dot")
    return JsonPath(text, tuple(_steps(body, text)))


def _steps(body: str, text: str) -> Iterator[Step]:
    position = 0
    while position < len(body):
        found = _STEP.match(body, position)
        if found is None:
            raise JsonPathError(f"invalid path {text!r}: cannot read {body[position:]!r}")
        position = found.end()
        kind = str(found.lastgroup)
        yield _MAKERS[kind](found[kind])


def _field(name: str) -> Step:
    def step(value: Any) -> Iterable[Any]:
        return (value[name],) if isinstance(value, Mapping) and name in value else ()

    return step


def _unquote(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1:-1])


def _everything(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def _deep(text: str) -> Step:
    name = text.removeprefix("..")

    def step(value: Any) -> Iterator[Any]:
        yield from _everything(value) if name == "*" else _field(name)(value)
        for item in _everything(value):
            yield from step(item)

    return step


def _indexes(text: str) -> Step:
    wanted = [int(number) for number in text.split(",")]

    def step(value: Any) -> Iterable[Any]:
        if not isinstance(value, list):
            return ()
        return [value[index] for index in wanted if -len(value) <= index < len(value)]

    return step


def _slice(text: str) -> Step:
    bounds = [int(number) if number else None for number in text.split(":")]
    if bounds[2:] == [0]:
        raise JsonPathError("step must be > 0")
    wanted = slice(*bounds)
    return lambda value: value[wanted] if isinstance(value, list) else ()


def _filter(text: str) -> Step:
    found = _FILTER.match(text)
    if found is None:
        raise JsonPathError(f"unsupported filter {text!r}")
    left = parse(found["left"][1:])
    compare = _COMPARE.get(found["op"] or "")
    if compare is None:
        return lambda value: [item for item in _everything(value) if left.find(item)]
    wanted = _literal(found["right"])

    def step(value: Any) -> Iterable[Any]:
        return [item for item in _everything(value) if _holds(compare, left.first(item), wanted)]

    return step


def _literal(text: str) -> Any:
    if text[0] in "'\"":
        return _unquote(text)
    if text in {"true", "false"}:
        return text == "true"
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    raise JsonPathError(f"unsupported literal {text!r} in a filter")


def _holds(compare: Callable[[Any, Any], bool], have: Any, wanted: Any) -> bool:
    if isinstance(have, bool) is not isinstance(wanted, bool):
        return False
    number = (int, float)
    same = isinstance(have, number) and isinstance(wanted, number)
    return (same or type(have) is type(wanted)) and compare(have, wanted)


_MAKERS: Final[Mapping[str, Callable[[str], Step]]] = {
    "deep": _deep,
    "name": lambda text: _field(re.sub(r"\\(.)", r"\1", text)),
    "any": lambda _text: _everything,
    "index": _indexes,
    "slice": _slice,
    "quoted": lambda text: _field(_unquote(text)),
    "filter": _filter,
}
