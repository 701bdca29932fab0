"""Whole objects inside an object (``x-kubernetes-embedded-resource``): type and metadata."""

import re
from collections.abc import Iterator
from typing import Any, Final

from apiserver.schema import metadata
from apiserver.schema.errors import FieldError, invalid, required
from apiserver.schema.structural import Node

_META_FIELDS: Final = frozenset(
    [
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
        "managedFields",
    ]
)
_KIND: Final = re.compile(r"(?=.{1,63}\Z)[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?", re.ASCII)
_KIND_TEXT: Final = (
    "may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case"
    " alphanumeric characters or '-', start with an alphabetic character, and end with an"
    " alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is"
    " '[a-z]([-a-z0-9]*[a-z0-9])?')"
)


def prune_metadata(root: Node, obj: dict[str, Any]) -> list[str]:
    """Drop what Kubernetes does not know from the metadata of embedded objects; return the paths.

    The metadata of *obj* itself is the business of whoever decodes it.
    """
    dropped: list[str] = []
    if not root.embedded_below:
        return dropped
    for path, inner in _embedded(root, obj, ""):
        meta = inner.get("metadata")
        if isinstance(meta, dict):
            unknown = [key for key in meta if key not in _META_FIELDS]
            for key in unknown:
                del meta[key]
                dropped.append(f"{path}.metadata.{key}")
    return dropped


def check_embedded(root: Node, obj: dict[str, Any]) -> list[FieldError]:
    """Return what is wrong with the type and the metadata of embedded objects."""
    errors: list[FieldError] = []
    for path, inner in _embedded(root, obj, ""):
        errors += _check_type(inner, path)
        meta = inner.get("metadata")
        if isinstance(meta, dict) and all(error.reason != "FieldValueRequired" for error in errors):
            errors += _check_metadata(meta, f"{path}.metadata")
    return errors


def _embedded(node: Node, value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if not node.embedded_below:
        return
    if isinstance(value, dict):
        if node.embedded:
            yield path, value
        for key, item in value.items():
            child = node.child(key)
            if child is not None:
                yield from _embedded(child, item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            yield from _embedded(node.items, item, f"{path}[{index}]")


def _check_type(inner: dict[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    version, kind = inner.get("apiVersion"), inner.get("kind")
    if version is None or version == "":
        errors.append(required(f"{path}.apiVersion"))
    elif not isinstance(version, str):
        errors.append(invalid(f"{path}.apiVersion", version, "must be a string"))
    elif version.count("/") > 1:
        text = f"unexpected GroupVersion string: {version}"
        errors.append(invalid(f"{path}.apiVersion", version, text))
    if kind is None or kind == "":
        errors.append(required(f"{path}.kind"))
    elif not isinstance(kind, str):
        errors.append(invalid(f"{path}.kind", kind, "must be a string"))
    elif not _KIND.fullmatch(kind):
        errors.append(invalid(f"{path}.kind", kind, _KIND_TEXT))
    return errors


def _check_metadata(meta: dict[str, Any], path: str) -> list[FieldError]:
    """Check the parts that have the right type; the name of an embedded object may be anything."""
    parts = {
        name: meta[name]
        for name in ("labels", "annotations")
        if isinstance(meta.get(name), dict)
        and all(isinstance(value, str) for value in meta[name].values())
    }
    return metadata.validate_parts(parts, path)
