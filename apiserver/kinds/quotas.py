"""ResourceQuota: what it limits, by which names, and its rules. Counting is the store's.

Counted are objects, by `count/<plural>.<group>`, and a few core kinds by their old names, too.
Limits of what is not served here (pods, cpu) are kept and have no effect.
Source: https://kubernetes.io/docs/concepts/policy/resource-quotas/.
"""

from __future__ import annotations

from typing import Any, Final

from typing_extensions import override

from apiserver import quantities
from apiserver.errors import bad_request
from apiserver.kinds.names import qualified_name
from apiserver.kinds.strategy import Context, Strategy, keep, keep_all_but_status
from apiserver.quantities import Quantity
from apiserver.schema.errors import FieldError, invalid
from apiserver.store.records import Object

QUOTAS: Final = "resourcequotas"
"""Name of the quotas in the store."""

_COUNT: Final = "count/"
_OLD_NAMES: Final = frozenset({"configmaps", "secrets", QUOTAS})
"""Core kinds that are counted by their plural alone, too."""

_UNCOUNTED: Final = frozenset({"events", "events.events.k8s.io"})

_WHOLE: Final = _OLD_NAMES | {
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "services",
    "services.loadbalancers",
    "services.nodeports",
}
_AMOUNTS: Final = ("cpu", "memory", "ephemeral-storage")
_STANDARD: Final = _WHOLE | {
    *_AMOUNTS,
    *(f"{side}.{name}" for side in ("requests", "limits") for name in _AMOUNTS),
    "requests.storage",
}
_HUGE_PAGES: Final = ("hugepages-", "requests.hugepages-")
_NO_QUANTITY: Final = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


def names_of(storage: str) -> tuple[str, ...]:
    """Return the names by which quotas limit the resource called *storage* in the store."""
    if storage in _UNCOUNTED:
        return ()
    names = (f"{_COUNT}{storage}",)
    return (*names, storage) if storage in _OLD_NAMES else names


def counted(name: str) -> str:
    """Return which resource a name in `spec.hard` counts, as the store calls it; empty: none."""
    storage = name if name in _OLD_NAMES else name.removeprefix(_COUNT)
    return storage if name in names_of(storage) else ""


def limits(quota: Object, storage: str) -> dict[str, Quantity]:
    """Return the limits that *quota* sets for the resource called *storage* in the store."""
    if is_scoped(quota):
        return {}
    hard = (quota.get("spec") or {}).get("hard") or {}
    found = {name: quantities.parse(hard[name]) for name in names_of(storage) if name in hard}
    return {name: limit for name, limit in found.items() if limit is not None}


def shown(limit: Any) -> str:
    """Return a stored limit as it is shown; older versions stored them as they came."""
    found = quantities.parse(limit)
    return found.text if found is not None else str(limit)


def is_scoped(quota: Object) -> bool:
    """Tell whether it is about pods of some sort only: no other object is counted then."""
    spec = quota.get("spec") or {}
    return bool(spec.get("scopes") or spec.get("scopeSelector"))


class QuotaStrategy(Strategy):
    """Limits are quantities in their one form; the status is the server's."""

    @override
    def default(self, obj: Object) -> None:
        """Write the quantities as they are shown."""
        for part, name in (("spec", "hard"), ("status", "hard"), ("status", "used")):
            given: Object = (obj.get(part) or {}).get(name) or {}
            given.update({key: _settled(value) for key, value in given.items()})

    @override
    def prepare_create(self, ctx: Context, obj: Object) -> None:
        """Drop the status that the client sent."""
        obj["status"] = {}

    @override
    def prepare_update(self, ctx: Context, obj: Object, old: Object) -> None:
        """Keep the status on the main endpoint, and all but the status on the other."""
        if ctx.subresource == "status":
            keep_all_but_status(obj, old)
        else:
            keep(obj, old, "status")

    @override
    def validate(self, ctx: Context, obj: Object, old: Object | None) -> list[FieldError]:
        """Check the names and the numbers of the limits."""
        hard = (obj.get("spec") or {}).get("hard") or {}
        return [error for name in sorted(hard) for error in _limit_errors(name, hard[name])]


def _settled(value: Any) -> str:
    found = quantities.parse(value)
    if found is None:
        raise bad_request(
            f'ResourceQuota in version "v1" cannot be handled as a ResourceQuota: {_NO_QUANTITY}'
        )
    return found.text


def _limit_errors(name: str, given: str) -> list[FieldError]:
    path = f"spec.hard[{name}]"
    found = [invalid(path, name, text) for text in qualified_name(name)]
    if "/" not in name and name not in _STANDARD and not name.startswith(_HUGE_PAGES):
        found += [
            invalid(path, name, "must be a standard resource type or fully qualified"),
            invalid(path, name, "must be a standard resource for quota"),
        ]
    limit = quantities.parse(given)
    if limit is None:
        return found
    if limit.value < 0:
        found.append(invalid(path, limit.text, "must be greater than or equal to 0"))
    if ("/" in name or name in _WHOLE) and limit.value != int(limit.value):
        found.append(invalid(path, limit.text, "must be an integer"))
    return found
