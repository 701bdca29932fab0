"""CustomResourceDefinition: its rules, its conditions, and the resources that it defines."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import orjson
from typing_extensions import override

from apiserver import clock
from apiserver.kinds.resource import Resource
from apiserver.kinds.strategy import Context, StatusStrategy, Strategy, keep, keep_all_but_status
from apiserver.schema.compiled import CompiledSchema
from apiserver.schema.crd import default_crd, validate_crd
from apiserver.schema.errors import FieldError, invalid
from apiserver.store.records import Object
from apiserver.store.store import Store

STORAGE: Final = "customresourcedefinitions.apiextensions.k8s.io"
CLEANUP: Final = "customresourcecleanup.apiextensions.k8s.io"


class CrdStrategy(Strategy):
    """The rules of definitions."""

    generation = True

    @override
    def default(self, obj: Object) -> None:
        """Fill in what the client left out."""
        default_crd(obj)

    @override
    def prepare_create(self, ctx: Context, obj: Object) -> None:
        """Hold the definition until its objects are gone; say what is stored."""
        meta = obj["metadata"]
        meta["finalizers"] = list(dict.fromkeys([*(meta.get("finalizers") or []), CLEANUP]))
        obj.pop("status", None)
        if not validate_crd(obj):  # what is malformed is refused in the next step
            obj["status"] = judged(obj, definitions(ctx.store))

    @override
    def prepare_update(self, ctx: Context, obj: Object, old: Object) -> None:
        """Keep the status on the main endpoint, and all but the status on the other."""
        if ctx.subresource == "status":
            keep_all_but_status(obj, old)
            return
        keep(obj, old, "status")
        if not validate_crd(obj, old):
            obj["status"] = judged(obj, definitions(ctx.store))

    @override
    def validate(self, ctx: Context, obj: Object, old: Object | None) -> list[FieldError]:
        """Check the definition, and that its name and scope stay."""
        found = validate_crd(obj, old)
        if not storage_version(obj) and not (old or {}).get("status", {}).get("storedVersions"):
            text = "must have at least one stored version"
            found.append(invalid("status.storedVersions", None, text))
        if old is not None:
            found += _stored_errors(obj)
        return found


def _stored_errors(obj: Object) -> list[FieldError]:
    versions = (obj.get("spec") or {}).get("versions") or ()
    names = {version.get("name") for version in versions if isinstance(version, dict)}
    stored = (obj.get("status") or {}).get("storedVersions") or ()
    return [
        invalid(
            f"status.storedVersions[{index}]",
            version,
            f"missing from spec.versions; {version} was previously a storage version, and must"
            " remain in spec.versions until a storage migration ensures no data remains persisted"
            f" in {version} and removes {version} from status.storedVersions",
        )
        for index, version in enumerate(stored)
        if version not in names
    ]


def definitions(store: Store) -> list[Object]:
    """Return all definitions that are durable."""
    return [entry.load() for entry in store.entries(STORAGE)]


def storage_version(crd: Object) -> str:
    """Return the version that objects are stored in; empty where none is marked."""
    versions = (crd.get("spec") or {}).get("versions") or ()
    found = (v.get("name", "") for v in versions if isinstance(v, dict) and v.get("storage"))
    return next(found, "")


def condition(crd: Object, kind: str) -> Object | None:
    """Return one of the conditions."""
    for found in (crd.get("status") or {}).get("conditions") or ():
        if found.get("type") == kind:
            return dict(found)
    return None


def is_true(crd: Object, kind: str) -> bool:
    """Tell whether a condition holds."""
    found = condition(crd, kind)
    return found is not None and found.get("status") == "True"


def set_condition(status: Object, kind: str, value: str, reason: str, message: str) -> None:
    """State a condition in *status*; its time moves only when the status flips."""
    conditions = status.setdefault("conditions", [])
    new = {
        "type": kind,
        "status": value,
        "lastTransitionTime": clock.stamp(),
        "reason": reason,
        "message": message,
    }
    for index, old in enumerate(conditions):
        if old.get("type") == kind:
            if old.get("status") == value:
                new["lastTransitionTime"] = old["lastTransitionTime"]
            conditions[index] = new
            return
    conditions.append(new)


def judged(crd: Object, others: Iterable[Object]) -> Object:
    """Return the status of *crd* beside *others*: accepted names, established, stored versions."""
    spec = crd.get("spec") or {}
    old = crd.get("status") or {}
    status: Object = {
        **old,
        "conditions": [dict(item) for item in old.get("conditions") or ()],
        "storedVersions": list(old.get("storedVersions") or ()),
    }
    stored = storage_version(crd)
    if stored and stored not in status["storedVersions"]:
        status["storedVersions"].append(stored)
    clash = _clash(crd, others)
    if clash:
        set_condition(status, "NamesAccepted", "False", *clash)
        if not is_true(crd, "Established"):
            text = "not all names are accepted"
            set_condition(status, "Established", "False", "NotAccepted", text)
            status.setdefault("acceptedNames", {"plural": "", "kind": ""})
        return status
    status["acceptedNames"] = dict(spec.get("names") or {})
    set_condition(status, "NamesAccepted", "True", "NoConflicts", "no conflicts found")
    text = "the initial names have been accepted"
    set_condition(status, "Established", "True", "InitialNamesAccepted", text)
    return status


def _clash(crd: Object, others: Iterable[Object]) -> tuple[str, str] | None:
    spec, name = crd.get("spec") or {}, crd["metadata"].get("name", "")
    names = spec.get("names") or {}
    plurals: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        if other["metadata"]["name"] == name or other["spec"]["group"] != spec.get("group"):
            continue
        accepted = other["status"].get("acceptedNames") or {}
        plurals |= {accepted.get("plural", ""), accepted.get("singular", "")}
        plurals |= set(accepted.get("shortNames") or ())
        kinds |= {accepted.get("kind", ""), accepted.get("listKind", "")}
    asked = [
        ("PluralConflict", names.get("plural"), plurals),
        ("SingularConflict", names.get("singular"), plurals),
        *(("ShortNamesConflict", word, plurals) for word in names.get("shortNames") or ()),
        ("KindConflict", names.get("kind"), kinds),
        ("ListKindConflict", names.get("listKind"), kinds),
    ]
    found = [(reason, word) for reason, word, taken in asked if word and word in taken]
    if not found:
        return None
    reason, word = found[-1]  # as Kubernetes, which overwrites the earlier ones
    return reason, f'"{word}" is already in use'


def resources(crd: Object) -> list[Resource]:
    """Return what *crd* defines, one resource for each served version."""
    spec = crd["spec"]
    names = crd["status"]["acceptedNames"]
    stored = f"{spec['group']}/{storage_version(crd)}"
    return [
        _resource(spec, names, version, stored, terminating=is_true(crd, "Terminating"))
        for version in spec["versions"]
        if version.get("served")
    ]


def _resource(
    spec: Object, names: Object, version: Object, stored: str, *, terminating: bool
) -> Resource:
    subresources = version.get("subresources") or {}
    raw = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    scale = subresources.get("scale")
    strategy = _WithStatus(scale) if "status" in subresources else _Plain(scale)
    deprecated = ""
    if version.get("deprecated"):
        default = f"{spec['group']}/{version['name']} {names['kind']} is deprecated"
        deprecated = version.get("deprecationWarning") or default
    return Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        singular=names.get("singular", ""),
        list_kind=names.get("listKind", ""),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=frozenset(name for name in ("status", "scale") if name in subresources),
        columns=tuple(version.get("additionalPrinterColumns") or ()),
        schema=_compiled(orjson.dumps(raw)),
        strategy=strategy,
        selectable=tuple(
            item["jsonPath"].removeprefix(".") for item in version.get("selectableFields") or ()
        ),
        openapi=raw,
        scale=scale,
        stored_version=stored,
        terminating=terminating,
        deprecated=deprecated,
    )


@lru_cache(maxsize=64)
def _compiled(raw: bytes) -> CompiledSchema:
    """Return the compiled schema; a definition changes more often than its schema does."""
    return CompiledSchema(orjson.loads(raw))


class _WithStatus(StatusStrategy):
    """Custom resources with a status subresource; PUT needs a resourceVersion."""

    unconditional_update = False

    def __init__(self, scale: Object | None) -> None:
        self._scale = scale

    @override
    def validate(self, ctx: Context, obj: Object, old: Object | None) -> list[FieldError]:
        """Check the numbers behind `/scale`."""
        return _scale_errors(self._scale, obj)


class _Plain(Strategy):
    """Custom resources without a status subresource; PUT needs a resourceVersion."""

    generation = True
    unconditional_update = False

    def __init__(self, scale: Object | None) -> None:
        self._scale = scale

    @override
    def validate(self, ctx: Context, obj: Object, old: Object | None) -> list[FieldError]:
        """Check the numbers behind `/scale`."""
        return _scale_errors(self._scale, obj)


_GO_TYPES: Final[dict[type, str]] = {
    str: "string",
    bool: "bool",
    float: "float64",
    list: "[]interface {}",
    dict: "map[string]interface {}",
}


def _scale_errors(scale: Object | None, obj: Object) -> list[FieldError]:
    found: list[FieldError] = []
    for name in ("specReplicasPath", "statusReplicasPath"):
        path = (scale or {}).get(name) or ""
        value: Any = obj
        for step in path.removeprefix(".").split(".") if path else ():
            value = value.get(step) if isinstance(value, dict) else None
        if value is None or not path:
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            kind = _GO_TYPES.get(type(value), "int64")
            text = f"{path} accessor error: {value} is of the type {kind}, expected int64"
            found.append(invalid(path, 0, text))
        elif not 0 <= value < 1 << 31:
            few = "should be a non-negative integer"
            text = few if value < 0 else f"should be less than or equal to {(1 << 31) - 1}"
            found.append(invalid(path, value, text))
    return found
