"""The reviews: questions about credentials and rights, answered and not kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from apiserver import errors
from apiserver.auth.authenticator import Authenticator
from apiserver.auth.jwts import AUDIENCE
from apiserver.auth.rbac import Authorizer
from apiserver.auth.rules import Attributes
from apiserver.auth.tokenfile import AUTHENTICATED
from apiserver.kinds.resource import Resource
from apiserver.kinds.strategy import User
from apiserver.rest import admission, reply
from apiserver.rest.call import Call
from apiserver.schema.errors import FieldError, invalid
from apiserver.store.records import Object


class Reviews:
    """Answers creates of the review kinds."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._answers: Final[dict[str, Callable[[Call, Object], Object]]] = {
            "TokenReview": self._token,
            "SelfSubjectReview": self._self,
            "SubjectAccessReview": self._access,
            "LocalSubjectAccessReview": self._local_access,
            "SelfSubjectAccessReview": self._self_access,
            "SelfSubjectRulesReview": self._self_rules,
        }

    def answers(self, resource: Resource) -> bool:
        """Tell whether *resource* is a review."""
        return resource.kind in self._answers and not resource.custom

    def review(self, call: Call, resource: Resource) -> reply.Reply:
        """Answer one review."""
        admission.refuse_write_options(call)
        obj = admission.read(call, resource)
        spec = obj.get("spec")
        if not isinstance(spec, dict):
            spec = obj["spec"] = {}
        try:
            obj["status"] = self._answers[resource.kind](call, obj)
        except (AttributeError, TypeError) as exc:
            raise errors.bad_request(f"the spec of the {resource.kind} is malformed") from exc
        obj["metadata"].setdefault("creationTimestamp", None)
        return reply.document(call, obj, 201)

    def _token(self, _call: Call, obj: Object) -> Object:
        spec = obj["spec"]
        token = str(spec.get("token") or "")
        if not token:
            raise errors.bad_request("token is required for TokenReview in authentication")
        audiences = tuple(spec.get("audiences") or (AUDIENCE,))
        verified = self._authenticator.verify(token, audiences)
        if verified is None:
            return {"user": {}, "error": "the token is not valid here"}
        found: Object = {"authenticated": True, "user": _user_info(verified.user)}
        return found | {"audiences": list(verified.audiences)}

    def _self(self, call: Call, obj: Object) -> Object:
        del obj["spec"]
        return {"userInfo": _user_info(call.user)}

    def _access(self, _call: Call, obj: Object) -> Object:
        spec = obj["spec"]
        name, groups = spec.get("user") or "", spec.get("groups") or []
        if not name and not groups:
            text = "at least one of user or group must be specified"
            _refuse([invalid("spec.user", "", text)])
        return self._decide(User(name, frozenset(groups)), spec)

    def _local_access(self, call: Call, obj: Object) -> Object:
        attributes = obj["spec"].get("resourceAttributes") or {}
        if attributes.get("namespace", "") != call.target.namespace:
            text = "must match metadata.namespace"
            found = invalid(
                "spec.resourceAttributes.namespace", attributes.get("namespace", ""), text
            )
            _refuse([found])
        return self._access(call, obj)

    def _self_access(self, call: Call, obj: Object) -> Object:
        return self._decide(call.user, obj["spec"])

    def _decide(self, user: User, spec: Object) -> Object:
        resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if (resource is None) == (path is None):
            text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
            _refuse([invalid("spec.resourceAttributes", resource, text)])
        if self._authorizer.allows(user, _attributes(resource, path or {})):
            return {"allowed": True}
        return {"allowed": False}

    def _self_rules(self, call: Call, obj: Object) -> Object:
        namespace = obj["spec"].get("namespace") or ""
        if not namespace:
            raise errors.bad_request("no namespace on request")
        rules = list(self._authorizer.rules(call.user, namespace))
        return {
            "resourceRules": [rule.manifest() for rule in rules if rule.resources],
            "nonResourceRules": [rule.manifest() for rule in rules if rule.paths],
            "incomplete": False,
        }


def _refuse(found: list[FieldError]) -> None:
    raise errors.invalid("authorization.k8s.io", "", "", found)  # without a kind, as Kubernetes


def _attributes(resource: Object | None, path: Object) -> Attributes:
    if resource is None:
        return Attributes(path.get("verb") or "", path=path.get("path") or "/")
    return Attributes(
        resource.get("verb") or "",
        resource.get("group") or "",
        resource.get("resource") or "",
        resource.get("subresource") or "",
        resource.get("name") or "",
        resource.get("namespace") or "",
    )


def _user_info(user: User) -> Object:
    groups = sorted(user.groups, key=lambda group: (group == AUTHENTICATED, group))
    found: Object = {"username": user.name, "groups": groups}
    if user.uid:
        found["uid"] = user.uid
    if user.extra:
        found["extra"] = {key: list(values) for key, values in user.extra}
    return found
