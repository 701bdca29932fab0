"""Opens channels to the controller. A channel is bound to one certificate for its whole life."""

from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2_grpc

from runner.link.identity import Identity

_OPTIONS: Final[list[tuple[str, Any]]] = [
    ("grpc.use_local_subchannel_pool", 1),  # a connection of its own: terminals never delay states
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),  # the endpoint was named by the user; no environment reroutes it
    ("grpc.enable_retries", 0),  # retrying is decided where it is known what may be repeated
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
]


def mutual(endpoint: str, identity: Identity) -> grpc.aio.Channel:
    """Return a channel on which the runner proves itself by its certificate."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=identity.roots_pem,
        private_key=identity.key_pem,
        certificate_chain=identity.chain_pem,
    )
    return grpc.aio.secure_channel(endpoint, credentials, options=_OPTIONS)


def server_only(endpoint: str, roots_pem: bytes) -> grpc.aio.Channel:
    """Return a channel that only checks the server, against exactly these roots."""
    credentials = grpc.ssl_channel_credentials(root_certificates=roots_pem)
    return grpc.aio.secure_channel(endpoint, credentials, options=_OPTIONS)


def enrollment(channel: grpc.aio.Channel) -> Any:
    """Return the client of Enrollment; the generated stubs have no types."""
    return link_pb2_grpc.EnrollmentStub(channel)  # type: ignore[no-untyped-call]  # generated


def control(channel: grpc.aio.Channel) -> Any:
    """Return the client of RunnerControl; the generated stubs have no types."""
    return link_pb2_grpc.RunnerControlStub(channel)  # type: ignore[no-untyped-call]  # generated


def terminal(channel: grpc.aio.Channel) -> Any:
    """Return the client of RunnerTerminal, which takes messages or their bytes."""
    return link_pb2_grpc.RunnerTerminalStub(_Passing(channel))  # type: ignore[no-untyped-call]  # generated


def tools(channel: grpc.aio.Channel) -> Any:
    """Return the client of RunnerTools; the generated stubs have no types."""
    return link_pb2_grpc.RunnerToolsStub(channel)  # type: ignore[no-untyped-call]  # generated


class _Passing:
    """A channel for a generated stub whose requests may be bytes already."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def stream_stream(self, method: str, **options: Any) -> Any:
        """Return the caller of a method with streams both ways."""
        return self._channel.stream_stream(method, **{**options, "request_serializer": _written})


def _written(message: Any) -> bytes:
    """Serialize a message, unless that was done already."""
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())
