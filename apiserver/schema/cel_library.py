"""The functions that Kubernetes adds to CEL, for those that the CEL library has not.

A value of a Kubernetes type (quantity, URL, address, network, version) is a map with one key that
names the type: the library takes nothing else from Python.
"""

import ipaddress
import re
import urllib.parse
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

Value = dict[str, Any]

_QUANTITY: Final = re.compile(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d{1,3})?", re.ASCII
)
_SEMVER: Final = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII
)
_BINARY: Final = {unit: Decimal(1024) ** (i + 1) for i, unit in enumerate("KMGTPE")}
_DECIMAL: Final = {
    unit: Decimal(1000) ** power
    for unit, power in zip("numkMGTPE", (-3, -2, -1, 1, 2, 3, 4, 5, 6), strict=True)
}


def functions(cel: Any) -> list[Any]:
    """Return the declarations, made with the library's module *cel*."""
    return [*_Declarations(cel)]


class _Declarations:
    """Collects declarations under the names that CEL knows."""

    def __init__(self, cel: Any) -> None:
        self._cel = cel
        kind = cel.Type
        self._types = {
            "s": kind.STRING,
            "b": kind.BOOL,
            "i": kind.INT,
            "d": kind.DOUBLE,
            "l": kind.List(kind.DYN),
            "m": kind.Map(kind.DYN, kind.DYN),
            "?": kind.DYN,
            "t": kind.TIMESTAMP,
            "u": kind.DURATION,
        }

    def __iter__(self) -> Any:
        yield from self._lists()
        yield from self._texts()
        yield from self._quantities()
        yield from self._urls()
        yield from self._addresses()
        yield from self._versions()

    def _declare(self, name: str, *overloads: tuple[str, Callable[..., Any]]) -> Any:
        """Declare *name*; overloads: ``receiver.arguments>result`` in letters, a function."""
        made = []
        for signature, implementation in overloads:
            left, _, result = signature.partition(">")
            receiver, dot, arguments = left.rpartition(".")
            letters = receiver + arguments
            made.append(
                self._cel.Overload(
                    f"k8s_{name}_{signature}",
                    return_type=self._types[result],
                    parameters=[self._types[letter] for letter in letters],
                    is_member=bool(dot),
                    impl=implementation,
                )
            )
        return self._cel.FunctionDecl(name, made)

    def _lists(self) -> Iterable[Any]:
        yield self._declare("isSorted", ("l.>b", _is_sorted))
        yield self._declare("sum", ("l.>?", lambda items: sum(items) if items else 0))
        yield self._declare("min", ("l.>?", _smallest))
        yield self._declare("max", ("l.>?", _largest))
        each = "sbidlm"
        yield self._declare(
            "k8s_indexOf",
            *((f"l.{kind}>i", _index) for kind in each),
            ("s.s>i", lambda text, part: text.find(part)),
            ("s.si>i", lambda text, part, start: text.find(part, start)),
        )
        yield self._declare(
            "k8s_lastIndexOf",
            *((f"l.{kind}>i", _last_index) for kind in each),
            ("s.s>i", lambda text, part: text.rfind(part)),
            ("s.si>i", lambda text, part, end: text.rfind(part, 0, end + len(part))),
        )

    def _texts(self) -> Iterable[Any]:
        yield self._declare("find", ("s.s>s", _find))
        yield self._declare("findAll", ("s.s>l", _find_all), ("s.si>l", _find_all))

    def _quantities(self) -> Iterable[Any]:
        yield self._declare("isQuantity", ("s>b", lambda text: bool(_QUANTITY.fullmatch(text))))
        yield self._declare("quantity", ("s>m", quantity))
        yield self._declare("isInteger", ("m.>b", _is_integer))
        yield self._declare("asInteger", ("m.>i", _as_integer))
        yield self._declare("asApproximateFloat", ("m.>d", lambda q: float(_amount(q))))
        yield self._declare("add", ("m.m>m", _add), ("m.i>m", _add))
        yield self._declare("sub", ("m.m>m", _subtract), ("m.i>m", _subtract))
        # quantities and versions share these three
        yield self._declare("isLessThan", ("m.m>b", lambda a, b: _compare(a, b) < 0))
        yield self._declare("isGreaterThan", ("m.m>b", lambda a, b: _compare(a, b) > 0))
        yield self._declare("compareTo", ("m.m>i", _compare))

    def _urls(self) -> Iterable[Any]:
        yield self._declare("isURL", ("s>b", is_url))
        yield self._declare("url", ("s>m", url))
        for name, key in (
            ("getScheme", "scheme"),
            ("getHost", "host"),
            ("getHostname", "hostname"),
            ("getPort", "port"),
            ("getEscapedPath", "path"),
        ):
            yield self._declare(name, ("m.>s", lambda value, key=key: value["url"][key]))
        yield self._declare("getQuery", ("m.>m", lambda value: value["url"]["query"]))

    def _addresses(self) -> Iterable[Any]:
        yield self._declare("isIP", ("s>b", is_ip))
        yield self._declare("ip", ("s>m", ip), ("m.>m", lambda net: ip(net["cidr"].split("/")[0])))
        yield self._declare(
            "ip.isCanonical", ("s>b", lambda text: str(ipaddress.ip_address(text)) == text)
        )
        yield self._declare("family", ("m.>i", lambda value: _address(value).version))
        for name, test in _ADDRESS_TESTS.items():
            yield self._declare(name, ("m.>b", lambda value, test=test: test(_address(value))))
        yield self._declare("isCIDR", ("s>b", is_cidr))
        yield self._declare("cidr", ("s>m", cidr))
        yield self._declare("containsIP", ("m.s>b", _contains_ip), ("m.m>b", _contains_ip))
        yield self._declare("containsCIDR", ("m.s>b", _contains_cidr), ("m.m>b", _contains_cidr))
        yield self._declare("prefixLength", ("m.>i", lambda net: int(net["cidr"].split("/")[1])))
        yield self._declare("masked", ("m.>m", lambda net: {"cidr": str(_network(net))}))

    def _versions(self) -> Iterable[Any]:
        yield self._declare("isSemver", ("s>b", lambda text: bool(_SEMVER.fullmatch(text))))
        yield self._declare("semver", ("s>m", semver))
        for index, name in enumerate(("major", "minor", "patch")):
            yield self._declare(
                name,
                ("m.>i", lambda value, index=index: int(value["semver"].split(".", 2)[index]))
                if index < 2
                else ("m.>i", lambda value: int(re.split(r"[-+.]", value["semver"])[2])),
            )


# -- lists and texts ------------------------------------------------------------------------------


def _is_sorted(items: list[Any]) -> bool:
    return all(not after < before for before, after in pairwise(items))


def _smallest(items: list[Any]) -> Any:
    if not items:
        raise ValueError("min called on empty list")
    return min(items)


def _largest(items: list[Any]) -> Any:
    if not items:
        raise ValueError("max called on empty list")
    return max(items)


def _index(items: list[Any], wanted: Any) -> int:
    return next((index for index, item in enumerate(items) if item == wanted), -1)


def _last_index(items: list[Any], wanted: Any) -> int:
    found = _index(items[::-1], wanted)
    return found if found < 0 else len(items) - 1 - found


def _find(text: str, pattern: str) -> str:
    found = _find_all(text, pattern, 1)
    return found[0] if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    from apiserver.schema.cel import find_all  # that module imports this one

    found = find_all(text, pattern)
    return found if limit < 0 else found[:limit]


# -- quantities -----------------------------------------------------------------------------------


def parse_quantity(text: str) -> Decimal:
    """Return the number that a quantity such as ``1.5Gi`` stands for.

    Raises:
        ValueError: It is no quantity.
    """
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(
            "quantities must match the regular expression"
            " '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    number, unit = Decimal(found.group(1)), found.group(2) or ""
    if unit.endswith("i"):
        return number * _BINARY[unit[0]]
    if unit in _DECIMAL:
        return number * _DECIMAL[unit]
    return number.scaleb(int(unit[1:])) if unit else number


def quantity(text: str) -> Value:
    """Return a quantity for CEL."""
    return _of(parse_quantity(text))


def _of(amount: Decimal) -> Value:
    return {"quantity": format(amount.normalize(), "f")}


def _amount(value: Value | int) -> Decimal:
    return Decimal(value) if isinstance(value, int) else Decimal(value["quantity"])


def _is_integer(value: Value) -> bool:
    amount = _amount(value)
    return amount == amount.to_integral_value() and abs(amount) < 2**63


def _as_integer(value: Value) -> int:
    if not _is_integer(value):
        raise ValueError("cannot convert value to integer")
    return int(_amount(value))


def _add(one: Value, other: Value | int) -> Value:
    return _of(_amount(one) + _amount(other))


def _subtract(one: Value, other: Value | int) -> Value:
    return _of(_amount(one) - _amount(other))


def _compare(one: Value, other: Value) -> int:
    if "semver" in one:
        left, right = _precedence(one["semver"]), _precedence(other["semver"])
        return (left > right) - (left < right)
    first, second = _amount(one), _amount(other)
    return (first > second) - (first < second)


# -- URLs, addresses, versions --------------------------------------------------------------------


def is_url(text: str) -> bool:
    """Say whether *text* is an absolute URL or an absolute path."""
    try:
        url(text)
    except ValueError:
        return False
    return True


def url(text: str) -> Value:
    """Return the parts of a URL for CEL."""
    parts = urllib.parse.urlsplit(text)
    if not parts.scheme and not text.startswith("/"):
        raise ValueError(f"URL parse error during conversion from string: {text!r}")
    host = parts.netloc.rpartition("@")[2]
    bare = host.rpartition(":")[0] if parts.port is not None else host
    return {
        "url": {
            "scheme": parts.scheme,
            "host": host,
            "hostname": bare.removeprefix("[").removesuffix("]"),
            "port": "" if parts.port is None else str(parts.port),
            "path": parts.path,
            "query": urllib.parse.parse_qs(parts.query, keep_blank_values=True),
        }
    }


def is_ip(text: str) -> bool:
    """Say whether *text* is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def ip(text: str) -> Value:
    """Return an IP address for CEL."""
    return {"ip": str(ipaddress.ip_address(text))}


def _address(value: Value) -> Any:
    return ipaddress.ip_address(value["ip"])


_ADDRESS_TESTS: Final[dict[str, Callable[[Any], bool]]] = {
    "isUnspecified": lambda address: address.is_unspecified,
    "isLoopback": lambda address: address.is_loopback,
    "isLinkLocalMulticast": lambda address: (
        address in ipaddress.ip_network("224.0.0.0/24" if address.version == 4 else "ff02::/16")
    ),
    "isLinkLocalUnicast": lambda address: address.is_link_local,
    "isGlobalUnicast": lambda address: (
        not (
            address.is_unspecified
            or address.is_loopback
            or address.is_multicast
            or address.is_link_local
            or str(address) == "255.255.255.255"
        )
    ),
}


def is_cidr(text: str) -> bool:
    """Say whether *text* is a network in CIDR notation."""
    try:
        cidr(text)
    except ValueError:
        return False
    return True


def cidr(text: str) -> Value:
    """Return a network for CEL."""
    if not re.fullmatch(r"[0-9a-fA-F:.]+/\d{1,3}", text, re.ASCII):
        raise ValueError(f"network address parse error: {text!r}")
    return {"cidr": str(ipaddress.ip_interface(text))}


def _network(value: Value | str) -> Any:
    text = value if isinstance(value, str) else value["cidr"]
    return ipaddress.ip_network(text, strict=False)


def _contains_ip(net: Value, address: Value | str) -> bool:
    text = address if isinstance(address, str) else address["ip"]
    return ipaddress.ip_address(text) in _network(net)


def _contains_cidr(net: Value, other: Value | str) -> bool:
    outer, inner = _network(net), _network(other)
    return bool(outer.version == inner.version and inner.subnet_of(outer))


def semver(text: str) -> Value:
    """Return a version for CEL."""
    if not _SEMVER.fullmatch(text):
        raise ValueError(f"not a semantic version: {text!r}")
    return {"semver": text}


def _precedence(text: str) -> tuple[Any, ...]:
    """Return what orders versions. Source: semver.org 2.0.0, section 11."""
    found = _SEMVER.fullmatch(text)
    if found is None:
        raise ValueError(f"not a semantic version: {text!r}")
    numbers = tuple(int(found.group(i)) for i in (1, 2, 3))
    if found.group(4) is None:
        return (*numbers, 1)
    parts = found.group(4).split(".")
    return (*numbers, 0, [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts])
