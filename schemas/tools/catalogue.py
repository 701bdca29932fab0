"""All tools, by name."""

from typing import Final

from schemas.tools import binding, channel, discovery, pod, terminal, ticket
from schemas.tools.base import Tool

CATALOGUE: Final[dict[str, Tool]] = {
    tool.name: tool
    for module in (discovery, terminal, binding, channel, ticket, pod)
    for tool in module.TOOLS
}
"""The 24 tools, in the order of the pages. None may go, and none changes its name."""
