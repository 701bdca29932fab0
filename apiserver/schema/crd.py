"""CustomResourceDefinitions: defaults, and the rules that one must keep.

The texts are those of kube-apiserver 1.36. Not checked: the estimated cost of rules, and webhook
conversion, which is refused as a whole.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from apiserver.kinds.names import dns_subdomain
from apiserver.schema.crd_schema import check_schema
from apiserver.schema.crd_shape import check_shape, prune_crd
from apiserver.schema.errors import (
    FieldError,
    Verbatim,
    compact,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)

__all__ = ["default_crd", "prune_crd", "validate_crd"]

_LABEL: Final = re.compile(r"(?=.{1,63}\Z)[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_LABEL_TEXT: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an"
    " alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123',"
    " regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_MIXED: Final = "may have mixed case, but should otherwise match: "
_COLUMN_TYPES: Final = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS: Final = (
    *("byte", "date", "date-time", "double"),
    *("float", "int32", "int64", "password"),
)
_SEGMENT: Final = re.compile(r"\.([A-Za-z_][\w-]*)|\['((?:[^'\\]|\\.)*)'\]", re.ASCII)


def default_crd(crd: dict[str, Any]) -> None:
    """Fill in what a definition may leave out, in place: names, conversion."""
    spec = crd.get("spec")
    if not isinstance(spec, dict):
        return
    spec.setdefault("conversion", {"strategy": "None"})
    names = spec.get("names")
    kind = names.get("kind") if isinstance(names, dict) else None
    if isinstance(names, dict) and isinstance(kind, str) and kind:
        if not names.get("singular"):
            names["singular"] = kind.lower()
        if not names.get("listKind"):
            names["listKind"] = f"{kind}List"


def validate_crd(crd: dict[str, Any], old: dict[str, Any] | None = None) -> list[FieldError]:
    """Return what is wrong with a definition, defaults filled in.

    Args:
        crd: The definition. Its metadata is looked at for the name alone.
        old: What is stored now; then names and scope must stay.
    """
    if wrong := check_shape(crd):
        return wrong
    spec = crd.get("spec") or {}
    errors = _check_name(crd.get("metadata") or {}, spec)
    errors += _check_group(spec)
    errors += _check_names(spec.get("names") or {})
    errors += _check_versions(spec.get("versions") or [])
    errors += _check_conversion(spec)
    if old is not None:
        errors += _check_change(spec, old.get("spec") or {})
    return errors


# -- names ----------------------------------------------------------------------------------------


def _check_name(meta: dict[str, Any], spec: dict[str, Any]) -> list[FieldError]:
    plural = (spec.get("names") or {}).get("plural") or ""
    name = meta.get("name") or ""
    if name == f"{plural}.{spec.get('group') or ''}":
        return []
    return [invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')]


def _check_group(spec: dict[str, Any]) -> list[FieldError]:
    errors: list[FieldError] = []
    group, scope = spec.get("group") or "", spec.get("scope") or ""
    if not group:
        errors.append(required("spec.group"))
    elif wrong := dns_subdomain(group):
        errors.append(invalid("spec.group", group, ",".join(wrong)))
    elif "." not in group:
        errors.append(invalid("spec.group", group, "should be a domain with at least one dot"))
    if not scope:
        errors.append(required("spec.scope"))
    elif scope not in {"Cluster", "Namespaced"}:
        errors.append(not_supported("spec.scope", scope, ["Cluster", "Namespaced"]))
    if spec.get("preserveUnknownFields"):
        text = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in"
            " spec.versions[*].schema instead"
        )
        errors.append(invalid("spec.preserveUnknownFields", True, text))
    return errors


def _check_names(names: dict[str, Any]) -> list[FieldError]:
    errors: list[FieldError] = []
    for key in ("plural", "singular"):
        errors += _label(names.get(key) or "", f"spec.names.{key}")
    for key in ("kind", "listKind"):
        errors += _label(names.get(key) or "", f"spec.names.{key}", mixed=True)
    kind = names.get("kind")
    if kind and kind == names.get("listKind"):
        text = "kind and listKind may not be the same"
        errors.append(invalid("spec.names.listKind", kind, text))
    for key in ("shortNames", "categories"):
        for index, word in enumerate(names.get(key) or ()):
            errors += _label(word or "", f"spec.names.{key}[{index}]")
    return errors


def _label(word: str, path: str, *, mixed: bool = False) -> list[FieldError]:
    if not word:
        return [required(path)]
    if _LABEL.fullmatch(word.lower() if mixed else word):
        return []
    text = "must be no more than 63 bytes" if len(word) > 63 else _LABEL_TEXT
    return [invalid(path, word, _MIXED + text if mixed else text)]


# -- versions -------------------------------------------------------------------------------------


def _check_versions(versions: list[dict[str, Any]]) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, version in enumerate(versions):
        errors += _check_version(version, f"spec.versions[{index}]")
    stored = [version for version in versions if version.get("storage")]
    if len({version.get("name") for version in versions}) < len(versions):
        text = "must contain unique version names"
        errors.append(invalid("spec.versions", _shown(versions), text))
    if len(stored) != 1:
        text = "must have exactly one version marked as storage version"
        errors.append(invalid("spec.versions", _shown(versions), text))
    for path, key, check in (
        ("validation.openAPIV3Schema", "schema", _check_version_schema),
        ("additionalPrinterColumns", "additionalPrinterColumns", _check_columns),
        ("subresources", "subresources", _check_subresources),
    ):
        errors += _check_hoisted(versions, path, key, check)
    for path, version in _hoisted(versions, "selectableFields", "selectableFields"):
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        errors += _check_selectable(version.get("selectableFields") or [], schema, path)
    return errors


def _check_version(version: dict[str, Any], path: str) -> list[FieldError]:
    errors = _label(version.get("name") or "", f"{path}.name")
    warning = version.get("deprecationWarning")
    if warning is not None and not version.get("deprecated"):
        text = "can only be set for deprecated versions"
        errors.append(invalid(f"{path}.deprecationWarning", warning, text))
    elif warning is not None and not warning:
        errors.append(invalid(f"{path}.deprecationWarning", warning, "must not be empty"))
    if not isinstance((version.get("schema") or {}).get("openAPIV3Schema"), dict):
        errors.append(required(f"{path}.schema.openAPIV3Schema"))
    return errors


def _shown(versions: list[dict[str, Any]]) -> Verbatim:
    """Return versions as Go shows them; what is the same in all stands elsewhere and is null."""
    shown = []
    for version in versions:
        fields = {
            "Name": version.get("name") or "",
            "Served": bool(version.get("served")),
            "Storage": bool(version.get("storage")),
            "Deprecated": bool(version.get("deprecated")),
            "DeprecationWarning": version.get("deprecationWarning"),
        }
        hidden = ("Schema", "Subresources", "AdditionalPrinterColumns", "SelectableFields")
        fields.update(dict.fromkeys(hidden))
        pairs = (f"{compact(key)}:{compact(value)}" for key, value in fields.items())
        shown.append("{" + ",".join(pairs) + "}")
    return Verbatim(f"[{','.join(shown)}]")


def _hoisted(
    versions: list[dict[str, Any]], name: str, key: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where Kubernetes names the field *key* of each version.

    What is the same in all versions it keeps, and names, once for all.
    """
    if versions and all(version.get(key) == versions[0].get(key) for version in versions):
        yield f"spec.{name}", versions[0]
        return
    for index, version in enumerate(versions):
        below = name.replace("validation.", "schema.")
        yield f"spec.versions[{index}].{below}", version


def _check_hoisted(
    versions: list[dict[str, Any]],
    name: str,
    key: str,
    check: Callable[[Any, str], list[FieldError]],
) -> list[FieldError]:
    errors: list[FieldError] = []
    for path, version in _hoisted(versions, name, key):
        if version.get(key) is not None:
            errors += check(version[key], path)
    return errors


def _check_version_schema(validation: dict[str, Any], path: str) -> list[FieldError]:
    schema = validation.get("openAPIV3Schema")
    return check_schema(schema, path) if isinstance(schema, dict) else []


def _check_columns(columns: list[dict[str, Any]], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, column in enumerate(columns):
        at = f"{path}[{index}]"
        if not column.get("name"):
            errors.append(required(f"{at}.name"))
        errors += _one_of(column.get("type") or "", _COLUMN_TYPES, f"{at}.type")
        if column.get("format"):
            errors += _one_of(column["format"], _COLUMN_FORMATS, f"{at}.format")
        where = column.get("jsonPath") or ""
        if not where:
            errors.append(required(f"{at}.JSONPath"))
        elif not where.startswith("."):
            text = "must be a simple json path starting with ."
            errors.append(invalid(f"{at}.JSONPath", where, text))
    return errors


def _one_of(word: str, allowed: tuple[str, ...], path: str) -> list[FieldError]:
    text = f"must be one of {','.join(allowed)}"
    if not word:
        return [required(path, text)]
    return [] if word in allowed else [invalid(path, word, text)]


def _check_subresources(subresources: dict[str, Any], path: str) -> list[FieldError]:
    scale = subresources.get("scale")
    if scale is None:
        return []
    errors: list[FieldError] = []
    for key, root in (("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")):
        value = scale.get(key) or ""
        if not value:
            errors.append(required(f"{path}.scale.{key}"))
        elif not value.startswith(f"{root}."):
            text = f"should be a json path under {root}"
            errors.append(invalid(f"{path}.scale.{key}", value, text))
    selector = scale.get("labelSelectorPath") or ""
    if selector and not selector.startswith((".spec.", ".status.")):
        text = "should be a json path under either .spec or .status"
        errors.append(invalid(f"{path}.scale.labelSelectorPath", selector, text))
    return errors


def _check_selectable(
    fields: list[dict[str, Any]], schema: dict[str, Any], path: str
) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    if len(fields) > 8:
        text = "must have at most 8 items"
        errors.append(FieldError(path, "FieldValueTooMany", len(fields), text))
    for index, item in enumerate(fields):
        at, where = f"{path}[{index}].jsonPath", item.get("jsonPath") or ""
        if not where:
            errors.append(required(at))
            continue
        if wrong := _selectable_error(where, schema):
            errors.append(invalid(at, where, wrong))
        elif where in seen:
            errors.append(duplicate(at, where))
        seen.add(where)
    return errors


def _selectable_error(where: str, schema: dict[str, Any]) -> str:
    if where[0] not in ".[":
        start = re.split(r"[.\[]", where, maxsplit=1)[0]
        return f"is an invalid path: expected [ or . but got: {start}"
    if re.search(r"\[\d+\]", where):
        return "is an invalid path: array notation is not allowed"
    position, at = 0, schema
    first = True
    while position < len(where):
        found = _SEGMENT.match(where, position)
        below = (
            (at.get("properties") or {}).get(found.group(1) or found.group(2)) if found else None
        )
        if found is None or not isinstance(below, dict):
            return "is an invalid path: does not refer to a valid field"
        if first and found.group(1) == "metadata":
            return "must not point to fields in metadata"
        at, position, first = below, found.end(), False
    if at.get("type") not in {"string", "boolean", "integer"}:
        return (
            "must point to a field of type string, boolean or integer. Enum string fields and"
            " strings with formats are allowed."
        )
    return ""


# -- the rest -------------------------------------------------------------------------------------


def _check_conversion(spec: dict[str, Any]) -> list[FieldError]:
    conversion = spec.get("conversion") or {}
    strategy = conversion.get("strategy") or ""
    if not strategy:
        return [required("spec.conversion.strategy")]
    if strategy == "Webhook":
        return [forbidden("spec.conversion.strategy", "webhook conversion is not served here")]
    if strategy != "None":
        return [not_supported("spec.conversion.strategy", strategy, ["None", "Webhook"])]
    return []


def _check_change(spec: dict[str, Any], old: dict[str, Any]) -> list[FieldError]:
    names, had = spec.get("names") or {}, old.get("names") or {}
    pairs = (
        ("spec.group", spec.get("group"), old.get("group")),
        ("spec.scope", spec.get("scope"), old.get("scope")),
        ("spec.names.kind", names.get("kind"), had.get("kind")),
        ("spec.names.plural", names.get("plural"), had.get("plural")),
    )
    return [
        invalid(path, value, "field is immutable") for path, value, was in pairs if value != was
    ]
