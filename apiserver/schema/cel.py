"""The Common Expression Language, through ``cel_expr_python``: the only module that imports it.

The library costs about 20 MiB and 15 ms when it is loaded, so it is loaded with the first rule that
is compiled. One evaluation is bounded by the library: 10,000 loop iterations, and RE2 for regular
expressions. What the library has not and Kubernetes has is in :mod:`apiserver.schema.cel_library`.

Not supported: ``format.<name>()`` with ``validate`` (an optional cannot be returned from Python),
equality of a set with a literal regardless of order (with oldSelf it works, see
:func:`apiserver.schema.celtypes.align`), and the cost estimate that makes Kubernetes refuse a rule.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from apiserver.schema.cel_library import functions

_EXTENSIONS: Final = ("strings", "optional", "sets", "two-var-comprehensions", "encoders")
_FURTHER: Final[Mapping[str, tuple[str, ...]]] = {"bound": ("bindings",), "regex": ("regex",)}
"""Extensions that we need ourselves, in environments of their own: no rule can use them."""

_OLD: Final = "old__value"
"""Carries oldSelf where a rule sees it as an optional."""

_LITERAL: Final = re.compile(
    r'[rRbB]{0,2}(?:"""(?:[^\\]|\\.)*?"""|\'\'\'(?:[^\\]|\\.)*?\'\'\''
    r'|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\')',
    re.DOTALL,
)
_RENAMED: Final = re.compile(r"\.\s*(indexOf|lastIndexOf)(?=\s*\()")
_GROUP: Final = re.compile(r"(\\.|\[\^?\]?[^\]]*\]|\(\?(?!P?<))|\((?:\?P?<\w+>)?", re.DOTALL)
"""An escape, a set, a group with a flag: kept. A group that captures: made one that does not."""

_OLD_SELF: Final = re.compile(r"(?<![\w.])oldSelf\b")

_RUNTIME_TEXTS: Final = (
    (re.compile(r'^Key not found in map : "(.*)"$', re.DOTALL), r"no such key: \1"),
    (re.compile(r"^divide by zero$"), "division by zero"),
    (re.compile(r"^No matching overloads found : .*$", re.DOTALL), "no such overload"),
    (re.compile(r"^Index error: index=(-?\d+) size=\d+$"), r"index out of bounds: \1"),
    (re.compile(r"^Iteration budget exceeded$"), "operation cancelled: actual cost limit exceeded"),
)


class CelError(Exception):
    """An expression cannot be compiled or has no result; the text says why."""


class Scope:
    """The variables of one place in an object, converted for the library once."""

    def __init__(self, value: Any, old: Any, *, has_old: bool) -> None:
        self.has_old = has_old
        self._data = {"self": value, "oldSelf": old, _OLD: old}
        self._activation: Any = None

    def activation(self) -> Any:
        """Return the variables in the library's form."""
        if self._activation is None:
            self._activation = _environment("plain").Activation(self._data)
        return self._activation


class Program:
    """A compiled expression.

    Args:
        source: The expression as the CRD has it.
        optional_old: oldSelf is an optional, none on create.

    Raises:
        CelError: The expression does not compile.
    """

    def __init__(self, source: str, *, optional_old: bool = False) -> None:
        prepared = outside_literals(source, lambda code: _RENAMED.sub(r".k8s_\1", code))
        if optional_old:
            self._with_old = _compile("bound", _bind(f"optional.of({_OLD})", prepared))
            self._without_old = _compile("bound", _bind("optional.none()", prepared))
        else:
            self._with_old = self._without_old = _compile("plain", prepared)

    @property
    def returns(self) -> str:
        """The type of the result, ``DYN`` where it is known only afterwards."""
        return str(self._with_old.return_type().name())

    def run(self, scope: Scope) -> Any:
        """Return the result.

        Raises:
            CelError: There is none: a missing key, an overflow, a wrong type.
        """
        expression = self._with_old if scope.has_old else self._without_old
        try:
            result = expression.eval(scope.activation())
        except (RuntimeError, ValueError, TypeError, OverflowError) as exc:
            raise CelError(_runtime_text(str(exc))) from exc
        value = result.value()
        if isinstance(value, bool):
            return value
        if result.type().name() == "ERROR":
            raise CelError(_runtime_text(str(value)))
        return value


def mentions_old(source: str) -> bool:
    """Say whether an expression uses ``oldSelf``."""
    return _OLD_SELF.search(_LITERAL.sub("''", source)) is not None


def outside_literals(source: str, change: Callable[[str], str]) -> str:
    """Return *source* with *change* applied to everything but its string literals."""
    parts: list[str] = []
    position = 0
    for literal in _LITERAL.finditer(source):
        parts += [change(source[position : literal.start()]), literal.group()]
        position = literal.end()
    parts.append(change(source[position:]))
    return "".join(parts)


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a test for an RE2 expression; it says False throughout if RE2 refuses it."""
    expression = _compile("plain", f"self.matches({_literal(pattern)})")
    return lambda text: expression.eval(data={"self": text}).value() is True


def find_all(text: str, pattern: str) -> list[str]:
    """Return all that RE2 finds of *pattern* in *text*, from left to right."""
    grouped = _GROUP.sub(lambda found: found.group(1) or "(?:", pattern)
    expression = _compile("regex", "regex.extractAll(self, oldSelf)")
    result = expression.eval(data={"self": text, "oldSelf": grouped})
    if result.type().name() == "ERROR":
        raise ValueError(_runtime_text(str(result.value())))
    return [str(found) for found in result.plain_value()]


def pattern_error(pattern: str) -> str:
    """Return what RE2 has against *pattern*; empty if nothing."""
    result = _compile("plain", f"''.matches({_literal(pattern)})").eval(data={})
    if result.type().name() != "ERROR":
        return ""
    return str(result.value()).partition("invalid regular expression: ")[2]


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # CEL has the escapes of JSON


def _bind(old: str, source: str) -> str:
    return f"cel.bind(oldSelf, {old}, {source}\n)"


def _compile(environment: str, source: str) -> Any:
    try:
        return _environment(environment).compile(source)
    except RuntimeError as exc:
        text = str(exc).removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")
        raise CelError(text.replace("k8s_", "")) from exc


def _runtime_text(text: str) -> str:
    status = re.match(r"^[A-Z_]+: ", text)
    if status:
        text = text[status.end() :].removesuffix(f" [{status.group()[:-2]}]")
    for pattern, replacement in _RUNTIME_TEXTS:
        text = pattern.sub(replacement, text)
    return text


@cache
def _environment(name: str) -> Any:
    from cel_expr_python import cel  # 20 MiB and a moment: only where there are rules

    dyn = cel.Type.DYN
    names = [*_EXTENSIONS, *_FURTHER.get(name, ())]
    variables: Mapping[str, Any] = {
        "plain": {"self": dyn, "oldSelf": dyn},
        "bound": {"self": dyn, _OLD: dyn},
        "regex": {"self": dyn, "oldSelf": dyn},
    }[name]
    listed = "".join(f"- name: {extension}\n" for extension in names)
    return cel.NewEnv(
        config=cel.NewEnvConfigFromYaml(f"extensions:\n{listed}"),
        variables=variables,
        functions=functions(cel),
    )
