"""The MCP server of one run as its agent is to see it: address, token, configuration."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Final

from runner.drivers.agents import InvalidAgentError, read_home, write_home
from runner.drivers.mcp_formats import (
    TOKEN,
    URL,
    Configured,
    Format,
    Given,
    configure,
    settings_paths,
)
from runner.drivers.mcp_port import FIRST_PORT, listen
from runner.drivers.terminal_values import Inside, Listener, McpLaunch
from runner.shim.listening import INSIDE_ADDRESS, INSIDE_PORT

_TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class McpServer:
    """Where the server of a run listens, and the token that opens it."""

    url: str
    token: str = field(repr=False)
    """For the agent's environment, and for nothing else."""
    listener: Listener | None
    """Closed when it is dropped. None: the socket is made inside the sandbox."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that every agent gets."""
        return {URL: self.url, TOKEN: self.token}

    def launch(self, inside: Inside | None) -> McpLaunch:
        """Return what the shim is told; *inside* is how the sandbox makes the socket, if it does.

        Raises:
            ValueError: It has to be made inside, and is not.
        """
        where = inside or self.listener
        if where is None:
            raise ValueError("the sandbox makes no socket for the MCP server")
        return McpLaunch(hashlib.sha256(self.token.encode()).hexdigest(), where)


def mcp_server(*, inside: bool, first_port: int = FIRST_PORT, kept_port: int = 0) -> McpServer:
    """Return the server of a new run: with a token of its own, and listening, unless *inside*.

    Raises:
        NoPortError: It cannot listen.
    """
    listener = None if inside else listen(first_port, kept_port)
    address, port = INSIDE_ADDRESS, INSIDE_PORT
    if listener is not None:
        address, port = listener.address, listener.port
    return McpServer(f"http://{address}:{port}/mcp", secrets.token_urlsafe(_TOKEN_BYTES), listener)


def equip(wanted: Format, given: Given) -> Configured:
    """Return how the agent is told, its files written already.

    A file of settings that class and pod do not give may be there from an earlier run: what the
    agent wrote into it stays, if our part can be added.

    Raises:
        InvalidAgentError: What class or pod gave cannot be added to, or the home not be written.
    """
    added = _on_top_of_its_own(wanted, given) or configure(wanted, given)
    if added.home_files:
        write_home(given.home, added.home_files.items())
    return added


def _on_top_of_its_own(wanted: Format, given: Given) -> Configured | None:
    found = {
        path: text
        for path in settings_paths(given, wanted)
        if not _names(given.home_files, path) and (text := read_home(given.home, path)) is not None
    }
    if not found:
        return None
    try:
        return configure(wanted, replace(given, home_files={**given.home_files, **found}))
    except InvalidAgentError:
        return None  # the agent spoiled it: it gets a new one


def _names(files: Mapping[str, str], path: str) -> bool:
    return any(PurePosixPath(each) == PurePosixPath(path) for each in files)
