"""Authorisation: members of `system:masters` may all, the others what RBAC's objects say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

from apiserver.auth.rules import Attributes, Rule, missing
from apiserver.errors import not_found
from apiserver.kinds.strategy import User
from apiserver.store.records import Change, Key, Object
from apiserver.store.store import Store

GROUP: Final = "rbac.authorization.k8s.io"
ROLES: Final = f"roles.{GROUP}"
CLUSTER_ROLES: Final = f"clusterroles.{GROUP}"
ROLE_BINDINGS: Final = f"rolebindings.{GROUP}"
CLUSTER_ROLE_BINDINGS: Final = f"clusterrolebindings.{GROUP}"
_RESOURCES: Final = frozenset({ROLES, CLUSTER_ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS})

_ACCOUNT_PREFIX: Final = "system:serviceaccount:"


class Grant(NamedTuple):
    """One role, given to one subject, in one namespace or everywhere (empty)."""

    namespace: str
    rules: tuple[Rule, ...]


class Authorizer:
    """Evaluates RBAC from an index that is made anew when one of its objects changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._index: dict[str, list[Grant]] | None = None
        store.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.key.resource in _RESOURCES:
            self._index = None

    def allows(self, user: User, wanted: Attributes) -> bool:
        """Tell whether *user* may do *wanted*."""
        if user.is_master:
            return True
        return any(rule.allows(wanted) for rule in self.rules(user, wanted.namespace))

    def rules(self, user: User, namespace: str) -> Iterator[Rule]:
        """Yield the rules that *user* has in *namespace*; in none where it is empty."""
        if user.is_master:
            yield Rule(("*",), ("*",), ("*",))
            yield Rule(("*",), paths=("*",))
        index = self._grants()
        for subject in (f"User:{user.name}", *(f"Group:{group}" for group in user.groups)):
            for grant in index.get(subject, ()):
                if not grant.namespace or grant.namespace == namespace:
                    yield from grant.rules

    def _grants(self) -> dict[str, list[Grant]]:
        if self._index is None:
            index: dict[str, list[Grant]] = defaultdict(list)
            for resource in (ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS):
                for entry in self._store.entries(resource):
                    namespace = entry.key.namespace
                    binding = entry.load()
                    rules = self.role_rules(binding.get("roleRef") or {}, namespace)
                    grant = Grant(namespace, tuple(rules or ()))
                    for subject in binding.get("subjects") or ():
                        index[_subject(subject, namespace)].append(grant)
            self._index = dict(index)
        return self._index

    def role_rules(self, ref: Object, namespace: str) -> list[Rule] | None:
        """Return the rules of the role that *ref* names; None where there is no such role."""
        cluster = ref.get("kind") == "ClusterRole"
        resource, where = (CLUSTER_ROLES, "") if cluster else (ROLES, namespace)
        entry = self._store.get(Key(resource, where, ref.get("name", "")))
        if entry is None:
            return None
        return [Rule.parse(rule) for rule in entry.load().get("rules") or ()]

    def refuse_role(self, user: User, obj: Object, namespace: str) -> str | None:
        """Return why *user* may not write this role, None where he may."""
        resource = "roles" if namespace else "clusterroles"
        name = obj["metadata"].get("name", "")
        if self.allows(user, Attributes("escalate", GROUP, resource, "", name, namespace)):
            return None
        wanted = [Rule.parse(rule) for rule in obj.get("rules") or ()]
        if obj.get("aggregationRule"):
            # Others decide what ends up in such a role: it could become everything.
            wanted += [Rule(("*",), ("*",), ("*",)), Rule(("*",), paths=("*",))]
        return self._lacking(user, wanted, namespace)

    def refuse_binding(self, user: User, obj: Object, namespace: str) -> str | None:
        """Return why *user* may not write this binding, None where he may.

        Raises:
            ApiError: 404, there is no such role: what it will allow is not known.
        """
        ref = obj.get("roleRef") or {}
        resource = "clusterroles" if ref.get("kind") == "ClusterRole" else "roles"
        name = ref.get("name", "")
        if self.allows(user, Attributes("bind", GROUP, resource, "", name, namespace)):
            return None
        rules = self.role_rules(ref, namespace)
        if rules is None:
            raise not_found(GROUP, resource, name)
        return self._lacking(user, rules, namespace)

    def _lacking(self, user: User, wanted: list[Rule], namespace: str) -> str | None:
        lacking = missing(self.rules(user, namespace), wanted)
        if not lacking:
            return None
        groups = ", ".join(f'"{group}"' for group in sorted(user.groups))
        shown = "\n".join(rule.text() for rule in lacking)
        return (
            f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not'
            f" currently held:\n{shown}"
        )


def _subject(subject: Object, namespace: str) -> str:
    kind, name = subject.get("kind", ""), subject.get("name", "")
    if kind == "ServiceAccount":
        return f"User:{_ACCOUNT_PREFIX}{subject.get('namespace') or namespace}:{name}"
    return f"{kind}:{name}"


def denial(user: User, wanted: Attributes) -> str:
    """Return the sentence that refuses *wanted*."""
    if wanted.path:
        return f'User "{user.name}" cannot {wanted.verb} path "{wanted.path}"'
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    return (
        f'User "{user.name}" cannot {wanted.verb} resource "{wanted.combined}"'
        f' in API group "{wanted.group}" {where}'
    )
