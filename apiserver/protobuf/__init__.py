"""Requests in Kubernetes' protobuf form, which kubectl sends since 1.32 for built-in kinds."""

from apiserver.protobuf.envelope import decode
from apiserver.protobuf.wire import ProtobufError

__all__ = ["ProtobufError", "decode"]
