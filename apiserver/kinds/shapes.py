"""The built-in kinds' fields and their types: unknown fields are dropped, wrong types refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from apiserver.errors import bad_request
from apiserver.openapi.documents import builtin_schema
from apiserver.schema.compiled import CompiledSchema
from apiserver.schema.crd_shape import check_shape, prune_crd
from apiserver.schema.errors import FieldError


class Shape:
    """The fields of one built-in kind, in the place of a CRD's schema.

    Go refuses a wrong type while it decodes, with status 400; the rules beyond types are the
    strategies'.
    """

    def __init__(self, kind: str, version: str, schema: CompiledSchema) -> None:
        self._kind = kind
        self._version = version
        self._schema = schema

    @classmethod
    def of(cls, group: str, version: str, kind: str) -> Shape | None:
        """Return the shape of a kind, None where its fields are not known."""
        if kind == "CustomResourceDefinition":
            return DefinitionShape(kind, version, CompiledSchema({"type": "object"}))
        schema = builtin_schema(group, kind)
        return cls(kind, version, CompiledSchema(schema)) if schema is not None else None

    def prune(self, obj: dict[str, Any]) -> list[str]:
        """Drop unknown fields and nulls, in place; return the paths of the unknown ones.

        Raises:
            ApiError: 400, a field has the wrong type.
        """
        unknown, found = self._fit(obj)
        for error in found:
            if error.reason != "FieldValueRequired":
                raise bad_request(
                    f'{self._kind} in version "{self._version}" cannot be handled as a'
                    f" {self._kind}: {error.text()}"
                )
        return unknown

    def _fit(self, obj: dict[str, Any]) -> tuple[list[str], list[FieldError]]:
        return self._schema.prune(obj), self._schema.validate(obj)

    def default(self, obj: dict[str, Any]) -> None:
        """Do nothing: the strategies of the built-in kinds fill in defaults."""

    def validate(
        self,
        obj: dict[str, Any],  # noqa: ARG002 - the types were checked by prune
        old: dict[str, Any] | None = None,  # noqa: ARG002 - likewise
        *,
        status_only: bool = False,  # noqa: ARG002 - likewise
        earlier: Sequence[FieldError] = (),  # noqa: ARG002 - likewise
    ) -> list[FieldError]:
        """Return nothing: the strategies know the rules."""
        return []


class DefinitionShape(Shape):
    """The fields of a CustomResourceDefinition, whose schemas nest without end."""

    @override
    def _fit(self, obj: dict[str, Any]) -> tuple[list[str], list[FieldError]]:
        found = check_shape(obj)
        return prune_crd(obj), found
