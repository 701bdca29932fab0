"""The tools that find, make, read and write channels."""

from collections.abc import Mapping

from controller.services.channels import Channels
from controller.tools.call import Handler


def handlers(channels: Channels) -> Mapping[str, Handler]:
    """Return the handlers of the seven tools, by name."""
    raise NotImplementedError
