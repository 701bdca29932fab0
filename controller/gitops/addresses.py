"""Which addresses git may connect to: public ones, and those that the operator allows.

Whoever may edit a Repository chooses the host: without this he would reach what listens to the
controller alone.
"""

from collections.abc import Sequence

from controller.services.notification_addresses import Network
from gitaccess.places import Location


def is_open(address: str, allowed: Sequence[Network]) -> bool:
    """Whether git may connect to the address; *allowed* is what the operator allows. Pure."""
    raise NotImplementedError


async def open_addresses(location: Location, allowed: Sequence[Network]) -> tuple[str, ...]:
    """Return the addresses of the host that may be connected to; none of a local repository.

    Git is told these, so that the name cannot mean another one a moment later.

    Raises:
        RefusedError: ``AddressNotAllowed``: it has none that may be.
        UnreachableError: Its name is not known.
    """
    raise NotImplementedError
