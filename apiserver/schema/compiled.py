"""A CRD version's schema, compiled once and applied to every object that comes in."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from apiserver.schema.default import default
from apiserver.schema.embedded import check_embedded, prune_metadata
from apiserver.schema.errors import FieldError, invalid
from apiserver.schema.prune import prune
from apiserver.schema.rules import Ruleset
from apiserver.schema.structural import MISSING, parse
from apiserver.schema.values import check, duplicates

_BLOCKING: Final = frozenset(
    {
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
        "FieldValueNotSupported",
    }
)
"""With one of these about, rules are not run: they might trip over what is wrong already."""

_SKIPPED: Final = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


class CompiledSchema:
    """The schema of one version of a custom resource, ready for use.

    Args:
        schema: ``spec.versions[].schema.openAPIV3Schema``; must have passed
            :func:`apiserver.schema.crd.validate_crd`.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self.raw = schema
        self.root = parse(schema)
        self._rules = Ruleset(self.root)

    def prune(self, obj: dict[str, Any]) -> list[str]:
        """Drop the fields of *obj* that the schema does not know; return their paths, sorted.

        Changes *obj* in place. ``apiVersion``, ``kind`` and ``metadata`` stay, whatever the schema;
        within metadata only what Kubernetes knows does. A path is what Kubernetes names in a strict
        decoding error: ``spec.list[0].y``. Nulls that the schema forbids and gives no default for
        go as well, without being named. Whole numbers become integers, as Go prints them.
        """
        dropped = prune(self.root, obj)
        dropped += prune_metadata(self.root, obj)
        return sorted(dropped)

    def default(self, obj: dict[str, Any]) -> None:
        """Fill in the defaults, in place; a null where the schema has a default gives way to it."""
        if self.root.defaults_below:
            default(self.root, obj)

    def validate(
        self,
        obj: dict[str, Any],
        old: dict[str, Any] | None = None,
        *,
        status_only: bool = False,
        earlier: Sequence[FieldError] = (),
    ) -> list[FieldError]:
        """Return what is wrong with *obj*; transition rules see *old*.

        Errors of values that *old* already had do not count (ratcheting, as Kubernetes since 1.33).

        Args:
            obj: The object to be stored, pruned and defaulted. Its own metadata is not looked at:
                that is :func:`apiserver.schema.metadata.validate_metadata`.
            old: What is stored now; None on create.
            status_only: A write to ``/status``: types and limits are checked in ``status`` alone,
                rules everywhere.
            earlier: What was found in the metadata: it may keep the rules from being run.
        """
        errors = self._check_status(obj, old) if status_only else self._check(obj, old)
        if self.root.rules_below:
            if any(error.reason in _BLOCKING for error in (*earlier, *errors)):
                errors.append(invalid("<nil>", None, _SKIPPED))
            else:
                errors += self._rules.run(obj, old)
        return errors

    def _check(self, obj: dict[str, Any], old: dict[str, Any] | None) -> list[FieldError]:
        errors = check(self.root, obj, "", MISSING if old is None else old)
        if self.root.lists_below:
            repeated = duplicates(self.root, obj, "")
            if repeated and not (old is not None and duplicates(self.root, old, "")):
                errors += repeated
        if self.root.embedded_below:
            errors += check_embedded(self.root, obj)
        return errors

    def _check_status(self, obj: dict[str, Any], old: dict[str, Any] | None) -> list[FieldError]:
        node = self.root.properties.get("status")
        if node is None or "status" not in obj:
            return []
        before = MISSING if old is None else old.get("status", MISSING)
        # Kubernetes checks the status by itself: its texts begin below it, its fields do not.
        errors = check(node, obj["status"], "", before) + duplicates(node, obj["status"], "")
        return [replace(error, field=_below("status", error.field)) for error in errors]


def _below(parent: str, field: str) -> str:
    if not field or field == "<nil>":
        return parent
    return f"{parent}{field}" if field.startswith("[") else f"{parent}.{field}"
