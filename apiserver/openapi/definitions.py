"""The type CustomResourceDefinition, field by field, as :mod:`apiserver.openapi.notation` says."""

from collections.abc import Mapping
from typing import Final

from apiserver.openapi.notation import TYPE, Fields

_BRANCHES: Final[Fields] = {
    "allOf": ("JSONSchemaProps[]", "All of these must hold as well."),
    "anyOf": ("JSONSchemaProps[]", "At least one of these must hold as well."),
    "oneOf": ("JSONSchemaProps[]", "Exactly one of these must hold as well."),
    "not": ("JSONSchemaProps", "This must not hold."),
}
_LIMITS: Final[Fields] = {
    "enum": ("any[]", "The values that are allowed."),
    "maximum": ("number", "Largest value."),
    "exclusiveMaximum": ("bool", "The largest value itself is not allowed."),
    "minimum": ("number", "Smallest value."),
    "exclusiveMinimum": ("bool", "The smallest value itself is not allowed."),
    "multipleOf": ("number", "The value is a multiple of this."),
    "maxLength": ("int64", "Largest number of characters."),
    "minLength": ("int64", "Smallest number of characters."),
    "pattern": ("string", "Regular expression (RE2) that must match somewhere."),
    "maxItems": ("int64", "Largest number of items."),
    "minItems": ("int64", "Smallest number of items."),
    "uniqueItems": ("bool", "Not supported: see x-kubernetes-list-type."),
    "maxProperties": ("int64", "Largest number of fields."),
    "minProperties": ("int64", "Smallest number of fields."),
    "required": ("string[]", "Fields that must be there."),
}
_EXTENSIONS: Final[Fields] = {
    "x-kubernetes-preserve-unknown-fields": ("bool", "Fields that are not named are kept."),
    "x-kubernetes-embedded-resource": ("bool", "The value is a whole object."),
    "x-kubernetes-int-or-string": ("bool", "The value is an integer or a string."),
    "x-kubernetes-list-type": ("string", "atomic, set (no item twice) or map (items with keys)."),
    "x-kubernetes-list-map-keys": ("string[]", "The keys of the items of a list of type map."),
    "x-kubernetes-map-type": ("string", "granular or atomic."),
    "x-kubernetes-validations": ("ValidationRule[]", "Rules in CEL."),
}

DEFINITION_TYPES: Final[Mapping[str, tuple[str, Fields]]] = {
    "CustomResourceDefinition": (
        "Defines a kind of resources: its names, its versions and their schemas.",
        {
            **TYPE,
            "metadata": ("ObjectMeta", "The name must be plural.group."),
            "spec": ("CustomResourceDefinitionSpec*", "The definition."),
            "status": ("CustomResourceDefinitionStatus", "What has become of it."),
        },
    ),
    "CustomResourceDefinitionSpec": (
        "A definition.",
        {
            "group": ("string*", "The API group, a domain with at least one dot."),
            "names": ("CustomResourceDefinitionNames*", "The names."),
            "scope": ("string*", "Cluster or Namespaced; cannot be changed."),
            "versions": ("CustomResourceDefinitionVersion[]*", "The versions; one is stored."),
            "conversion": ("CustomResourceConversion", "How versions become one another."),
            "preserveUnknownFields": ("bool", "Must be false."),
        },
    ),
    "CustomResourceDefinitionNames": (
        "The names of a kind.",
        {
            "plural": ("string*", "In paths and on the command line, such as agentpods."),
            "singular": ("string", "On the command line; the kind in lower case if unset."),
            "shortNames": ("string[]", "Short forms for the command line."),
            "kind": ("string*", "In manifests, in CamelCase, such as AgentPod."),
            "listKind": ("string", "Kind of lists; the kind with List behind it if unset."),
            "categories": ("string[]", "Groups of kinds that it belongs to, such as all."),
        },
    ),
    "CustomResourceDefinitionVersion": (
        "One version of a kind.",
        {
            "name": ("string*", "Such as v1alpha1."),
            "served": ("bool*", "Clients may use it."),
            "storage": ("bool*", "Objects are stored in it; true for exactly one."),
            "deprecated": ("bool", "Clients that use it are warned."),
            "deprecationWarning": ("string", "The warning, if not the customary one."),
            "schema": ("CustomResourceValidation", "The schema of its objects."),
            "subresources": ("CustomResourceSubresources", "Subresources of its objects."),
            "additionalPrinterColumns": (
                "CustomResourceColumnDefinition[]",
                "Columns of kubectl get; the age if unset.",
            ),
            "selectableFields": ("SelectableField[]", "Fields that objects are selected by."),
        },
    ),
    "CustomResourceValidation": (
        "How objects are checked.",
        {"openAPIV3Schema": ("JSONSchemaProps", "The schema, which must be structural.")},
    ),
    "CustomResourceSubresources": (
        "Subresources of objects.",
        {
            "status": ("any", "The status is written through a path of its own."),
            "scale": ("CustomResourceSubresourceScale", "The number of replicas likewise."),
        },
    ),
    "CustomResourceSubresourceScale": (
        "Where the scale subresource finds its numbers.",
        {
            "specReplicasPath": ("string*", "Path below .spec to the wanted number."),
            "statusReplicasPath": ("string*", "Path below .status to the real number."),
            "labelSelectorPath": ("string", "Path to a selector as text."),
        },
    ),
    "CustomResourceColumnDefinition": (
        "A column of kubectl get.",
        {
            "name": ("string*", "The heading."),
            "type": ("string*", "string, integer, number, boolean or date."),
            "format": ("string", "Format of the type."),
            "description": ("string", "What the column shows."),
            "priority": ("int32", "Above 0 the column is shown with -o wide only."),
            "jsonPath": ("string*", "Path to the value."),
        },
    ),
    "SelectableField": (
        "A field that objects are selected by.",
        {"jsonPath": ("string*", "Path to a string, an integer or a boolean.")},
    ),
    "CustomResourceConversion": (
        "How versions become one another.",
        {
            "strategy": ("string*", "None: only apiVersion changes. Webhook: not served here."),
            "webhook": ("any", "The webhook."),
        },
    ),
    "CustomResourceDefinitionStatus": (
        "What has become of a definition.",
        {
            "conditions": (
                "CustomResourceDefinitionCondition[]",
                "Established, NamesAccepted and others.",
            ),
            "acceptedNames": ("CustomResourceDefinitionNames", "The names in use."),
            "storedVersions": ("string[]", "Versions in which objects may be stored."),
        },
    ),
    "CustomResourceDefinitionCondition": (
        "One fact on a definition.",
        {
            "type": ("string*", "What it is about."),
            "status": ("string*", "True, False or Unknown."),
            "lastTransitionTime": ("time", "When it last changed."),
            "reason": ("string", "Why, as one word."),
            "message": ("string", "Why, for people."),
            "observedGeneration": ("int64", "The generation that this is about."),
        },
    ),
    "ExternalDocumentation": (
        "Documentation elsewhere.",
        {"description": ("string", "What it is."), "url": ("string", "Where it is.")},
    ),
    "ValidationRule": (
        "A rule in CEL.",
        {
            "rule": ("string*", "The expression, true if all is well; self is the value."),
            "message": ("string", "What is said if it is not."),
            "messageExpression": ("string", "Expression for what is said."),
            "reason": ("string", "FieldValueInvalid, -Required, -Forbidden or -Duplicate."),
            "fieldPath": ("string", "The field that is at fault."),
            "optionalOldSelf": ("bool", "Run on create too, with oldSelf as an optional."),
        },
    ),
    "JSONSchemaProps": (
        "A schema.",
        {
            "type": ("string", "object, array, string, integer, number or boolean."),
            "format": ("string", "Form of the value, such as date-time."),
            "description": ("string", "What the value means, as kubectl explain shows it."),
            "title": ("string", "A heading."),
            "default": ("any", "Value where there is none."),
            "example": ("any", "An example."),
            "nullable": ("bool", "Null is allowed."),
            "properties": ("JSONSchemaProps{}", "The fields of an object."),
            "additionalProperties": ("any", "Schema of all other values of an object."),
            "items": ("any", "Schema of the items of an array."),
            "externalDocs": ("ExternalDocumentation", "Documentation elsewhere."),
            **_LIMITS,
            **_BRANCHES,
            **_EXTENSIONS,
        },
    ),
}
