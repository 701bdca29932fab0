"""Media types: what a client accepts, and what its body says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from json import loads as slow_loads
from typing import Any, Final, NamedTuple

import orjson
import yaml

from apiserver import errors
from apiserver.store.records import Object

JSON: Final = "application/json"
YAML: Final = "application/yaml"
PROTOBUF: Final = "application/vnd.kubernetes.protobuf"

_JSON_RANGES: Final = frozenset({JSON, "application/*", "*/*"})
_MOST_NODES: Final = 500_000
"""A YAML document that unfolds to more than this is an attack (aliases of aliases)."""

_DEEPEST: Final = 200
"""Levels of a document; what walks through objects may recurse that far."""

_KEY: Final = re.compile(rb'"\s*:')


class Shape(StrEnum):
    """What an answer's objects look like."""

    OBJECT = "object"
    TABLE = "Table"
    PARTIAL = "PartialObjectMetadata"
    PARTIAL_LIST = "PartialObjectMetadataList"


class Form(NamedTuple):
    """How an answer is to be given."""

    shape: Shape
    version: str
    """Version of the meta.k8s.io type, for tables and partial objects."""
    yaml: bool


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: dates stay texts."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class has it
        first: [(tag, regexp) for tag, regexp in found if tag != "tag:yaml.org,2002:timestamp"]
        for first, found in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


class Range(NamedTuple):
    """One part of an Accept header."""

    type: str
    params: dict[str, str]


@lru_cache(maxsize=256)
def ranges(accept: str) -> tuple[Range, ...]:
    """Return the parts of an Accept header, the most wanted first."""
    found: list[tuple[float, Range]] = []
    for part in accept.split(","):
        kind, *rest = (piece.strip() for piece in part.split(";"))
        params = dict(_pair(piece) for piece in rest)
        try:
            quality = float(params.pop("q", "1"))
        except ValueError:
            quality = 0.0
        if kind:
            found.append((-quality, Range(kind.lower(), params)))
    return tuple(item for _, item in sorted(found, key=lambda pair: pair[0]))


def _pair(piece: str) -> tuple[str, str]:
    name, _, value = piece.partition("=")
    return name.strip(), value.strip().strip('"')


@lru_cache(maxsize=256)
def negotiate(accept: str, *, shapes: bool = True) -> Form:
    """Return the form that fits an Accept header best.

    Args:
        accept: The header; empty means JSON.
        shapes: Whether tables and partial objects can be made of the answer.

    Raises:
        ApiError: 406, nothing fits.
    """
    if not accept:
        return Form(Shape.OBJECT, "", yaml=False)
    for kind, params in ranges(accept):
        if kind not in _JSON_RANGES and kind != YAML:
            continue
        shape = Shape.OBJECT
        if "as" in params:
            if not shapes or params["as"] not in set(Shape) or params.get("g") != "meta.k8s.io":
                continue
            shape = Shape(params["as"])
        return Form(shape, params.get("v", "v1"), yaml=kind == YAML)
    raise errors.not_acceptable()


class Body(NamedTuple):
    """A decoded body."""

    value: Any
    duplicates: list[str]
    """Paths of the keys that occur twice in one mapping."""


def media_type(content_type: str) -> str:
    """Return a Content-Type without its parameters, in lower case."""
    return content_type.split(";", 1)[0].strip().lower()


def decode(body: bytes, kind: str) -> Body:
    """Return what *body* says, in the media type *kind*.

    Raises:
        ApiError: 400 or 415.
    """
    if kind in {JSON, ""}:
        return decode_json(body)
    if kind == YAML:
        return _decode_json_or_yaml(body)
    if kind == PROTOBUF:
        return Body(_decode_protobuf(body), [])
    raise errors.unsupported_media_type(
        "the body of the request was in an unknown format - accepted media types include:"
        f" {JSON}, {YAML}, {PROTOBUF}"
    )


def _decode_protobuf(body: bytes) -> Object:
    from apiserver import protobuf  # few clients need it; saves 10 MiB where none does

    try:
        return protobuf.decode(body)
    except ValueError as exc:
        raise errors.bad_request(f"the protobuf body cannot be decoded: {exc}") from exc


def _decode_json_or_yaml(body: bytes) -> Body:
    if body[:1] == b"{":  # most of what is sent as YAML is JSON, which is read much faster
        try:
            return decode_json(body)
        except errors.ApiError:
            pass
    return decode_yaml(body)


def decode_json(body: bytes) -> Body:
    """Return what the JSON text *body* says.

    Raises:
        ApiError: 400, it is no JSON.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise errors.bad_request(f"json parse error: {exc}") from exc
    if len(_KEY.findall(body)) == _measure(value):
        return Body(value, [])
    return Body(value, list(_doubled(slow_loads(body, object_pairs_hook=_Pairs), "")))


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its keys, also those given twice."""


def _doubled(value: Any, path: str) -> Iterable[str]:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, item in value:
            at = f"{path}.{key}" if path else key
            if key in seen:
                yield at
            seen.add(key)
            yield from _doubled(item, at)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _doubled(item, f"{path}[{index}]")


def refuse_deep(value: Any) -> None:
    """Refuse a value with more levels than a document may have.

    Raises:
        ApiError: 400.
    """
    _measure(value)


def _measure(value: Any) -> int:
    """Return the number of keys in *value*, level by level; refuse too many levels."""
    count = depth = 0
    level = [value]
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise errors.bad_request("the JSON document is nested too deeply")
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                count += len(item)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = below
    return count


def decode_yaml(body: bytes) -> Body:
    """Return what the YAML document *body* says, read as Kubernetes does: as JSON.

    Raises:
        ApiError: 400, it is no YAML, or unfolds to too much.
    """
    _refuse_deep_yaml(body)
    loader = _Loader(body)
    try:
        node = loader.get_single_node()
        if node is None:
            raise errors.bad_request("the request body is empty")
        _weigh(node, {})
        duplicates = list(_duplicates(node, ""))
        value = loader.construct_document(node)
        return Body(orjson.loads(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)), duplicates)
    except (yaml.YAMLError, orjson.JSONEncodeError, ValueError, RecursionError) as exc:
        text = str(exc).replace("\n", " ")
        raise errors.bad_request(f"error converting YAML to JSON: yaml: {text}") from exc
    finally:
        loader.dispose()


def _refuse_deep_yaml(body: bytes) -> None:
    # The composer recurses in C without a limit: a deep document would end the process.
    depth = 0
    try:
        for event in yaml.parse(body, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > _DEEPEST:
                    raise errors.bad_request("the YAML document is nested too deeply")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except (yaml.YAMLError, ValueError) as exc:
        text = str(exc).replace("\n", " ")
        raise errors.bad_request(f"error converting YAML to JSON: yaml: {text}") from exc


def _children(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _weigh(node: yaml.Node, known: dict[int, int]) -> int:
    weight = known.get(id(node))
    if weight is None:
        known[id(node)] = _MOST_NODES  # an alias to itself has no end
        weight = known[id(node)] = 1 + sum(_weigh(child, known) for child in _children(node))
    if weight >= _MOST_NODES:
        raise errors.too_large("the YAML document unfolds to too many values")
    return weight


def _duplicates(node: yaml.Node, path: str) -> Iterable[str]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                continue
            at = f"{path}.{key.value}" if path else str(key.value)
            if key.value in seen:
                yield at
            seen.add(key.value)
            yield from _duplicates(item, at)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _duplicates(item, f"{path}[{index}]")
