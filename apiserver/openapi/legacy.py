"""``/openapi/v2``: a document that names no type.

kubectl asks for it in one place that it has no newer way for: before it sends a ``kind: List``.
Finding the type unknown there it sends each item and lets the server validate it, which ours does.
Everything else asks for v3. Source: kubectl 1.32, ``resource/query_param_verifier.go``.
"""

from typing import Final

ASKED_PROTOBUF: Final = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
"""What clients accept; no media type at all by RFC 2045, so it is answered under the next name."""
PROTOBUF: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

_SWAGGER: Final = b"2.0"
_TITLE: Final = b"AgentsMesh"


def as_protobuf() -> bytes:
    """Return the document as ``openapi.v2.Document``: fields 1 ``swagger`` and 2 ``info.title``."""
    return _field(1, _SWAGGER) + _field(2, _field(1, _TITLE))


def as_json() -> bytes:
    """Return the same document as JSON."""
    return b'{"swagger":"2.0","info":{"title":"AgentsMesh","version":""},"paths":{}}'


def _field(number: int, content: bytes) -> bytes:
    """Return a length-delimited field; *content* is short."""
    return bytes([number << 3 | 2, len(content)]) + content
