"""What is wrong with one field of an object, in the words of Kubernetes.

An answer of status 422 carries ``details.causes`` with one entry for each :class:`FieldError` and
a message that :func:`aggregate` joins. The texts are those of kube-apiserver 1.36.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

TYPE_TEXTS: Final[Mapping[str, str]] = {
    "FieldValueNotFound": "Not found",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueTypeInvalid": "Invalid value",
    "InternalError": "Internal error",
}
"""The words for each reason of a cause."""

_WITHOUT_VALUE: Final = frozenset(
    {"FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong", "InternalError"}
)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One complaint about one field."""

    field: str
    """Path as Kubernetes writes it: ``spec.items[0].name``; ``<nil>`` for the root."""

    reason: str
    """Machine-readable reason of the cause, a key of :data:`TYPE_TEXTS`."""

    bad_value: Any
    """The offending value as JSON data; not shown where the reason shows none."""

    detail: str
    """The rest of the sentence; may be empty."""

    @property
    def type_text(self) -> str:
        """The words for the reason, such as ``Invalid value``."""
        return TYPE_TEXTS[self.reason]

    def body(self) -> str:
        """Return the message without the field: what a cause carries."""
        text = self.type_text
        if self.reason not in _WITHOUT_VALUE and self.bad_value is not NO_VALUE:
            text = f"{text}: {render(self.bad_value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def text(self) -> str:
        """Return the message with the field, as it stands in the text of a Status."""
        return f"{self.field}: {self.body()}"

    def cause(self) -> dict[str, str]:
        """Return the entry for ``details.causes``."""
        return {"reason": self.reason, "message": self.body(), "field": self.field}


def required(field: str, detail: str = "") -> FieldError:
    """Return the complaint that a field is missing."""
    return FieldError(field, "FieldValueRequired", "", detail)


def invalid(field: str, value: Any, detail: str) -> FieldError:
    """Return the complaint that a value is not acceptable."""
    return FieldError(field, "FieldValueInvalid", value, detail)


def type_invalid(field: str, value: Any, detail: str) -> FieldError:
    """Return the complaint that a value is of another type than declared."""
    return FieldError(field, "FieldValueTypeInvalid", value, detail)


def forbidden(field: str, detail: str) -> FieldError:
    """Return the complaint that a field must not be set, or not like this."""
    return FieldError(field, "FieldValueForbidden", "", detail)


def duplicate(field: str, value: Any) -> FieldError:
    """Return the complaint that a value occurs twice."""
    return FieldError(field, "FieldValueDuplicate", value, "")


def not_supported(field: str, value: Any, supported: Iterable[str]) -> FieldError:
    """Return the complaint that a value is none of those listed."""
    listed = ", ".join(quote(word) for word in supported)
    detail = f"supported values: {listed}" if listed else ""
    return FieldError(field, "FieldValueNotSupported", value, detail)


def too_long(field: str, limit: int) -> FieldError:
    """Return the complaint that a text exceeds *limit* bytes."""
    size = _plural(limit, "byte")
    return FieldError(field, "FieldValueTooLong", "", f"may not be more than {size}")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def too_many(field: str, actual: int, limit: int) -> FieldError:
    """Return the complaint that a list or a map has more than *limit* entries."""
    items = _plural(limit, "item")
    return FieldError(field, "FieldValueTooMany", actual, f"must have at most {items}")


def aggregate(errors: Iterable[FieldError]) -> str:
    """Return the texts of *errors* joined as Kubernetes does: ``[a, b]``, a single one bare.

    A text that occurs twice is named once.
    """
    texts = list(dict.fromkeys(error.text() for error in errors))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def render(value: Any) -> str:
    """Return *value* as it is shown behind ``Invalid value:``."""
    if value is None:
        return "null"
    if isinstance(value, Verbatim):
        return str(value)
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    return compact(value)


def compact(value: Any) -> str:
    """Return *value* as JSON without spaces, keys sorted, as Go marshals maps."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return text.translate(_GO_HTML)


_GO_HTML: Final = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
"""Go's encoder escapes what HTML would take for markup."""


class Verbatim(str):
    """A bad value that is shown as it stands: a Go structure, whose fields keep their order."""

    __slots__ = ()


NO_VALUE: Final = Verbatim()
"""A bad value that is not shown at all."""


def go_float(value: float) -> str:
    """Return *value* as Go's ``%v`` prints a float64."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{value:+}".replace("inf", "Inf")
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent):+03d}" if exponent else mantissa


_ESCAPES: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def quote(text: str) -> str:
    """Return *text* quoted as Go's ``%q`` does."""
    return '"' + "".join(_ESCAPES.get(char) or _printable(char) for char in text) + '"'


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
