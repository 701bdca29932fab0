"""A refusal as the caller sees it: a gRPC status and one sentence."""

from typing import NoReturn

import grpc


class Refusal(Exception):  # noqa: N818 - it is an answer, not a malfunction
    """Ends an RPC with a status. Raised below the edge, sent by the interceptor."""

    def __init__(self, code: grpc.StatusCode, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        """One sentence for the caller, free of secrets."""
        self.reason = reason
        """CamelCase, for Events and for CloseSession."""


def refuse(code: grpc.StatusCode, message: str, reason: str = "") -> NoReturn:
    """Raise the refusal."""
    raise Refusal(code, message, reason)
