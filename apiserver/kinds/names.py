"""The rules for names and labels; each returns what is wrong, in Kubernetes' words.

Source: RFC 1123 as Kubernetes reads it (labels, subdomains), and its qualified names.
"""

from __future__ import annotations

import re
from typing import Final

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE: Final = f"({_QUALIFIED})?"

_is_label: Final = re.compile(_LABEL).fullmatch
_is_subdomain: Final = re.compile(_SUBDOMAIN).fullmatch
_is_qualified: Final = re.compile(_QUALIFIED).fullmatch
_is_value: Final = re.compile(_VALUE).fullmatch


def _longer_than(text: str, limit: int) -> list[str]:
    return [f"must be no more than {limit} bytes"] if len(text.encode()) > limit else []


def dns_label(name: str) -> list[str]:
    """Return what keeps *name* from being a DNS label, such as a namespace has."""
    wrong = _longer_than(name, 63)
    if not _is_label(name):
        wrong.append(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-',"
            " and must start and end with an alphanumeric character (e.g. 'my-name',  or"
            f" '123-abc', regex used for validation is '{_LABEL}')"
        )
    return wrong


def dns_subdomain(name: str) -> list[str]:
    """Return what keeps *name* from being a DNS subdomain, as most objects' names are."""
    wrong = _longer_than(name, 253)
    if not _is_subdomain(name):
        wrong.append(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters,"
            " '-' or '.', and must start and end with an alphanumeric character (e.g."
            f" 'example.com', regex used for validation is '{_SUBDOMAIN}')"
        )
    return wrong


def path_segment(name: str) -> list[str]:
    """Return what keeps *name* from being one segment of a URL, as RBAC's names are."""
    if name in {".", ".."}:
        return [f"may not be '{name}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in name]


def qualified_name(key: str) -> list[str]:
    """Return what keeps *key* from being a label's key: `[prefix/]name`."""
    prefix, slash, name = key.rpartition("/")
    wrong: list[str] = []
    if "/" in prefix:
        wrong.append(
            "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must"
            " start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or"
            f" '123-abc', regex used for validation is '{_QUALIFIED}') with an optional DNS"
            " subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )
        return wrong
    if slash and not prefix:
        wrong.append("prefix part must be non-empty")
    elif slash:
        wrong += [f"prefix part {text}" for text in dns_subdomain(prefix)]
    if not name:
        wrong.append("name part must be non-empty")
    wrong += [f"name part {text}" for text in _longer_than(name, 63)]
    if not _is_qualified(name):
        wrong.append(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start"
            " and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or"
            f" '123-abc', regex used for validation is '{_QUALIFIED}')"
        )
    return wrong


def label_value(value: str) -> list[str]:
    """Return what keeps *value* from being a label's value."""
    wrong = _longer_than(value, 63)
    if not _is_value(value):
        wrong.append(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_'"
            " or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or"
            f" 'my_value',  or '12345', regex used for validation is '{_VALUE}')"
        )
    return wrong
