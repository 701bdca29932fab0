"""Where notifications may go, by the address that is really connected to. Pure.

Whoever may edit an Organization chooses the URL: it must not reach what answers only on this
machine's own link, such as a cloud's metadata service.
"""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

METADATA: Final[tuple[Network, ...]] = tuple(
    ip_network(each)
    for each in (
        "169.254.0.0/16",  # link-local, where most clouds have theirs
        "fe80::/10",
        "fd00:ec2::/32",  # AWS
        "100.100.100.200/32",  # Alibaba
        "192.0.0.192/32",  # Oracle
        "168.63.129.16/32",  # Azure
        "fd20:ce::/32",  # Google
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Source: RFC 6052, the well-known prefix."""


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks.

    Raises:
        ValueError: One of them is none.
    """
    return tuple(ip_network(text) for text in texts)


def is_allowed(address: str, allowed: Sequence[Network], *, plain: bool) -> bool:
    """Whether a notification may be sent there; *plain*: without TLS, which only loopback may.

    *allowed* is what the operator allows beyond that.
    """
    try:
        real = real_address(ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    if any(real in network for network in allowed if network.version == real.version):
        return True
    if real.is_loopback:
        return True
    if plain or real.is_unspecified or real.is_multicast or real.is_link_local:
        return False
    if real.is_reserved or real == IPv4Address("255.255.255.255"):
        return False
    return not any(real in each for each in METADATA if each.version == real.version)


def real_address(address: Address) -> Address:
    """Return the IPv4 address inside of an IPv6 one that leads there."""
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _NAT64:
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    return inner or address
