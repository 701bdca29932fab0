"""What is served: aggregated discovery in both versions, and the plain lists for older clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson

from apiserver import errors
from apiserver.kinds.registry import Registry
from apiserver.kinds.resource import Resource
from apiserver.rest.call import Call
from apiserver.rest.media import JSON, negotiate, ranges
from apiserver.rest.reply import Reply
from apiserver.store.records import Object

_GROUP: Final = "apidiscovery.k8s.io"

_SUBRESOURCE_VERBS: Final = {
    "status": ("get", "patch", "update"),
    "scale": ("get", "patch", "update"),
    "finalize": ("update",),
    "token": ("create",),
}

_SUBRESOURCE_KINDS: Final = {
    "scale": ("autoscaling", "v1", "Scale"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
}


class Discovery:
    """Answers the questions below `/api` and `/apis`; remembers the answers until they change."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._answers: dict[tuple[str, ...], bytes] = {}
        self._generation = -1

    def root(self, call: Call, path: str) -> Reply:
        """Answer `/api` or `/apis`."""
        for kind, params in ranges(call.header(b"accept")):
            if kind != JSON or params.get("as") != "APIGroupDiscoveryList":
                continue
            version = params.get("v", "")
            if params.get("g") == _GROUP and version in {"v2", "v2beta1"}:
                body = self._cached(path, version)
                return Reply(body, 200, f"{JSON};g={_GROUP};v={version};as=APIGroupDiscoveryList")
        return self._plain(call, self._cached(path))

    def group(self, call: Call, group: str) -> Reply:
        """Answer `/apis/<group>`."""
        return self._plain(call, self._cached("group", group))

    def group_version(self, call: Call, group: str, version: str) -> Reply:
        """Answer `/api/v1` or `/apis/<group>/<version>`."""
        return self._plain(call, self._cached("version", group, version))

    def _plain(self, call: Call, body: bytes) -> Reply:
        form = negotiate(call.header(b"accept"), shapes=False)
        if form.yaml:
            from apiserver.rest.reply import document

            return document(call, orjson.loads(body))
        return Reply(body)

    def _cached(self, *question: str) -> bytes:
        if self._generation != self._registry.generation:
            self._answers.clear()
            self._generation = self._registry.generation
        if question not in self._answers:
            self._answers[question] = orjson.dumps(self._answer(question))
        return self._answers[question]

    def _answer(self, question: tuple[str, ...]) -> Object:
        match question:
            case ("/api", version) | ("/apis", version):
                return self._aggregated(core=question[0] == "/api", version=version)
            case ("/api",):
                return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
            case ("/apis",):
                groups = [self._api_group(name) for name in self._groups() if name]
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
            case ("group", group):
                if group not in self._groups():
                    raise errors.no_such_resource()
                return {"kind": "APIGroup", "apiVersion": "v1"} | self._api_group(group)
            case ("version", group, version):
                return self._resource_list(group, version)
            case _:
                raise errors.no_such_resource()

    def _groups(self) -> dict[str, list[str]]:
        """Return the versions of each group; the preferred one comes first."""
        found: dict[str, list[str]] = {}
        for resource in self._registry.all():
            versions = found.setdefault(resource.group, [])
            if resource.version not in versions:
                versions.append(resource.version)
        for versions in found.values():
            versions.sort(key=version_priority, reverse=True)
        return found

    def _api_group(self, group: str) -> Object:
        versions = [
            {"groupVersion": f"{group}/{version}", "version": version}
            for version in self._groups()[group]
        ]
        return {"name": group, "versions": versions, "preferredVersion": versions[0]}

    def _of(self, group: str, version: str) -> list[Resource]:
        found = [
            resource
            for resource in self._registry.all()
            if (resource.group, resource.version) == (group, version)
        ]
        if not found:
            raise errors.no_such_resource()
        return found

    def _resource_list(self, group: str, version: str) -> Object:
        resources: list[Object] = []
        for resource in self._of(group, version):
            resources.append(_plain_resource(resource))
            resources += [
                _plain_subresource(resource, name) for name in sorted(resource.subresources)
            ]
        group_version = f"{group}/{version}" if group else version
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version,
            "resources": resources,
        }

    def _aggregated(self, *, core: bool, version: str) -> Object:
        items = [
            {
                "metadata": {"name": group, "creationTimestamp": None}
                if group
                else {"creationTimestamp": None},
                "versions": [
                    {
                        "version": name,
                        "resources": [_aggregated_resource(r) for r in self._of(group, name)],
                        "freshness": "Current",
                    }
                    for name in versions
                ],
            }
            for group, versions in self._groups().items()
            if (not group) == core
        ]
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": f"{_GROUP}/{version}",
            "metadata": {},
            "items": items,
        }


def version_priority(version: str) -> tuple[int, int, int, str]:
    """Return a key that sorts versions as Kubernetes prefers them: v2, v1, v1beta1, v1alpha1."""
    body = version.removeprefix("v")
    for stage, rank in (("alpha", 1), ("beta", 2)):
        major, found, minor = body.partition(stage)
        if found and major.isdigit() and minor.isdigit():
            return rank, int(major), int(minor), ""
    if body.isdigit() and body != version:
        return 3, int(body), 0, ""
    return 0, 0, 0, version


def _verbs(resource: Resource) -> list[str]:
    return list(resource.verbs)


def _plain_resource(resource: Resource) -> Object:
    found: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _verbs(resource),
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    return found


def _plain_subresource(resource: Resource, name: str) -> Object:
    found: Object = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(_SUBRESOURCE_VERBS[name]),
    }
    if name in _SUBRESOURCE_KINDS:
        found["group"], found["version"], found["kind"] = _SUBRESOURCE_KINDS[name]
    return found


def _aggregated_resource(resource: Resource) -> Object:
    found: Object = {
        "resource": resource.plural,
        "responseKind": _kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": _verbs(resource),
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    if resource.subresources:
        found["subresources"] = list(_aggregated_subresources(resource))
    return found


def _aggregated_subresources(resource: Resource) -> Iterable[Object]:
    for name in sorted(resource.subresources):
        own = (resource.group, resource.version, resource.kind)
        yield {
            "subresource": name,
            "responseKind": _kind(*_SUBRESOURCE_KINDS.get(name, own)),
            "verbs": list(_SUBRESOURCE_VERBS[name]),
        }


def _kind(group: str, version: str, kind: str) -> dict[str, Any]:
    return {"group": group, "version": version, "kind": kind}
