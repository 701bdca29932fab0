"""The documents of ``/openapi/v3``: one for each group and version.

They hold what ``kubectl`` looks for: each kind's schema with its group, version and kind; each
path's operations with the same; and the query parameter ``fieldValidation`` of writes, from which
kubectl concludes that the server validates.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from apiserver.openapi.builtin import CORE, GROUP_PACKAGES, META, PACKAGES
from apiserver.openapi.notation import Fields

Schema = dict[str, Any]

_REF: Final = "#/components/schemas/"

_PLAIN: Final[Mapping[str, Schema]] = {
    "string": {"type": "string"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "number": {"type": "number", "format": "double"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte"},
    "time": {"type": "string", "format": "date-time"},
    "micro": {"type": "string", "format": "date-time"},
    "any": {"x-kubernetes-preserve-unknown-fields": True},
    "int-or-string": {"x-kubernetes-int-or-string": True},
}

_PATCHES: Final = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
_QUERY: Final[Mapping[str, tuple[str, str]]] = {
    "allowWatchBookmarks": ("boolean", "Also send events that only tell the version."),
    "continue": ("string", "Token of the next page."),
    "dryRun": ("string", "All: check, but keep nothing."),
    "fieldManager": ("string", "Who writes."),
    "fieldSelector": ("string", "Only objects with these fields."),
    "fieldValidation": ("string", "Unknown and duplicate fields: Ignore, Warn or Strict."),
    "force": ("boolean", "Take fields over from other managers."),
    "gracePeriodSeconds": ("integer", "Seconds to end gracefully."),
    "labelSelector": ("string", "Only objects with these labels."),
    "limit": ("integer", "Items of a page."),
    "propagationPolicy": ("string", "Orphan, Background or Foreground."),
    "resourceVersion": ("string", "Version to be shown, or to start from."),
    "resourceVersionMatch": ("string", "NotOlderThan or Exact."),
    "sendInitialEvents": ("boolean", "A watch begins with what is there."),
    "timeoutSeconds": ("integer", "When to end."),
    "watch": ("boolean", "Send changes as they happen."),
}
_LIST: Final = (
    *("allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit"),
    *("resourceVersion", "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds", "watch"),
)
_WRITE: Final = ("dryRun", "fieldManager", "fieldValidation")
_DELETE: Final = ("dryRun", "gracePeriodSeconds", "propagationPolicy")


class Described(Protocol):
    """What must be known of a resource to describe it."""

    group: str
    version: str
    kind: str
    list_kind: str
    plural: str
    namespaced: bool
    verbs: tuple[str, ...]
    subresources: frozenset[str]
    openapi: Schema | None
    """The raw schema of a custom resource; None for a built-in kind."""
    selectable: tuple[str, ...]


def build(resources: Iterable[Described]) -> dict[str, Schema]:
    """Return the documents by their path below ``/openapi/v3/``: ``api/v1``, ``apis/g/v``."""
    groups: dict[str, list[Described]] = {}
    for resource in resources:
        group, version = resource.group, resource.version
        path = f"apis/{group}/{version}" if group else f"api/{version}"
        groups.setdefault(path, []).append(resource)
    return {path: document(members) for path, members in groups.items()}


def document(resources: Iterable[Described]) -> Schema:
    """Return the document for *resources*, which are of one group and version."""
    schemas = _Schemas()
    paths: Schema = {}
    for resource in resources:
        schemas.add(resource)
        _add_paths(paths, resource)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.found.items()))},
    }


_MICRO_TIME: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$"
"""A `metav1.MicroTime`: Kubernetes takes it with exactly six digits."""


def builtin_schema(group: str, kind: str) -> Schema | None:
    """Return the structural schema of a built-in kind, without references; None if unknown.

    ``metadata`` is left open. For dropping unknown fields and for checking types.
    """
    package = GROUP_PACKAGES.get(group)
    if package is None or kind not in PACKAGES.get(package, {}):
        return None
    return _inline(package, kind, ())


# -- schemas --------------------------------------------------------------------------------------


def type_name(resource: Described) -> str:
    """Return the name of a resource's schema: ``dev.example.v1.Thing``."""
    package = GROUP_PACKAGES.get(resource.group) if resource.openapi is None else None
    if package is not None:
        return f"{package}.{resource.kind}"
    reverse = ".".join(reversed(resource.group.split(".")))
    return f"{reverse}.{resource.version}.{resource.kind}"


class _Schemas:
    """Collects schemas, and those that they refer to."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}

    def add(self, resource: Described) -> None:
        """Add the schemas of a resource and of its list."""
        name = type_name(resource)
        gvk = _gvk(resource)
        if resource.openapi is not None:
            self.found[name] = self._custom(resource)
        elif not self._need(name):
            self.found[name] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        self.found[name] = {**self.found[name], "x-kubernetes-group-version-kind": [gvk]}
        if "list" in resource.verbs:
            self.found[f"{name}List"] = self._list(resource, name)
        for extra in ("Status", "DeleteOptions"):
            self._need(f"{META}.{extra}")

    def _custom(self, resource: Described) -> Schema:
        raw = resource.openapi or {}
        properties = {**self._object_fields(), **(raw.get("properties") or {})}
        properties["metadata"] = self._object_fields()["metadata"]
        schema = {**raw, "properties": properties}
        if resource.selectable:
            listed = [{"fieldPath": path} for path in resource.selectable]
            schema["x-kubernetes-selectable-fields"] = listed
        return schema

    def _object_fields(self) -> Schema:
        self._need(f"{META}.ObjectMeta")
        fields = PACKAGES[CORE]["ConfigMap"][1]
        return {
            name: self._field(CORE, *fields[name]) for name in ("apiVersion", "kind", "metadata")
        }

    def _list(self, resource: Described, name: str) -> Schema:
        self._need(f"{META}.ListMeta")
        fields = {key: value for key, value in self._object_fields().items() if key != "metadata"}
        return {
            "description": f"A list of {resource.plural}.",
            "type": "object",
            "required": ["items"],
            "properties": {
                **fields,
                "items": {
                    "description": "The objects.",
                    "type": "array",
                    "items": {"$ref": _REF + name},
                },
                "metadata": {
                    "description": "What every list has.",
                    "allOf": [{"$ref": f"{_REF}{META}.ListMeta"}],
                },
            },
            "x-kubernetes-group-version-kind": [{**_gvk(resource), "kind": resource.list_kind}],
        }

    def _need(self, name: str) -> bool:
        """Add a built-in type and what it refers to; say whether there is such a type."""
        if name in self.found:
            return True
        package, _, kind = name.rpartition(".")
        found = PACKAGES.get(package, {}).get(kind)
        if found is None:
            return False
        self.found[name] = {}  # so that a type may refer to itself
        description, fields = found
        schema: Schema = {
            "description": description,
            "type": "object",
            "properties": {
                field: self._field(package, shape, text) for field, (shape, text) in fields.items()
            },
        }
        if needed := _needed(fields):
            schema["required"] = needed
        self.found[name] = schema
        return True

    def _field(self, package: str, shape: str, text: str) -> Schema:
        shape = shape.removesuffix("*")
        if shape.endswith("[]"):
            inner = self._value(package, shape.removesuffix("[]"))
            return {"description": text, "type": "array", "items": inner}
        if shape.endswith("{}"):
            inner = self._value(package, shape.removesuffix("{}"))
            return {"description": text, "type": "object", "additionalProperties": inner}
        value = self._value(package, shape)
        if "$ref" in value:
            return {"description": text, "allOf": [value]}
        return {"description": text, **value}

    def _value(self, package: str, shape: str) -> Schema:
        if shape in _PLAIN:
            return dict(_PLAIN[shape])
        name = f"{_home(package, shape)}.{shape}"
        self._need(name)
        return {"$ref": _REF + name}


def _needed(fields: Fields) -> list[str]:
    return [name for name, (shape, _) in fields.items() if shape.endswith("*")]


def _home(package: str, kind: str) -> str:
    """Return the package of a type that *package* refers to: its own, the core, or meta."""
    return next(home for home in (package, CORE, META) if kind in PACKAGES[home])


def _inline(package: str, kind: str, above: tuple[str, ...]) -> Schema:
    """Return a type's schema with the types it refers to in place; recursion is left open."""
    if kind in above:
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    _, fields = PACKAGES[package][kind]
    properties = {}
    for name, (written, _) in fields.items():
        shape = written.removesuffix("*")
        bare = shape.removesuffix("[]").removesuffix("{}")
        if name == "metadata" and not above:
            inner: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        elif bare == "micro":
            inner = {"type": "string", "pattern": _MICRO_TIME}
        elif bare == "bytes":
            inner = {"type": "string"}  # may be empty; the strategies look into it
        elif bare in _PLAIN:
            inner = dict(_PLAIN[bare])
        else:
            inner = _inline(_home(package, bare), bare, (*above, kind))
        if shape.endswith("[]"):
            inner = {"type": "array", "items": inner}
        elif shape.endswith("{}"):
            inner = {"type": "object", "additionalProperties": inner}
        properties[name] = inner
    return {"type": "object", "properties": properties}


# -- paths ----------------------------------------------------------------------------------------


def _gvk(resource: Described) -> Schema:
    return {"group": resource.group, "kind": resource.kind, "version": resource.version}


def _add_paths(paths: Schema, resource: Described) -> None:
    group, version = resource.group, resource.version
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    place = f"{root}/namespaces/{{namespace}}" if resource.namespaced else root
    some = f"{place}/{resource.plural}"
    one = f"{some}/{{name}}"
    if resource.namespaced and "list" in resource.verbs:
        paths[f"{root}/{resource.plural}"] = {"get": _operation(resource, "list", everywhere=True)}
    collection = {
        "get": "list",
        "post": "create",
        "delete": "deletecollection",
    }
    single = {"get": "get", "put": "update", "patch": "patch", "delete": "delete"}
    for path, methods in ((some, collection), (one, single)):
        item = _operations(resource, methods)
        if item:
            paths[path] = {**item, "parameters": _path_parameters(path)}
    for name in sorted(resource.subresources & {"status", "scale"}):
        path = f"{one}/{name}"
        methods = {"get": "get", "put": "update", "patch": "patch"}
        item = _operations(resource, methods, suffix=name.capitalize())
        paths[path] = {**item, "parameters": _path_parameters(path)}


def _operations(resource: Described, methods: Mapping[str, str], suffix: str = "") -> Schema:
    return {
        method: _operation(resource, verb, suffix=suffix)
        for method, verb in methods.items()
        if verb in resource.verbs
    }


_WORDS: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "get": ("read", "get", ("resourceVersion",)),
    "list": ("list", "list", _LIST),
    "create": ("create", "post", _WRITE),
    "update": ("replace", "put", _WRITE),
    "patch": ("patch", "patch", (*_WRITE, "force")),
    "delete": ("delete", "delete", _DELETE),
    "deletecollection": ("deleteCollection", "deletecollection", (*_LIST, *_DELETE)),
}
"""By verb: how the operation is called, its action, its parameters."""


def _operation(
    resource: Described, verb: str, *, everywhere: bool = False, suffix: str = ""
) -> Schema:
    word, action, parameters = _WORDS[verb]
    name = type_name(resource)
    answer = {"list": f"{name}List"}.get(verb, name)
    if verb.startswith("delete"):
        answer = f"{META}.Status"
    camel = "".join(part.capitalize() for part in (resource.group or "core").split("."))
    scope = "Namespaced" if resource.namespaced and not everywhere else ""
    operation: Schema = {
        "operationId": f"{word}{camel}{resource.version.capitalize()}{scope}{resource.kind}{suffix}"
        + ("ForAllNamespaces" if everywhere else ""),
        "parameters": [_parameter(parameter) for parameter in parameters],
        "responses": {"200": {"description": "OK", "content": _content(answer)}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(resource),
    }
    if verb in {"create", "update"}:
        operation["requestBody"] = {"content": _content(name), "required": True}
    elif verb == "patch":
        media = _PATCHES if resource.openapi is None else _PATCHES[:2]
        content = {kind: {"schema": {"type": "object"}} for kind in media}
        operation["requestBody"] = {"content": content, "required": True}
    return operation


def _content(name: str) -> Schema:
    return {"application/json": {"schema": {"$ref": _REF + name}}}


def _parameter(name: str) -> Schema:
    kind, text = _QUERY[name]
    return {
        "name": name,
        "in": "query",
        "description": text,
        "schema": {"type": kind, "uniqueItems": True},
    }


def _path_parameters(path: str) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "path",
            "description": f"The {name}.",
            "required": True,
            "schema": {"type": "string", "uniqueItems": True},
        }
        for name in ("name", "namespace")
        if f"{{{name}}}" in path
    ]
