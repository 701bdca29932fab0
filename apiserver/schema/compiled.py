"""A CRD version's schema, compiled once and applied to every object that comes in."""

from typing import Any

from apiserver.schema.errors import FieldError


class CompiledSchema:
    """The schema of one version of a custom resource, ready for use.

    Args:
        schema: ``spec.versions[].schema.openAPIV3Schema``; must have passed
            :func:`apiserver.schema.crd.validate_crd`.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self.raw = schema

    def prune(self, obj: dict[str, Any]) -> list[str]:
        """Drop the fields of *obj* that the schema does not know; return their paths, sorted.

        Changes *obj* in place. ``apiVersion``, ``kind`` and ``metadata`` stay, whatever the schema.
        A path is what Kubernetes names in a strict decoding error: ``spec.list[0].y``.
        """
        raise NotImplementedError

    def default(self, obj: dict[str, Any]) -> None:
        """Fill in the defaults, in place; a null where the schema has a default gives way to it."""
        raise NotImplementedError

    def validate(
        self, obj: dict[str, Any], old: dict[str, Any] | None = None, *, status_only: bool = False
    ) -> list[FieldError]:
        """Return what is wrong with *obj*; transition rules see *old*.

        Errors of values that *old* already had do not count (ratcheting, as Kubernetes since 1.33).

        Args:
            obj: The object to be stored, pruned and defaulted.
            old: What is stored now; None on create.
            status_only: Write to ``/status``: only ``status`` is looked at.
        """
        raise NotImplementedError
