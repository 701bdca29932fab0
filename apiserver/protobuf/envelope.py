"""From Kubernetes' protobuf frame to the object as JSON data.

A frame is ``k8s`` and a zero byte, then ``runtime.Unknown``: the type, and the object's own bytes.
Fields that a message here does not name are ignored, as protobuf wants it.
"""

import base64
import datetime as dt
from typing import Any, Final

from apiserver.protobuf.messages import MESSAGES, PLAIN
from apiserver.protobuf.wire import BYTES, VARINT, ProtobufError, fields, signed

MAGIC: Final = b"k8s\x00"
_MAX_DEPTH: Final = 20
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def decode(body: bytes) -> dict[str, Any]:
    """Return the object in *body*, with its ``apiVersion`` and ``kind``.

    Raises:
        ProtobufError: It is no frame, or of a kind that is not accepted in this form.
    """
    if not body.startswith(MAGIC):
        raise ProtobufError("the body does not begin with the frame of Kubernetes")
    api_version, kind, raw, encoding = "", "", b"", b""
    for number, _, value in fields(body[len(MAGIC) :]):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            api_version, kind = _type_meta(value)
        elif number == 2:
            raw = value
        elif number == 3:
            encoding = value
    if encoding:
        raise ProtobufError("the object is encoded once more")
    if kind not in MESSAGES:
        raise ProtobufError(f"no protobuf of kind {kind!r} is accepted: send JSON")
    return {"apiVersion": api_version, "kind": kind, **_message(kind, raw, 0)}


def _type_meta(data: bytes) -> tuple[str, str]:
    found = {number: value for number, _, value in fields(data) if isinstance(value, bytes)}
    return _text(found.get(1, b"")), _text(found.get(2, b""))


def _message(name: str, data: bytes, depth: int) -> dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise ProtobufError("nested too deeply")
    known = MESSAGES[name]
    result: dict[str, Any] = {}
    for number, kind, value in fields(data):
        if number not in known:
            continue
        field, shape = known[number]
        if shape.endswith("{}"):
            key, item = _entry(shape.removesuffix("{}"), _bytes(value, kind), depth)
            result.setdefault(field, {})[key] = item
        elif shape.endswith("[]"):
            item = _value(shape.removesuffix("[]"), value, kind, depth)
            result.setdefault(field, []).append(item)
        else:
            item = _value(shape.removesuffix("!"), value, kind, depth)
            # a message that is there, although empty, says so: `emptyDir: {}`; scalars do not
            if item not in ("", 0, False, None) or shape.endswith("!"):
                result[field] = item
    return result


def _entry(shape: str, data: bytes, depth: int) -> tuple[str, Any]:
    """Return key and value of one entry of a map."""
    key = ""
    item: Any = {} if shape in MESSAGES and shape not in PLAIN else ""
    for number, kind, value in fields(data):
        if number == 1:
            key = _text(_bytes(value, kind))
        elif number == 2:
            item = _value(shape, value, kind, depth)
    return key, item


def _value(shape: str, value: int | bytes, kind: int, depth: int) -> Any:
    if shape in {"int", "bool"}:
        if kind != VARINT or not isinstance(value, int):
            raise ProtobufError("a number was expected")
        return signed(value) if shape == "int" else value != 0
    data = _bytes(value, kind)
    if shape == "string":
        return _text(data)
    if shape == "bytes":
        return base64.b64encode(data).decode("ascii")
    if shape in {"time", "micro"}:
        return _time(data, micro=shape == "micro")
    if shape in PLAIN:
        return _message(shape, data, depth + 1).get(PLAIN[shape], "")
    return _message(shape, data, depth + 1)


def _bytes(value: int | bytes, kind: int) -> bytes:
    if kind != BYTES or not isinstance(value, bytes):
        raise ProtobufError("bytes were expected")
    return value


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ProtobufError("a text is not UTF-8") from None


def _time(data: bytes, *, micro: bool) -> str | None:
    """Return a Timestamp as RFC 3339; None for the zero time, which stands for none."""
    seconds, nanos = 0, 0
    for number, _, value in fields(data):
        if isinstance(value, int):
            seconds = signed(value) if number == 1 else seconds
            nanos = value if number == 2 else nanos
    if not data:
        return None
    try:
        moment = _EPOCH + dt.timedelta(seconds=seconds, microseconds=min(nanos, 10**9) // 1000)
    except OverflowError:
        raise ProtobufError("a time is out of range") from None
    if moment.year <= 1:
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{moment:%f}Z" if micro else "Z")
