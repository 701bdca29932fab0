"""Signing requests as callers send them."""

import grpc

from controller.pki.errors import RefusedCsr
from controller.pki.leaf import PublicKey, read_csr
from controller.rpc.refusal import Refusal


def public_key_of(csr_der: bytes) -> PublicKey:
    """Return the key of a signing request: all that is used of it.

    Raises:
        Refusal: The request or its key is not acceptable.
    """
    try:
        return read_csr(csr_der)
    except RefusedCsr as exc:
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, str(exc)) from exc
