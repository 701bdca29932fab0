"""A manifest, parsed: what it may say besides its spec."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.gitops.files import shape
from controller.gitops.files.shape import ShapeError
from controller.gitops.files.ticketfile import check_constant, check_name
from schemas.names import ANNOTATION_PRUNE, ANNOTATION_RECONCILE, API_VERSION, GROUP

_TOP: Final = ("apiVersion", "kind", "metadata", "spec")
_METADATA: Final = ("name", "namespace", "labels", "annotations")
_ALLOWED: Final = frozenset({ANNOTATION_PRUNE, ANNOTATION_RECONCILE})
"""Annotations of ours that are people's to set."""
_KEY: Final = re.compile(
    r"(?:(?P<domain>[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)/)?"
    r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?",
    re.ASCII,
)
_LABEL: Final = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_MAX_ANNOTATIONS_BYTES: Final = 256 * 1024


class NotAllowedError(ShapeError):
    """It says what only others may say. ``reason`` is one word for programs."""

    def __init__(self, reason: str, path: shape.Path, message: str) -> None:
        super().__init__(path, message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says."""

    kind: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Mapping[str, Any]
    """As it is written, unchecked."""


def manifest(said: Any, namespace: str, kinds: Iterable[str]) -> Manifest:
    """Return what a manifest says, its spec unchecked.

    Raises:
        ShapeError: It is not a manifest of one of the *kinds*, or says what files may not say.
    """
    if not isinstance(said, dict):
        raise ShapeError((), "a manifest must be keys and values: apiVersion, kind, metadata, spec")
    check_constant(said, "apiVersion", API_VERSION, required=True)
    _check_kind(said.get("kind"), sorted(kinds))
    _check_keys(said, _TOP, ())
    metadata = said.get("metadata")
    if not isinstance(metadata, dict):
        raise ShapeError(("metadata",), "must be a mapping with the name")
    _check_keys(metadata, _METADATA, ("metadata",))
    if metadata.get("namespace") not in {None, namespace}:
        raise NotAllowedError(
            "OtherNamespace",
            ("metadata", "namespace"),
            f"must be {namespace}, where the source is: leave it out",
        )
    spec = said.get("spec")
    if spec is not None and not isinstance(spec, dict):
        raise ShapeError(("spec",), "must be a mapping")
    if metadata.get("name") is None:
        raise ShapeError(("metadata", "name"), "is missing: add it")
    return Manifest(
        kind=said["kind"],
        name=check_name(("metadata", "name"), metadata["name"]),
        labels=_texts(metadata.get("labels"), "labels"),
        annotations=_texts(metadata.get("annotations"), "annotations"),
        spec=spec or {},
    )


def _check_kind(kind: Any, kinds: list[str]) -> None:
    if not isinstance(kind, str):
        raise ShapeError(("kind",), "is missing: add it")
    if kind not in kinds:
        raise NotAllowedError(
            "KindNotAllowed",
            ("kind",),
            f"must be one of {', '.join(kinds)}: the source allows no other (spec.kinds)",
        )


def _check_keys(said: Mapping[str, Any], known: tuple[str, ...], path: shape.Path) -> None:
    for key in said:
        if key in known:
            continue
        if key in {"status", "finalizers", "ownerReferences"}:
            raise NotAllowedError("NotAllowed", (*path, key), "leave it out: git does not set it")
        raise ShapeError((*path, key), shape.unknown(key, known))


def _texts(said: Any, field: str) -> dict[str, str]:
    if said is None:
        return {}
    path: shape.Path = ("metadata", field)
    if not isinstance(said, dict):
        raise ShapeError(path, "must be a mapping of texts")
    for key, value in said.items():
        _check_text((*path, key), key, value, label=field == "labels")
    if sum(len(key.encode()) + len(value.encode()) for key, value in said.items()) > (
        _MAX_ANNOTATIONS_BYTES
    ):
        raise ShapeError(path, "must be at most 256 KiB together")
    return dict(said)


def _check_text(path: shape.Path, key: str, value: Any, *, label: bool) -> None:
    found = _KEY.fullmatch(key)
    if found is None:
        raise ShapeError(path, "is no valid key: [domain/]name, of letters, digits, '-', '_', '.'")
    domain = found["domain"] or ""
    if (domain == GROUP or domain.endswith(f".{GROUP}")) and (label or key not in _ALLOWED):
        raise NotAllowedError(
            "NotAllowed", path, "leave it out: AgentsMesh alone sets keys of its domain"
        )
    if not isinstance(value, str):
        raise ShapeError(path, "must be a text: put it in quotes")
    if label and not _LABEL.fullmatch(value):
        raise ShapeError(
            path, "must be at most 63 letters, digits, '-', '_' and '.', none of these at an end"
        )
