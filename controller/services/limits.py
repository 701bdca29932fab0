"""Limits how often one address may ask."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from time import monotonic
from typing import Final

_MAX_PEERS: Final = 10_000
"""Addresses remembered; the one not seen for longest is forgotten first."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class PeerLimit:
    """A token bucket per address; IPv6 counts by /64, because a host has all of one."""

    def __init__(
        self, burst: float, per_second: float, *, ticks: Callable[[], float] = monotonic
    ) -> None:
        self._burst = burst
        self._per_second = per_second
        self._ticks = ticks
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, peer: str) -> bool:
        """Whether the address may ask once more now; counts it if so."""
        bucket = self._bucket(peer)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def exhausted(self, peer: str) -> bool:
        """Whether the address has to wait. Counts nothing."""
        return self._bucket(peer).tokens < 1

    def _bucket(self, peer: str) -> _Bucket:
        """Return the bucket of the address, filled up to now."""
        key, now = _key(peer), self._ticks()
        bucket = self._buckets.setdefault(key, _Bucket(self._burst, now))
        self._buckets.move_to_end(key)
        if len(self._buckets) > _MAX_PEERS:
            self._buckets.popitem(last=False)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._per_second)
        bucket.at = now
        return bucket


def _key(peer: str) -> str:
    try:
        address = ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((int(address), 64), strict=False).network_address)
    return str(address)
