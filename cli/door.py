"""The way to the controller's public port: one connection, the caller's token with each call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc

from cli.errors import CommandError
from cli.terminal.address import Address
from cli.terminal.stream import refusal

_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 20_000),  # a laptop that slept notices that nobody is there
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_retries", 0),
)
_LOOPBACK: Final = ("127.", "localhost:", "[::1]")


@asynccontextmanager
async def door(address: Address) -> AsyncIterator[Any]:
    """Give a gRPC channel of its own."""
    credentials = grpc.ssl_channel_credentials(root_certificates=address.roots)
    direct = address.endpoint.startswith(_LOOPBACK)
    options = [*_OPTIONS, *([("grpc.enable_http_proxy", 0)] if direct else [])]
    async with grpc.aio.secure_channel(address.endpoint, credentials, options) as channel:
        yield channel


def metadata(address: Address) -> tuple[tuple[str, str], ...]:
    """Return what says who calls."""
    return (("authorization", address.token),)


def refused(error: grpc.aio.AioRpcError, what: str) -> CommandError:
    """Return the error for the user; *what* an older controller has not, such as channels."""
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return CommandError(f"the controller has no {what}: it is older than this program")
    return refusal(error.code(), error.details() or "")
