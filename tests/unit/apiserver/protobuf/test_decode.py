"""Protobuf requests: bodies that kubectl 1.32 sent, and garbage."""

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.protobuf import ProtobufError, decode
from apiserver.protobuf.messages import MESSAGES, PLAIN

CAPTURED = json.loads((Path(__file__).parent / "captured.json").read_text(encoding="utf-8"))
SCALARS = {"string", "int", "bool", "bytes", "time", "micro"}


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def frame(kind: str, raw: bytes, api_version: str = "v1") -> bytes:
    meta = field(1, api_version.encode()) + field(2, kind.encode())
    return b"k8s\0" + field(1, meta) + field(2, raw)


@pytest.mark.parametrize("request_", CAPTURED, ids=[item["command"] for item in CAPTURED])
def test_what_kubectl_sends_is_understood(request_: Any) -> None:
    assert decode(base64.b64decode(request_["body"])) == request_["object"]


def test_every_kind_of_field_is_read() -> None:
    stamp = field(1, 1_700_000_000) + field(2, 123_456_000)
    owner = field(3, b"o") + field(6, 0) + field(7, 1)
    meta = field(1, b"l") + field(7, -1) + field(8, stamp) + field(10, 0) + field(13, owner)
    spec = field(1, b"") + field(2, 40) + field(4, stamp) + field(99, b"unknown")
    assert decode(frame("Lease", field(1, meta) + field(2, spec), "coordination.k8s.io/v1")) == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": "l",
            "generation": -1,
            "creationTimestamp": "2023-11-14T22:13:20Z",
            "deletionGracePeriodSeconds": 0,
            "ownerReferences": [{"name": "o", "controller": False, "blockOwnerDeletion": True}],
        },
        "spec": {
            "holderIdentity": "",
            "leaseDurationSeconds": 40,
            "renewTime": "2023-11-14T22:13:20.123456Z",
        },
    }


def test_empty_texts_and_zero_times_count_as_absent() -> None:
    zero = field(1, -62_135_596_800) + field(2, 0)
    meta = field(1, b"n") + field(3, b"") + field(8, zero) + field(9, b"")
    assert decode(frame("ConfigMap", field(1, meta)))["metadata"] == {"name": "n"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b"", "frame", id="nothing"),
        pytest.param(b'{"kind": "Secret"}', "frame", id="JSON"),
        pytest.param(frame("Pod", b""), "send JSON", id="a kind that nobody sends"),
        pytest.param(frame("Secret", b"\x0a\xff"), "end", id="cut short"),
        pytest.param(frame("Secret", b"\x0b"), "wire type 3", id="a group"),
        pytest.param(frame("Secret", b"\xff" * 11), "too long", id="an endless number"),
        pytest.param(frame("Secret", field(1, 3)), "bytes", id="a number for a message"),
        pytest.param(frame("Secret", field(3, b"\xff")), "UTF-8", id="no UTF-8"),
        pytest.param(frame("Secret", field(5, b"x")), "number", id="bytes for a number"),
        pytest.param(frame("Secret", b"") + field(3, b"gzip"), "once more", id="compressed"),
        pytest.param(
            frame("Event", field(6, field(1, 1 << 62))), "out of range", id="a time far away"
        ),
    ],
)
def test_other_bodies_are_refused(body: bytes, words: str) -> None:
    with pytest.raises(ProtobufError, match=words):
        decode(body)


@given(st.sampled_from(sorted(MESSAGES)), st.binary(max_size=200))
def test_garbage_is_refused_or_ignored(kind: str, raw: bytes) -> None:
    with contextlib.suppress(ProtobufError):
        decode(frame(kind, raw))
    with contextlib.suppress(ProtobufError):
        decode(b"k8s\0" + raw)


@given(st.data())
def test_captured_bodies_with_changed_bytes_are_refused_or_read(data: st.DataObject) -> None:
    body = bytearray(base64.b64decode(data.draw(st.sampled_from(CAPTURED))["body"]))
    for _ in range(3):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtobufError):
        assert decode(bytes(body))["kind"] in MESSAGES


def test_every_type_in_the_table_exists() -> None:
    for fields in MESSAGES.values():
        for _, shape in fields.values():
            bare = shape.removesuffix("!").removesuffix("[]").removesuffix("{}")
            assert bare in SCALARS or bare in MESSAGES
    assert all(field in {name for name, _ in MESSAGES[m].values()} for m, field in PLAIN.items())
