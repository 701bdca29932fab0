"""Which addresses git may connect to: public ones, and those that the operator allows.

Whoever may edit a Repository chooses the host: without this he would reach what answers to the
controller alone.
"""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from ipaddress import IPv6Network, ip_address
from typing import Final
from urllib.request import getproxies_environment, proxy_bypass

from controller.gitops.remote import (
    ADDRESS_NOT_ALLOWED,
    REMOTE_UNREACHABLE,
    URL_NOT_ALLOWED,
    RefusedError,
    UnreachableError,
)
from controller.gitops.shares import SERVERS
from controller.services.notification_addresses import METADATA, Network, real_address
from gitaccess.places import Location

_RESOLVE_SECONDS: Final = 10.0
_MOST: Final = 16
"""Addresses of one host."""
_RESOLVERS: Final = ThreadPoolExecutor(4 * SERVERS.total, "resolve")
"""Threads that only this waits for: a name server that hangs keeps one longer than we wait."""


_NOT_GLOBAL: Final = (IPv6Network("fec0::/10"), IPv6Network("3fff::/20"))
"""What Python's ``is_global`` does not know. Source: RFC 3879, RFC 9637."""


def is_open(address: str, allowed: Sequence[Network]) -> bool:
    """Whether git may connect to the address; *allowed* is what the operator allows."""
    try:
        real = real_address(ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    if any(real in network for network in allowed if network.version == real.version):
        return True
    if not real.is_global or real.is_multicast or real.is_reserved or real.is_unspecified:
        return False
    closed = (*METADATA, *_NOT_GLOBAL)
    return not any(real in each for each in closed if each.version == real.version)


async def pinned(location: Location, allowed: Sequence[Network]) -> Location:
    """Return *location* with the addresses of its host that git may connect to, and no others.

    Behind a proxy of the operator's, a name that is not known here is left to it.

    Raises:
        RefusedError: ``AddressNotAllowed``: the host has none that may be.
        UnreachableError: Its name is not known.
    """
    if location.local:
        return location
    if location.host.endswith("."):  # what is pinned would not be found by that name
        raise RefusedError(URL_NOT_ALLOWED, "the repository's host ends with a dot: leave it out")
    found = await _resolved(location)
    good = tuple(address for address in found if is_open(address, allowed))
    if found and not good:
        raise RefusedError(
            ADDRESS_NOT_ALLOWED,
            f"the repository's host {location.host} is at a private address: the operator may"
            " allow it (--git-allow)",
        )
    return replace(location, addresses=good[:_MOST])


async def _resolved(location: Location) -> tuple[str, ...]:
    """Return what the name means, without repetition; nothing if that is the proxy's to know."""
    ask = partial(socket.getaddrinfo, location.host, location.port, type=socket.SOCK_STREAM)
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().run_in_executor(_RESOLVERS, ask)
    except (OSError, UnicodeError) as exc:  # a timeout is one, too
        if _is_proxied(location):
            return ()
        raise UnreachableError(
            REMOTE_UNREACHABLE, f"the host name {location.host} is not known here"
        ) from exc
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_proxied(location: Location) -> bool:
    proxies = getproxies_environment()
    if location.protocol != "https" or not ({"https", "all"} & proxies.keys()):
        return False
    return not proxy_bypass(f"{location.host}:{location.port}")
