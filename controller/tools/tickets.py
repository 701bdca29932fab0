"""The tools that find, read, make and change tickets."""

from collections.abc import Mapping

from controller.services.tickets import Tickets
from controller.tools.call import Handler


def handlers(tickets: Tickets) -> Mapping[str, Handler]:
    """Return the handlers of the four tools, by name."""
    raise NotImplementedError
