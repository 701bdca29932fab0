"""The built-in types that users meet, field by field, in our words.

The notation is that of :mod:`apiserver.openapi.notation`.
"""

from collections.abc import Mapping
from typing import Final

from apiserver.openapi.definitions import DEFINITION_TYPES
from apiserver.openapi.groups import GROUP_TYPES
from apiserver.openapi.notation import OBJECT, TYPE, Fields

META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1"
CORE: Final = "io.k8s.api.core.v1"

_DEFINITIONS: Final = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"

_META_TYPES: Final[Mapping[str, tuple[str, Fields]]] = {
    "ObjectMeta": (
        "What every object has: its name, what it belongs to, how it is found.",
        {
            "name": ("string", "Unique within the namespace and kind; cannot be changed."),
            "generateName": (
                "string",
                "Beginning of a name that the server completes, if no name is given.",
            ),
            "namespace": ("string", "The namespace that the object lives in; cannot be changed."),
            "uid": ("string", "Unique in time and space; set by the server."),
            "resourceVersion": (
                "string",
                "Changes with every write; an update that names an older one is refused.",
            ),
            "generation": ("int64", "Rises with every change of what is wanted."),
            "creationTimestamp": ("time", "When the server created the object."),
            "deletionTimestamp": (
                "time",
                "When deletion was asked for; the object goes once its finalizers are gone.",
            ),
            "deletionGracePeriodSeconds": ("int64", "Seconds that it has to end gracefully."),
            "labels": (
                "string{}",
                "Short keys and values by which objects are selected, such as app: shop.",
            ),
            "annotations": ("string{}", "Any further data on the object; not for selecting."),
            "ownerReferences": (
                "OwnerReference[]",
                "The objects that this one belongs to: it is deleted when all of them are.",
            ),
            "finalizers": (
                "string[]",
                "What must be done, by whom, before the object may go; each removes its own entry.",
            ),
            "managedFields": ("ManagedFieldsEntry[]", "Who set which fields; kept by the server."),
            "selfLink": ("string", "No longer used."),
        },
    ),
    "OwnerReference": (
        "An object that another one belongs to; in the same namespace or in none.",
        {
            "apiVersion": ("string*", "Group and version of the owner's type."),
            "kind": ("string*", "Kind of the owner."),
            "name": ("string*", "Name of the owner."),
            "uid": ("string*", "UID of the owner: a later one of the same name does not count."),
            "controller": ("bool", "The owner manages this object; at most one does."),
            "blockOwnerDeletion": (
                "bool",
                "The owner stays, in a foreground deletion, until this object is gone.",
            ),
        },
    ),
    "ManagedFieldsEntry": (
        "The fields that one manager set.",
        {
            "manager": ("string", "Who set them."),
            "operation": ("string", "Apply or Update."),
            "apiVersion": ("string", "Version of the type at that time."),
            "time": ("time", "When that was."),
            "fieldsType": ("string", "Always FieldsV1."),
            "fieldsV1": ("any", "The set of fields."),
            "subresource": ("string", "The subresource that was written through, if any."),
        },
    ),
    "ListMeta": (
        "What every list has.",
        {
            "resourceVersion": ("string", "Version of the whole that the list shows."),
            "continue": ("string", "Token for the next page, if there is one."),
            "remainingItemCount": ("int64", "How many items follow on further pages."),
            "selfLink": ("string", "No longer used."),
        },
    ),
    "Status": (
        "The answer to a request that gives no object.",
        {
            **TYPE,
            "metadata": ("ListMeta", "What every list has."),
            "status": ("string", "Success or Failure."),
            "message": ("string", "What happened, for people."),
            "reason": ("string", "Why it failed, as one word for programs."),
            "details": ("any", "More on the reason."),
            "code": ("int32", "The HTTP status."),
        },
    ),
    "DeleteOptions": (
        "How to delete.",
        {
            **TYPE,
            "gracePeriodSeconds": ("int64", "Seconds to end gracefully; 0 is at once."),
            "preconditions": ("Preconditions", "What must hold, or nothing is deleted."),
            "propagationPolicy": (
                "string",
                "What becomes of the objects that belong to it: Orphan, Background or Foreground.",
            ),
            "orphanDependents": ("bool", "No longer used: see propagationPolicy."),
            "dryRun": ("string[]", "All: check, but keep everything."),
        },
    ),
    "Preconditions": (
        "What must hold for a deletion.",
        {
            "uid": ("string", "The object has this UID."),
            "resourceVersion": ("string", "The object has this version."),
        },
    ),
    "LabelSelector": (
        "Chooses objects by their labels; all conditions must hold.",
        {
            "matchLabels": ("string{}", "Labels that must have exactly these values."),
            "matchExpressions": ("LabelSelectorRequirement[]", "Further conditions."),
        },
    ),
    "LabelSelectorRequirement": (
        "One condition on one label.",
        {
            "key": ("string*", "The label."),
            "operator": ("string*", "In, NotIn, Exists or DoesNotExist."),
            "values": ("string[]", "The values for In and NotIn."),
        },
    ),
}

_CORE_TYPES: Final[Mapping[str, tuple[str, Fields]]] = {
    "Namespace": (
        "A room of its own for names; deleting it deletes everything in it.",
        {
            **OBJECT,
            "spec": ("NamespaceSpec", "What is wanted."),
            "status": ("NamespaceStatus", "What is."),
        },
    ),
    "NamespaceSpec": (
        "What is wanted of a namespace.",
        {"finalizers": ("string[]", "What must be done before it may go.")},
    ),
    "NamespaceStatus": (
        "The state of a namespace.",
        {
            "phase": ("string", "Active or Terminating."),
            "conditions": ("NamespaceCondition[]", "How far its deletion is."),
        },
    ),
    "NamespaceCondition": (
        "One fact on a namespace that is being deleted.",
        {
            "type": ("string*", "What it is about."),
            "status": ("string*", "True, False or Unknown."),
            "lastTransitionTime": ("time", "When it last changed."),
            "reason": ("string", "Why, as one word."),
            "message": ("string", "Why, for people."),
        },
    ),
    "Secret": (
        "Confidential data, such as tokens, passwords and keys; at most 1 MiB.",
        {
            **OBJECT,
            "data": ("bytes{}", "The data: values in base64."),
            "stringData": (
                "string{}",
                "Values as plain text, for writing only; they are put into data.",
            ),
            "type": ("string", "What the data is for, such as kubernetes.io/tls; Opaque if unset."),
            "immutable": ("bool", "The data can no longer be changed, nor can this."),
        },
    ),
    "ConfigMap": (
        "Configuration as keys and values; at most 1 MiB, nothing secret.",
        {
            **OBJECT,
            "data": ("string{}", "The values, as text."),
            "binaryData": ("bytes{}", "Values that are no text, in base64."),
            "immutable": ("bool", "The data can no longer be changed, nor can this."),
        },
    ),
    "ServiceAccount": (
        "An identity for programs; tokens are issued for it.",
        {
            **OBJECT,
            "secrets": ("ObjectReference[]", "Secrets that its programs may use."),
            "imagePullSecrets": (
                "LocalObjectReference[]",
                "Secrets for pulling images, in the same namespace.",
            ),
            "automountServiceAccountToken": ("bool", "Its programs get a token by themselves."),
        },
    ),
    "ObjectReference": (
        "Names an object.",
        {
            "apiVersion": ("string", "Group and version of its type."),
            "kind": ("string", "Its kind."),
            "namespace": ("string", "Its namespace."),
            "name": ("string", "Its name."),
            "uid": ("string", "Its UID."),
            "resourceVersion": ("string", "The version that is meant."),
            "fieldPath": ("string", "The part of it that is meant."),
        },
    ),
    "LocalObjectReference": (
        "Names an object of the same namespace.",
        {"name": ("string", "Its name.")},
    ),
    "Event": (
        "Something that happened to an object, for people; kept for an hour or so.",
        {
            **OBJECT,
            "involvedObject": ("ObjectReference*", "The object that it happened to."),
            "reason": ("string", "Why, as one word."),
            "message": ("string", "What happened, for people."),
            "source": ("EventSource", "Who reports it."),
            "firstTimestamp": ("time", "When it happened first."),
            "lastTimestamp": ("time", "When it happened last."),
            "count": ("int32", "How often it happened."),
            "type": ("string", "Normal or Warning."),
            "eventTime": ("micro", "When it was first seen."),
            "series": ("EventSeries", "How it repeats."),
            "action": ("string", "What was done or tried."),
            "related": ("ObjectReference", "A second object that it is about."),
            "reportingComponent": ("string", "The controller that reports it."),
            "reportingInstance": ("string", "The instance of that controller."),
        },
    ),
    "EventSource": (
        "Who reports an event.",
        {"component": ("string", "The program."), "host": ("string", "Where it runs.")},
    ),
    "EventSeries": (
        "How an event repeats.",
        {
            "count": ("int32", "How often it happened."),
            "lastObservedTime": ("micro", "When it happened last."),
        },
    ),
    "ResourceQuota": (
        "Limits how many objects a namespace may hold.",
        {
            **OBJECT,
            "spec": ("ResourceQuotaSpec", "The limits."),
            "status": ("ResourceQuotaStatus", "The limits and what is used."),
        },
    ),
    "ResourceQuotaSpec": (
        "The limits of a namespace.",
        {
            "hard": ("int-or-string{}", "The limit for each resource, such as count/secrets: 10."),
            "scopes": ("string[]", "What the limits apply to."),
            "scopeSelector": ("any", "What the limits apply to."),
        },
    ),
    "ResourceQuotaStatus": (
        "The limits of a namespace and what is used.",
        {
            "hard": ("int-or-string{}", "The limits in force."),
            "used": ("int-or-string{}", "What there is."),
        },
    ),
}

PACKAGES: Final[Mapping[str, Mapping[str, tuple[str, Fields]]]] = {
    META: _META_TYPES,
    CORE: _CORE_TYPES,
    **GROUP_TYPES,
    _DEFINITIONS: DEFINITION_TYPES,
}
"""All types by their package."""

GROUP_PACKAGES: Final[Mapping[str, str]] = {
    "": CORE,
    "events.k8s.io": "io.k8s.api.events.v1",
    "coordination.k8s.io": "io.k8s.api.coordination.v1",
    "rbac.authorization.k8s.io": "io.k8s.api.rbac.v1",
    "authentication.k8s.io": "io.k8s.api.authentication.v1",
    "authorization.k8s.io": "io.k8s.api.authorization.v1",
    "apiextensions.k8s.io": _DEFINITIONS,
}
"""The package of each API group's types."""
