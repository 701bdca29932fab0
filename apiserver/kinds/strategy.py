"""What a kind may decide about its objects; the verbs do the rest the same way for all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from typing_extensions import override

from apiserver.kinds.names import dns_subdomain
from apiserver.schema.errors import FieldError
from apiserver.store.records import Object
from apiserver.store.store import Store


@dataclass(frozen=True, slots=True)
class User:
    """Who asks, as authentication found out."""

    name: str
    groups: frozenset[str] = frozenset()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def is_master(self) -> bool:
        """Whether everything is allowed, whatever the rules say."""
        return "system:masters" in self.groups


class Escalation(Protocol):
    """The check that nobody hands out rights that he does not have."""

    def refuse_role(self, user: User, obj: Object, namespace: str) -> str | None:
        """Return why *user* may not write this role, None where he may."""

    def refuse_binding(self, user: User, obj: Object, namespace: str) -> str | None:
        """Return why *user* may not write this binding, None where he may."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a strategy may look at."""

    user: User
    store: Store
    escalation: Escalation
    now: datetime
    subresource: str = ""


class Strategy:
    """The default rules: any name that is a DNS subdomain, nothing special."""

    generation = False
    """Whether `metadata.generation` counts the changes of what is asked for."""

    unconditional_update = True
    """Whether PUT is allowed without a resourceVersion."""

    def name_errors(self, name: str) -> list[str]:
        """Return what is wrong with *name*."""
        return dns_subdomain(name)

    def default(self, obj: Object) -> None:
        """Fill in what the client left out, in place."""

    def prepare_create(self, ctx: Context, obj: Object) -> None:
        """Set what only the server may set in a new object, in place.

        Raises:
            ApiError: The object is refused.
        """

    def prepare_update(self, ctx: Context, obj: Object, old: Object) -> None:
        """Undo in *obj* what this endpoint must not change, in place.

        Raises:
            ApiError: The change is refused.
        """

    def validate(
        self,
        ctx: Context,  # noqa: ARG002 - for those that override it
        obj: Object,  # noqa: ARG002 - likewise
        old: Object | None,  # noqa: ARG002 - likewise
    ) -> list[FieldError]:
        """Return what is wrong with *obj*; *old* is None on create."""
        return []

    def prepare_delete(
        self,
        ctx: Context,  # noqa: ARG002 - for those that override it
        old: Object,  # noqa: ARG002 - likewise
    ) -> Object | None:
        """Return what to store instead when the deletion has to wait; None to go on.

        Raises:
            ApiError: The deletion is refused.
        """
        return None

    def holds(self, obj: Object) -> bool:  # noqa: ARG002 - for those that override it
        """Tell whether a deletion has to wait, apart from `metadata.finalizers`."""
        return False


class StatusStrategy(Strategy):
    """Rules for objects whose `status` is written through `/status` alone."""

    generation = True

    @override
    def prepare_create(self, ctx: Context, obj: Object) -> None:
        """Drop the status that the client sent."""
        obj.pop("status", None)

    @override
    def prepare_update(self, ctx: Context, obj: Object, old: Object) -> None:
        """Keep the status on the main endpoint, and all but the status on the other."""
        if ctx.subresource == "status":
            keep_all_but_status(obj, old)
        else:
            keep(obj, old, "status")


def keep(obj: Object, old: Object, name: str) -> None:
    """Set the field *name* of *obj* to what it is in *old*."""
    if name in old:
        obj[name] = old[name]
    else:
        obj.pop(name, None)


def keep_all_but_status(obj: Object, old: Object) -> None:
    """Leave of *obj* only its status and resourceVersion; take the rest from *old*."""
    status, version = obj.get("status"), obj["metadata"].get("resourceVersion")
    obj.clear()
    obj.update({name: value for name, value in old.items() if name != "status"})
    obj["metadata"] = dict(old["metadata"])
    if version is not None:
        obj["metadata"]["resourceVersion"] = version
    if status is not None:
        obj["status"] = status
