"""Limits how often an address may come with tokens that nobody knows, and not who is known."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

from controller.services.limits import PeerLimit

KNOWN_SECONDS: Final = 1800.0
"""Who was let in is not taken for a stranger so long: an address may be shared with one, as the
loopback of a machine is. It opens nothing: the API server is asked about the token all the same."""

_MAX_KNOWN: Final = 4096


class Strangers:
    """Addresses that came with unknown tokens, and digests of tokens that were accepted."""

    def __init__(self, *, ticks: Callable[[], float] = monotonic) -> None:
        self._ticks = ticks
        self._limit = PeerLimit(burst=20, per_second=2, ticks=ticks)
        self._known: OrderedDict[bytes, float] = OrderedDict()

    def must_wait(self, peer: str, token: str) -> bool:
        """Whether the token is not even looked at, for what else came from that address."""
        since = self._known.get(_digest(token))
        if since is not None and self._ticks() - since < KNOWN_SECONDS:
            return False
        return self._limit.exhausted(peer)

    def accepted(self, token: str) -> None:
        """Note that the token is somebody's."""
        digest = _digest(token)
        self._known[digest] = self._ticks()
        self._known.move_to_end(digest)
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)

    def refused(self, peer: str, token: str) -> None:
        """Note that the token, which came from that address, is nobody's."""
        self._known.pop(_digest(token), None)
        self._limit.take(peer)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
