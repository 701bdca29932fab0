"""The built-in types of the named API groups; notation as in :mod:`apiserver.openapi.builtin`."""

from collections.abc import Mapping
from typing import Final

from apiserver.openapi.notation import OBJECT, Fields

_SUBJECT_STATUS: Final[Fields] = {
    "allowed": ("bool*", "The action is allowed."),
    "denied": ("bool", "The action is forbidden, whatever others say."),
    "reason": ("string", "Why, for people."),
    "evaluationError": (
        "string",
        "What went wrong while deciding; the answer stands nevertheless.",
    ),
}

_RBAC_TYPES: Final[Mapping[str, tuple[str, Fields]]] = {
    "Role": (
        "Rights within one namespace.",
        {**OBJECT, "rules": ("PolicyRule[]", "What may be done.")},
    ),
    "ClusterRole": (
        "Rights everywhere, or wherever a RoleBinding grants them.",
        {
            **OBJECT,
            "rules": ("PolicyRule[]", "What may be done."),
            "aggregationRule": (
                "AggregationRule",
                "The rules are those of other roles and are kept by the server.",
            ),
        },
    ),
    "AggregationRule": (
        "Which roles' rules a ClusterRole takes over.",
        {"clusterRoleSelectors": ("LabelSelector[]", "Chooses these roles by their labels.")},
    ),
    "PolicyRule": (
        "What may be done with what.",
        {
            "verbs": ("string[]*", "What may be done: get, list, watch, create, …; * is all."),
            "apiGroups": ("string[]", "Groups of the resources; the empty one is the core."),
            "resources": ("string[]", "The resources, such as secrets or agentpods/status."),
            "resourceNames": ("string[]", "Only objects of these names; without any, all."),
            "nonResourceURLs": ("string[]", "URLs that are no resources, such as /healthz."),
        },
    ),
    "RoleBinding": (
        "Grants the rights of a role to somebody, within one namespace.",
        {
            **OBJECT,
            "subjects": ("Subject[]", "Who gets them."),
            "roleRef": ("RoleRef*", "The role; cannot be changed."),
        },
    ),
    "ClusterRoleBinding": (
        "Grants the rights of a ClusterRole to somebody, everywhere.",
        {
            **OBJECT,
            "subjects": ("Subject[]", "Who gets them."),
            "roleRef": ("RoleRef*", "The role; cannot be changed."),
        },
    ),
    "Subject": (
        "Somebody who gets rights.",
        {
            "kind": ("string*", "User, Group or ServiceAccount."),
            "apiGroup": ("string", "rbac.authorization.k8s.io for users and groups."),
            "name": ("string*", "The name."),
            "namespace": ("string", "The namespace of a ServiceAccount."),
        },
    ),
    "RoleRef": (
        "The role of a binding.",
        {
            "apiGroup": ("string*", "rbac.authorization.k8s.io."),
            "kind": ("string*", "Role or ClusterRole."),
            "name": ("string*", "The name."),
        },
    ),
}

GROUP_TYPES: Final[Mapping[str, Mapping[str, tuple[str, Fields]]]] = {
    "io.k8s.api.events.v1": {
        "Event": (
            "Something that happened to an object, for people; kept for an hour or so.",
            {
                **OBJECT,
                "eventTime": ("micro*", "When it was first seen."),
                "series": ("EventSeries", "How it repeats."),
                "reportingController": ("string", "The controller that reports it."),
                "reportingInstance": ("string", "The instance of that controller."),
                "action": ("string", "What was done or tried."),
                "reason": ("string", "Why, as one word."),
                "regarding": ("ObjectReference", "The object that it happened to."),
                "related": ("ObjectReference", "A second object that it is about."),
                "note": ("string", "What happened, for people."),
                "type": ("string", "Normal or Warning."),
                "deprecatedSource": ("EventSource", "Who reports it; of the older type."),
                "deprecatedFirstTimestamp": ("time", "When it happened first."),
                "deprecatedLastTimestamp": ("time", "When it happened last."),
                "deprecatedCount": ("int32", "How often it happened."),
            },
        ),
    },
    "io.k8s.api.coordination.v1": {
        "Lease": (
            "A claim that somebody renews while he lives: heartbeats and elections.",
            {**OBJECT, "spec": ("LeaseSpec", "The claim.")},
        ),
        "LeaseSpec": (
            "A claim.",
            {
                "holderIdentity": ("string", "Who holds it."),
                "leaseDurationSeconds": (
                    "int32",
                    "Seconds after the last renewal when others may take it.",
                ),
                "acquireTime": ("micro", "When the holder took it."),
                "renewTime": ("micro", "When the holder last renewed it."),
                "leaseTransitions": ("int32", "How often it changed hands."),
                "strategy": ("string", "How the next holder is chosen."),
                "preferredHolder": ("string", "Who should have it next."),
            },
        ),
    },
    "io.k8s.api.rbac.v1": _RBAC_TYPES,
    "io.k8s.api.authentication.v1": {
        "TokenReview": (
            "Asks whose a token is.",
            {
                **OBJECT,
                "spec": ("TokenReviewSpec*", "The question."),
                "status": ("TokenReviewStatus", "The answer."),
            },
        ),
        "TokenReviewSpec": (
            "The question whose a token is.",
            {
                "token": ("string", "The token."),
                "audiences": ("string[]", "Whom the token must be meant for."),
            },
        ),
        "TokenReviewStatus": (
            "Whose a token is.",
            {
                "authenticated": ("bool", "The token is good."),
                "user": ("UserInfo", "Whose it is."),
                "audiences": ("string[]", "Those of the asked audiences that it is meant for."),
                "error": ("string", "Why it is not good."),
            },
        ),
        "SelfSubjectReview": (
            "Asks who I am.",
            {**OBJECT, "status": ("SelfSubjectReviewStatus", "The answer.")},
        ),
        "SelfSubjectReviewStatus": ("Who I am.", {"userInfo": ("UserInfo", "The user.")}),
        "UserInfo": (
            "A user as authentication found out.",
            {
                "username": ("string", "The name."),
                "uid": ("string", "Unique over time."),
                "groups": ("string[]", "The groups."),
                "extra": ("any", "What else is known."),
            },
        ),
        "TokenRequest": (
            "Asks for a token of a ServiceAccount.",
            {
                **OBJECT,
                "spec": ("TokenRequestSpec*", "The wish."),
                "status": ("TokenRequestStatus", "The token."),
            },
        ),
        "TokenRequestSpec": (
            "What the token shall be.",
            {
                "audiences": ("string[]*", "Whom it is meant for."),
                "expirationSeconds": ("int64", "How long it shall live."),
                "boundObjectRef": ("any", "An object whose end is the token's end."),
            },
        ),
        "TokenRequestStatus": (
            "A token.",
            {
                "token": ("string*", "The token."),
                "expirationTimestamp": ("time*", "When it ends."),
            },
        ),
    },
    "io.k8s.api.authorization.v1": {
        "SelfSubjectAccessReview": (
            "Asks whether I may do something.",
            {
                **OBJECT,
                "spec": ("SelfSubjectAccessReviewSpec*", "The question."),
                "status": ("SubjectAccessReviewStatus", "The answer."),
            },
        ),
        "SubjectAccessReview": (
            "Asks whether somebody may do something.",
            {
                **OBJECT,
                "spec": ("SubjectAccessReviewSpec*", "The question."),
                "status": ("SubjectAccessReviewStatus", "The answer."),
            },
        ),
        "LocalSubjectAccessReview": (
            "Asks whether somebody may do something in one namespace.",
            {
                **OBJECT,
                "spec": ("SubjectAccessReviewSpec*", "The question."),
                "status": ("SubjectAccessReviewStatus", "The answer."),
            },
        ),
        "SelfSubjectRulesReview": (
            "Asks what I may do in a namespace.",
            {
                **OBJECT,
                "spec": ("SelfSubjectRulesReviewSpec*", "The question."),
                "status": ("any", "The answer."),
            },
        ),
        "SelfSubjectRulesReviewSpec": (
            "Where.",
            {"namespace": ("string", "The namespace.")},
        ),
        "SelfSubjectAccessReviewSpec": (
            "What I want to do: one of the two.",
            {
                "resourceAttributes": ("ResourceAttributes", "An action on a resource."),
                "nonResourceAttributes": ("NonResourceAttributes", "An action on a URL."),
            },
        ),
        "SubjectAccessReviewSpec": (
            "What somebody wants to do.",
            {
                "resourceAttributes": ("ResourceAttributes", "An action on a resource."),
                "nonResourceAttributes": ("NonResourceAttributes", "An action on a URL."),
                "user": ("string", "The user."),
                "groups": ("string[]", "The groups of the user."),
                "uid": ("string", "The UID of the user."),
                "extra": ("any", "What else is known of the user."),
            },
        ),
        "ResourceAttributes": (
            "An action on a resource.",
            {
                "namespace": ("string", "The namespace; empty for all, or for none."),
                "verb": ("string", "What is done: get, list, create, …"),
                "group": ("string", "Group of the resource."),
                "version": ("string", "Version of the resource."),
                "resource": ("string", "The resource, in the plural."),
                "subresource": ("string", "The subresource."),
                "name": ("string", "One object; empty for all."),
                "fieldSelector": ("any", "Only objects with these fields."),
                "labelSelector": ("any", "Only objects with these labels."),
            },
        ),
        "NonResourceAttributes": (
            "An action on a URL.",
            {"path": ("string", "The path."), "verb": ("string", "The HTTP verb.")},
        ),
        "SubjectAccessReviewStatus": ("Whether it is allowed.", _SUBJECT_STATUS),
    },
}
