"""The rules of RBAC's kinds: nobody hands out what he does not have; bindings keep their role."""

from __future__ import annotations

from typing import Final

from typing_extensions import override

from apiserver.errors import forbidden
from apiserver.kinds.names import path_segment
from apiserver.kinds.strategy import Context, Strategy
from apiserver.schema.errors import FieldError, invalid, not_supported, required
from apiserver.store.records import Object

_GROUP: Final = "rbac.authorization.k8s.io"


class RoleStrategy(Strategy):
    """Role and ClusterRole."""

    def __init__(self, plural: str) -> None:
        self._plural = plural

    @override
    def name_errors(self, name: str) -> list[str]:
        """Return what is wrong with *name*: any segment of a URL will do."""
        return path_segment(name)

    @override
    def prepare_create(self, ctx: Context, obj: Object) -> None:
        """Refuse rights that the user does not have."""
        self._check(ctx, obj)

    @override
    def prepare_update(self, ctx: Context, obj: Object, old: Object) -> None:
        """Refuse rights that the user does not have, unless the rules stay as they are."""
        fields = ("rules", "aggregationRule")
        if any(obj.get(name) != old.get(name) for name in fields):
            self._check(ctx, obj)

    def _check(self, ctx: Context, obj: Object) -> None:
        meta = obj["metadata"]
        why = ctx.escalation.refuse_role(ctx.user, obj, meta.get("namespace", ""))
        if why is not None:
            raise forbidden(_GROUP, self._plural, meta.get("name", ""), why)

    @override
    def validate(self, ctx: Context, obj: Object, old: Object | None) -> list[FieldError]:
        """Check that each rule says verbs and either resources or paths."""
        found: list[FieldError] = []
        namespaced = self._plural == "roles"
        for index, rule in enumerate(obj.get("rules") or ()):
            found += _rule_errors(rule, f"rules[{index}]", namespaced=namespaced)
        return found


def _rule_errors(rule: Object, at: str, *, namespaced: bool) -> list[FieldError]:
    found: list[FieldError] = []
    if not rule.get("verbs"):
        found.append(required(f"{at}.verbs", "verbs must contain at least one value"))
    paths = rule.get("nonResourceURLs")
    if paths:
        if namespaced:
            text = "namespaced rules cannot apply to non-resource URLs"
            found.append(invalid(f"{at}.nonResourceURLs", paths, text))
        if any(rule.get(name) for name in ("apiGroups", "resources", "resourceNames")):
            text = "rules cannot apply to both regular resources and non-resource URLs"
            found.append(invalid(f"{at}.nonResourceURLs", paths, text))
        return found
    if not rule.get("apiGroups"):
        text = "resource rules must supply at least one api group"
        found.append(required(f"{at}.apiGroups", text))
    if not rule.get("resources"):
        text = "resource rules must supply at least one resource"
        found.append(required(f"{at}.resources", text))
    return found


class BindingStrategy(Strategy):
    """RoleBinding and ClusterRoleBinding."""

    def __init__(self, plural: str) -> None:
        self._plural = plural

    @override
    def name_errors(self, name: str) -> list[str]:
        """Return what is wrong with *name*: any segment of a URL will do."""
        return path_segment(name)

    @override
    def default(self, obj: Object) -> None:
        """Fill in the API groups and the subjects' namespace."""
        ref = obj.get("roleRef")
        if isinstance(ref, dict) and not ref.get("apiGroup"):
            ref["apiGroup"] = _GROUP
        for subject in obj.get("subjects") or ():
            if subject.get("kind") in {"User", "Group"} and not subject.get("apiGroup"):
                subject["apiGroup"] = _GROUP

    @override
    def prepare_create(self, ctx: Context, obj: Object) -> None:
        """Refuse a role whose rights the user does not have."""
        self._check(ctx, obj)

    @override
    def prepare_update(self, ctx: Context, obj: Object, old: Object) -> None:
        """Refuse new subjects for a role whose rights the user does not have."""
        if obj.get("subjects") != old.get("subjects") or obj.get("roleRef") != old.get("roleRef"):
            self._check(ctx, obj)

    def _check(self, ctx: Context, obj: Object) -> None:
        meta = obj["metadata"]
        why = ctx.escalation.refuse_binding(ctx.user, obj, meta.get("namespace", ""))
        if why is not None:
            raise forbidden(_GROUP, self._plural, meta.get("name", ""), why)

    @override
    def validate(self, ctx: Context, obj: Object, old: Object | None) -> list[FieldError]:
        """Check the reference and the subjects."""
        ref = obj.get("roleRef") or {}
        namespaced = self._plural == "rolebindings"
        kinds = ["Role", "ClusterRole"] if namespaced else ["ClusterRole"]
        found: list[FieldError] = []
        if ref.get("apiGroup") != _GROUP:
            found.append(not_supported("roleRef.apiGroup", ref.get("apiGroup", ""), [_GROUP]))
        if ref.get("kind") not in kinds:
            found.append(not_supported("roleRef.kind", ref.get("kind", ""), kinds))
        if not ref.get("name"):
            found.append(required("roleRef.name"))
        if old is not None and ref != old.get("roleRef"):
            shown = {name: ref.get(name[0].lower() + name[1:], "") for name in ("Kind", "Name")}
            shown = {"APIGroup": ref.get("apiGroup", "")} | shown
            found.append(invalid("roleRef", shown, "cannot change roleRef"))
        for index, subject in enumerate(obj.get("subjects") or ()):
            found += _subject_errors(subject, f"subjects[{index}]", namespaced=namespaced)
        return found


def _subject_errors(subject: Object, at: str, *, namespaced: bool) -> list[FieldError]:
    found: list[FieldError] = []
    kind, group = subject.get("kind", ""), subject.get("apiGroup", "")
    if not subject.get("name"):
        found.append(required(f"{at}.name"))
    if kind == "ServiceAccount":
        if group:
            found.append(not_supported(f"{at}.apiGroup", group, [""]))
        if not namespaced and not subject.get("namespace"):
            found.append(required(f"{at}.namespace"))
    elif kind in {"User", "Group"}:
        if group != _GROUP:
            found.append(not_supported(f"{at}.apiGroup", group, [_GROUP]))
    else:
        allowed = ["ServiceAccount", "User", "Group"]
        found.append(not_supported(f"{at}.kind", kind, allowed))
    return found
