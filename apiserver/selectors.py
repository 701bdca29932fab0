"""Label and field selectors, as they come in ``labelSelector=`` and ``fieldSelector=``."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from apiserver.kinds.names import label_value
from apiserver.schema.errors import invalid, quote
from apiserver.schema.metadata import key_errors

_TOKEN: Final = re.compile(r"\s*(==|!=|=|!|,|\(|\)|[^\s=!,()<>]+|[<>])")


_INTEGER: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_SYMBOLS: Final = frozenset({"=", "==", "!=", "!", ",", "(", ")", "<", ">"})
_COMMA: Final = ","
_OPERATORS: Final = "in, notin, =, ==, !=, gt, lt"


class SelectorError(ValueError):
    """A selector that cannot be understood; the text goes to the user with status 400."""


# -- labels ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: str
    """``in``, ``notin``, ``exists``, ``!``, ``>``, ``<``; ``=`` and ``!=`` are the first two."""
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether *labels* satisfy the condition."""
        if self.operator == "exists":
            return self.key in labels
        if self.operator == "!":
            return self.key not in labels
        if self.operator == "notin":
            return labels.get(self.key) not in self.values
        if self.key not in labels:
            return False
        if self.operator == "in":
            return labels[self.key] in self.values
        return self._compares(labels[self.key])

    def _compares(self, label: str) -> bool:
        limit = int(next(iter(self.values)))
        if not _INTEGER.fullmatch(label):
            return False
        return int(label) > limit if self.operator == ">" else int(label) < limit


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All conditions together; without any, everything matches."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the selector written as *text*.

        Raises:
            SelectorError: It is none, or names a key or a value that no label can have.
        """
        return cls(tuple(_Parser(text).requirements()))

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """Return the selector written as ``matchLabels`` and ``matchExpressions``.

        Raises:
            SelectorError: An operator is unknown.
        """
        found = [
            Requirement(key, "in", frozenset({value}))
            for key, value in (raw.get("matchLabels") or {}).items()
        ]
        names = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
        for item in raw.get("matchExpressions") or ():
            operator = item.get("operator")
            if operator not in names:
                raise SelectorError(
                    f"{quote(str(operator))} is not a valid label selector operator"
                )
            values = frozenset(item.get("values") or ())
            found.append(Requirement(item.get("key", ""), names[operator], values))
        return cls(tuple(found))

    def admits(self, labels: Mapping[str, str] | None) -> bool:
        """Say whether an object with *labels* is selected."""
        have = labels or {}
        return all(requirement.matches(have) for requirement in self.requirements)

    def matches(self, obj: Mapping[str, Any]) -> bool:
        """Say whether *obj* is selected."""
        return self.admits((obj.get("metadata") or {}).get("labels"))


class _Parser:
    """Reads ``a=b,c in (d,e),!f``."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def requirements(self) -> Iterable[Requirement]:
        """Yield the conditions in their order."""
        if not self._tokens:
            return
        while True:
            yield self._requirement()
            token = self._next()
            if not token:
                return
            if token != _COMMA:
                raise SelectorError(f"found '{token}', expected: ',' or 'end of string'")
            if self._peek() in {"", ","}:
                raise SelectorError(f"found '{self._peek()}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        absent = self._peek() == "!"
        if absent:
            self._next()
        key = self._next()
        if not key or key in _SYMBOLS:
            raise SelectorError(f"found '{key}', expected: !, identifier, or 'end of string'")
        _check_key(key)
        if absent:
            return Requirement(key, "!")
        if self._peek() in {"", ","}:
            return Requirement(key, "exists")
        return self._with_values(key)

    def _with_values(self, key: str) -> Requirement:
        operator = self._next()
        if operator in {"in", "notin"}:
            values = frozenset(self._list())
        elif operator in {"=", "==", "!="}:
            values = frozenset({self._exact()})
            operator = "notin" if operator == "!=" else "in"
        elif operator in {">", "<"}:
            values = frozenset({self._limit()})
        else:
            raise _unparsable(f"found '{operator}', expected: {_OPERATORS}")
        for value in sorted(values):
            _check_value(key, value)
        return Requirement(key, operator, values)

    def _exact(self) -> str:
        if self._peek() in {"", ","}:
            return ""
        value = self._next()
        if value in _SYMBOLS:
            raise _unparsable(f"found '{value}', expected: identifier")
        return value

    def _limit(self) -> str:
        value = self._next()
        if not _INTEGER.fullmatch(value):
            text = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise _unparsable(invalid("values[0]", value, text).text())
        return value

    def _list(self) -> Iterable[str]:
        bracket = self._next()
        if bracket != "(":
            raise _unparsable(f"found '{bracket}' expected: '('")
        while True:
            if self._peek() in {",", ")"}:
                yield ""
            else:
                value = self._next()
                if value in _SYMBOLS:
                    raise _unparsable(f"found '{value}', expected: ',', ')' or identifier")
                yield value
            after = self._next()
            if after == ")":
                return
            if after != ",":
                raise _unparsable(f"found '{after}', expected: ',' or ')'")


def _unparsable(text: str) -> SelectorError:
    return SelectorError(f"unable to parse requirement: {text}")


def _check_key(key: str) -> None:
    wrong = key_errors(key)
    if wrong:
        raise _unparsable(invalid("<nil>", key, "; ".join(wrong)).text())


def _check_value(key: str, value: str) -> None:
    wrong = label_value(value)
    if wrong:
        raise _unparsable(invalid(f"values[0][{key}]", value, "; ".join(wrong)).text())


# -- fields ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """One condition on one field."""

    field: str
    value: str
    equal: bool


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """All conditions together; without any, everything matches."""

    terms: tuple[FieldTerm, ...] = ()

    @classmethod
    def parse(cls, text: str, supported: Collection[str] | None = None) -> Self:
        r"""Return the selector written as *text*: ``a=b``, ``a==b``, ``a!=b``, joined by commas.

        Args:
            text: A backslash takes the meaning from ``\``, ``,`` and ``=``.
            supported: The fields that may be named beside ``metadata.name`` and
                ``metadata.namespace``; None allows all.

        Raises:
            SelectorError: It is no selector, or names a field that cannot be selected by.
        """
        terms = [_field_term(part) for part in _split(text) if part]
        if supported is not None:
            for term in terms:
                if term.field not in {"metadata.name", "metadata.namespace", *supported}:
                    raise SelectorError(f"field label not supported: {term.field}")
        return cls(tuple(terms))

    def required(self, field: str) -> str | None:
        """Return the value that *field* must have, None if it may have several."""
        for term in self.terms:
            if term.field == field and term.equal:
                return term.value
        return None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are looked at."""
        return tuple(term.field for term in self.terms)

    def matches(self, obj: Mapping[str, Any]) -> bool:
        """Say whether *obj* is selected."""
        return all(
            (field_value(obj, term.field) == term.value) is term.equal for term in self.terms
        )


def parse_label_selector(text: str) -> LabelSelector:
    """Return the label selector written as *text*.

    Raises:
        SelectorError: It is none, or names a key or a value that no label can have.
    """
    return LabelSelector.parse(text)


def parse_field_selector(text: str) -> FieldSelector:
    """Return the field selector written as *text*; which fields it may name is for the caller.

    Raises:
        SelectorError: It is none.
    """
    return FieldSelector.parse(text)


def field_value(obj: Mapping[str, Any], field: str) -> str:
    """Return the value of *field* as a selector compares it; ``""`` if it is absent.

    A field is a dotted path; an event's ``source`` is the component that reported it.
    """
    if field == "source":
        component = field_value(obj, "source.component")
        return component or field_value(obj, "reportingComponent")
    value: Any = obj
    for name in field.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None or isinstance(value, dict | list) else str(value)


EVENT_FIELDS: Final = (
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
)
"""Fields by which events of the core group can be selected."""


def _split(text: str) -> list[str]:
    parts, start, escaped = [], 0, False
    for index, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return parts


def _field_term(part: str) -> FieldTerm:
    index, escaped = 0, False
    while index < len(part):
        if escaped:
            escaped = False
        elif part[index] == "\\":
            escaped = True
        else:
            for operator in ("!=", "==", "="):
                if part.startswith(operator, index):
                    value = _unescape(part[index + len(operator) :])
                    return FieldTerm(part[:index], value, operator != "!=")
        index += 1
    raise SelectorError(f"invalid selector: '{part}'; can't understand '{part}'")


def _unescape(text: str) -> str:
    value, escaped = [], False
    for char in text:
        if escaped:
            if char not in "\\,=":
                raise SelectorError(f"invalid field selector: invalid escape sequence: \\{char}")
            value.append(char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char in ",=":
            raise SelectorError(
                f"invalid field selector: unescaped character in value: {ord(char)}"
            )
        else:
            value.append(char)
    if escaped:
        raise SelectorError("invalid field selector: invalid escape sequence: \\")
    return "".join(value)
