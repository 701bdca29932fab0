"""The rules for ``metadata``: names, labels, annotations, finalizers, owners."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from apiserver.kinds.names import dns_label, dns_subdomain, label_value, qualified_name
from apiserver.schema.errors import (
    FieldError,
    Verbatim,
    compact,
    forbidden,
    invalid,
    required,
    too_long,
)

ANNOTATIONS_BYTES: Final = 256 * 1024
"""Keys and values of all annotations together."""

_OWNER_FIELDS: Final = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")
_NOT_OWNERS: Final = frozenset({("v1", "Event"), ("events.k8s.io/v1", "Event")})
_CORE_FINALIZERS: Final = frozenset({"kubernetes", "orphan", "foregroundDeletion"})


def validate_metadata(
    obj: dict[str, Any],
    namespaced: bool,  # noqa: FBT001 - the caller has it as a field of the resource
    *,
    name_rule: Callable[[str], list[str]] = dns_subdomain,
    path: str = "metadata",
) -> list[FieldError]:
    """Return what is wrong with the metadata of *obj*, whose types are right already.

    Args:
        obj: The whole object; its generated name, if any, is in ``metadata.name``.
        namespaced: The kind lives in namespaces; then it must name one, else it must not.
        name_rule: Returns what is wrong with a name, in words.
        path: Where the metadata stands.
    """
    meta: dict[str, Any] = obj.get("metadata") or {}
    found: list[FieldError] = []
    name, prefix = meta.get("name") or "", meta.get("generateName") or ""
    if prefix:
        wrong = name_rule(_masked_end(prefix))
        found += [invalid(f"{path}.generateName", prefix, text) for text in wrong]
    if not name:
        found.append(required(f"{path}.name", "name or generateName is required"))
    else:
        found += [invalid(f"{path}.name", name, text) for text in name_rule(name)]
    found += _namespace(meta.get("namespace") or "", f"{path}.namespace", namespaced=namespaced)
    return found + validate_parts(meta, path)


def _masked_end(prefix: str) -> str:
    """Return *prefix* with a letter for a dash at its end: the generated part follows."""
    return f"{prefix[:-1]}a" if prefix.endswith("-") and len(prefix) > 1 else prefix


def _namespace(namespace: str, path: str, *, namespaced: bool) -> list[FieldError]:
    if not namespaced:
        return [forbidden(path, "not allowed on this type")] if namespace else []
    if not namespace:
        return [required(path)]
    return [invalid(path, namespace, text) for text in dns_label(namespace)]


def validate_parts(meta: dict[str, Any], path: str = "metadata") -> list[FieldError]:
    """Return what is wrong with the labels, annotations, owners and finalizers of *meta*."""
    found = validate_labels(meta.get("labels") or {}, f"{path}.labels")
    found += validate_annotations(meta.get("annotations") or {}, f"{path}.annotations")
    found += _owners(meta.get("ownerReferences") or [], f"{path}.ownerReferences")
    return found + _finalizers(meta.get("finalizers") or [], f"{path}.finalizers")


def key_errors(key: str) -> list[str]:
    """Return what keeps *key* from being the key of a label or of an annotation."""
    return [
        text.replace("a qualified name must", "a valid label key must")
        for text in qualified_name(key)
    ]


def validate_labels(labels: dict[str, str], path: str) -> list[FieldError]:
    """Return what is wrong with *labels*."""
    found: list[FieldError] = []
    for key, value in sorted(labels.items()):
        found += [invalid(path, key, text) for text in key_errors(key)]
        found += [invalid(path, value, text) for text in label_value(value)]
    return found


def validate_annotations(annotations: dict[str, str], path: str) -> list[FieldError]:
    """Return what is wrong with *annotations*; their values may be anything."""
    found: list[FieldError] = []
    total = 0
    for key, value in sorted(annotations.items()):
        found += [invalid(path, key, text) for text in key_errors(key.lower())]
        total += len(key.encode()) + len(value.encode())
    if total > ANNOTATIONS_BYTES:
        found.append(too_long(path, ANNOTATIONS_BYTES))
    return found


def _finalizers(finalizers: list[str], path: str) -> list[FieldError]:
    found = [invalid(path, name, text) for name in finalizers for text in key_errors(name)]
    if {"orphan", "foregroundDeletion"} <= set(finalizers):
        text = "finalizer orphan and foregroundDeletion cannot be both set"
        found.append(invalid(path, finalizers, text))
    return found


def finalizer_warnings(finalizers: Iterable[str], path: str = "metadata.finalizers") -> list[str]:
    """Return the warnings for finalizers whose names might clash: those without a domain."""
    advice = (
        "prefer a domain-qualified finalizer name to avoid accidental conflicts with other"
        " finalizer writers"
    )
    return [
        f'{path}: "{name}": {advice}'
        for name in finalizers
        if "/" not in name and name not in _CORE_FINALIZERS
    ]


def _owners(owners: list[dict[str, Any]], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    controlling: str | None = None
    for owner in owners:
        found += _owner(owner, path)
        if owner.get("controller") is not True:
            continue
        shown = f"{owner.get('kind', '')}/{owner.get('name', '')}"
        if controlling is None:
            controlling = shown
            continue
        text = (
            'Only one reference can have Controller set to true. Found "true" in references for'
            f" {controlling} and {shown}"
        )
        found.append(invalid(path, _shown(*owners), text))
    return found


def _owner(owner: dict[str, Any], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    api_version = owner.get("apiVersion") or ""
    if not api_version or api_version.count("/") > 1 or api_version.endswith("/"):
        text = "version must not be empty"
        found.append(invalid(f"{path}.apiVersion", api_version, text))
    found += [
        invalid(f"{path}.{name}", "", "must not be empty")
        for name in ("kind", "name", "uid")
        if not owner.get(name)
    ]
    if (api_version, owner.get("kind")) in _NOT_OWNERS:
        group, _, version = f"/{api_version}".rpartition("/")
        named = f"{group.removeprefix('/')}/{version}, Kind={owner['kind']}"
        shown = Verbatim(_shown(owner)[1:-1])
        found.append(invalid(path, shown, f"{named} is disallowed from being an owner"))
    return found


def _shown(*owners: dict[str, Any]) -> Verbatim:
    """Return owners as Go shows them: the fields in their order, empty texts included."""
    ordered = []
    for owner in owners:
        fields = {name: owner.get(name, "") for name in _OWNER_FIELDS[:4]}
        fields.update({name: owner[name] for name in _OWNER_FIELDS[4:] if name in owner})
        ordered.append(",".join(f"{compact(k)}:{compact(v)}" for k, v in fields.items()))
    return Verbatim(f"[{','.join('{' + fields + '}' for fields in ordered)}]")
