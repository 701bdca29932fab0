"""The formats of strings, as kube-apiserver reads them. An unknown format accepts everything."""

import base64
import binascii
import datetime as dt
import ipaddress
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Final

_DATE: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", re.ASCII)
_DATE_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)([.,]\d+)?"
    r"([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_GO_DURATION: Final = re.compile(r"[-+]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
_WORD_DURATION: Final = re.compile(
    r"\s*\d+\s*(ns|nano|nanosecond|us|µs|μs|micro|microsecond|ms|milli|millisecond|s|sec|second"
    r"|m|min|minute|h|hr|hour|d|day|w|wk|week)s?\s*",
    re.ASCII,
)
_ISO_DURATION: Final = re.compile(
    r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?", re.ASCII
)
_HOSTNAME: Final = re.compile(
    r"(?=.{1,253}\Z)[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\.?",
    re.ASCII,
)
_LABEL: Final = re.compile(r"(?=.{1,63}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_SUBDOMAIN: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII
)
_EMAIL: Final = re.compile(r"[^@\s<>(),;:\\\"\[\]]+@[^@\s<>(),;:\\\"\[\]]+")
_RGB: Final = re.compile(r"rgb\(\s*\d{1,3}\s*,\s*\d{1,3}\s*,\s*\d{1,3}\s*\)", re.ASCII)


def _matches(expression: str) -> Callable[[str], bool]:
    compiled = re.compile(expression, re.ASCII)
    return lambda text: compiled.fullmatch(text) is not None


def _uuid(version: str) -> Callable[[str], bool]:
    variant = "[0-9a-f]" if version in {"[0-9a-f]", "3"} else "[89ab]"
    form = rf"(?i)[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{version}[0-9a-f]{{3}}-?{variant}[0-9a-f]{{3}}"
    return _matches(rf"{form}-?[0-9a-f]{{12}}")


def is_date(text: str) -> bool:
    """Say whether *text* is a day such as ``2026-02-28``."""
    if not _DATE.fullmatch(text):
        return False
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_date_time(text: str) -> bool:
    """Say whether *text* is an instant of RFC 3339."""
    found = _DATE_TIME.fullmatch(text)
    return found is not None and is_date(found.group(1))


def is_duration(text: str) -> bool:
    """Say whether *text* is a duration: Go's ``1h30m``, ``3 days``, ISO 8601's ``P1D``."""
    forms = (_GO_DURATION, _WORD_DURATION, _ISO_DURATION)
    return any(form.fullmatch(text) for form in forms)


def is_byte(text: str) -> bool:
    """Say whether *text* is base64, and not empty."""
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False


def is_uri(text: str) -> bool:
    """Say whether *text* is an absolute URL or an absolute path."""
    if not text or any(ord(char) < 0x21 or ord(char) == 0x7F for char in text):
        return False
    try:
        parts = urllib.parse.urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    if re.search(r"%(?![0-9A-Fa-f]{2})", parts.path):
        return False
    return bool(parts.scheme) or text.startswith("/")


def _address(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


def is_cidr(text: str) -> bool:
    """Say whether *text* is a network such as ``10.0.0.0/8``."""
    address, slash, bits = text.partition("/")
    if not slash or not bits.isdecimal():
        return False
    try:
        ipaddress.ip_interface(f"{address}/{bits}")
    except ValueError:
        return False
    return True


def _isbn10(text: str) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"\d{9}[\dX]", digits, re.ASCII):
        return False
    return sum((10 - i) * (10 if c == "X" else int(c)) for i, c in enumerate(digits)) % 11 == 0


def _isbn13(text: str) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"\d{13}", digits, re.ASCII):
        return False
    return sum((1, 3)[i % 2] * int(c) for i, c in enumerate(digits)) % 10 == 0


def _credit_card(text: str) -> bool:
    digits = re.sub(r"\D+", "", text)
    if not 13 <= len(digits) <= 19:
        return False
    doubled = (int(c) * (1 + i % 2) for i, c in enumerate(reversed(digits)))
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0


_CHECKS: Final[Mapping[str, Callable[[str], bool]]] = {
    "date": is_date,
    "datetime": is_date_time,
    "duration": is_duration,
    "byte": is_byte,
    "uri": is_uri,
    "email": lambda text: _EMAIL.fullmatch(text) is not None,
    "ipv4": _address(4),
    "ipv6": _address(6),
    "cidr": is_cidr,
    "mac": _matches(
        r"([0-9a-fA-F]{2}([:-]))([0-9a-fA-F]{2}\2){4}[0-9a-fA-F]{2}|([0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}"
    ),
    "uuid": _uuid("[0-9a-f]"),
    "uuid3": _uuid("3"),
    "uuid4": _uuid("4"),
    "uuid5": _uuid("5"),
    "hostname": lambda text: _HOSTNAME.fullmatch(text) is not None,
    "bsonobjectid": _matches(r"[0-9a-fA-F]{24}"),
    "isbn": lambda text: _isbn10(text) or _isbn13(text),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "creditcard": _credit_card,
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matches(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": lambda text: _RGB.fullmatch(text) is not None,
    "k8sshortname": lambda text: _LABEL.fullmatch(text) is not None,
    "k8slongname": lambda text: _SUBDOMAIN.fullmatch(text) is not None,
}


def checker(name: str) -> Callable[[str], bool] | None:
    """Return the test for the format called *name*; None if every text passes."""
    return _CHECKS.get(name.replace("-", ""))
