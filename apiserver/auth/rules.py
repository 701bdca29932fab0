"""RBAC's rules: what one allows, and whether some cover another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from apiserver.store.records import Object

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Attributes:
    """What somebody wants to do."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    namespace: str = ""
    path: str = ""
    """For requests to no resource; the other fields are empty then."""

    @property
    def combined(self) -> str:
        """The resource with its subresource, as rules name it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Rule:
    """A `PolicyRule`."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @classmethod
    def parse(cls, rule: Object) -> Rule:
        """Return the rule of a manifest."""
        fields = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
        return cls(*(tuple(rule.get(name) or ()) for name in fields))

    def allows(self, wanted: Attributes) -> bool:
        """Tell whether this rule allows *wanted*."""
        if not _in(self.verbs, wanted.verb):
            return False
        if wanted.path:
            return any(_path_matches(pattern, wanted.path) for pattern in self.paths)
        return (
            _in(self.groups, wanted.group)
            and self._has_resource(wanted.combined, wanted.subresource)
            and (not self.names or wanted.name in self.names)
        )

    def _has_resource(self, combined: str, subresource: str) -> bool:
        if ANY in self.resources or combined in self.resources:
            return True
        return bool(subresource) and f"*/{subresource}" in self.resources

    def manifest(self) -> Object:
        """Return the rule as it stands in a manifest."""
        pairs = (
            ("verbs", self.verbs),
            ("apiGroups", self.groups),
            ("resources", self.resources),
            ("resourceNames", self.names),
            ("nonResourceURLs", self.paths),
        )
        return {name: list(value) for name, value in pairs if value}

    def text(self) -> str:
        """Return the rule as Kubernetes prints it in refusals."""
        pairs = (
            ("APIGroups", self.groups),
            ("Resources", self.resources),
            ("ResourceNames", self.names),
            ("NonResourceURLs", self.paths),
            ("Verbs", self.verbs),
        )
        shown = (
            f"{name}:[{', '.join(f'{item!s}'.join(chr(34) * 2) for item in value)}]"
            for name, value in pairs
            if value
        )
        return "{" + ", ".join(shown) + "}"


def _in(allowed: tuple[str, ...], wanted: str) -> bool:
    return wanted in allowed or ANY in allowed


def _path_matches(pattern: str, path: str) -> bool:
    if pattern.endswith(ANY):
        return path.startswith(pattern[:-1])
    return pattern == path


def missing(owned: Iterable[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """Return the parts of *wanted* that *owned* does not cover, each as a rule of one grant."""
    owners = list(owned)
    return [
        part
        for rule in wanted
        for part in _parts(rule)
        if not any(_covers(owner, part) for owner in owners)
    ]


def _parts(rule: Rule) -> Iterable[Rule]:
    for verb in rule.verbs:
        for path in rule.paths:
            yield Rule((verb,), paths=(path,))
        for group in rule.groups:
            for resource in rule.resources:
                for name in rule.names or ("",):
                    yield Rule((verb,), (group,), (resource,), (name,) if name else ())


def _covers(owner: Rule, part: Rule) -> bool:
    if not _in(owner.verbs, part.verbs[0]):
        return False
    if part.paths:
        return any(_path_matches(pattern, part.paths[0]) for pattern in owner.paths)
    resource = part.resources[0]
    _, _, subresource = resource.partition("/")
    has_resource = (
        ANY in owner.resources
        or resource in owner.resources
        or (bool(subresource) and f"*/{subresource}" in owner.resources)
    )
    if not has_resource or not _in(owner.groups, part.groups[0]):
        return False
    return not owner.names or (bool(part.names) and part.names[0] in owner.names)
