"""Aggregated roles: their rules are those of the roles that their selectors choose."""

from __future__ import annotations

from typing import Final

from apiserver.auth.rbac import CLUSTER_ROLES
from apiserver.controllers.worklist import Tickets, Worklist
from apiserver.selectors import LabelSelector, SelectorError
from apiserver.store.records import Change, Object
from apiserver.store.store import Store, Ticket

_ALL: Final = "all"


class Aggregation:
    """Looks at all ClusterRoles whenever one changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._work = Worklist("the aggregation of roles", self._look)
        store.listen(self._on_change)

    def load(self) -> None:
        """Look at the roles that are there."""
        self._work.add(_ALL)

    async def run(self) -> None:
        """Work until cancelled."""
        await self._work.run()

    def _on_change(self, change: Change) -> None:
        if change.key.resource == CLUSTER_ROLES:
            self._work.add(_ALL)

    def _look(self, _item: str) -> Tickets:
        tickets: list[Ticket] = []
        entries = self._store.entries(CLUSTER_ROLES)
        roles = [entry.load() for entry in entries]
        for entry, role in zip(entries, roles, strict=True):
            aggregation = role.get("aggregationRule")
            if not aggregation or self._store.latest(entry.key) is not entry:
                continue
            rules = _gathered(entry.key.name, aggregation, roles)
            if rules != role.get("rules", []):
                tickets.append(self._store.put(entry.key, role | {"rules": rules})[1])
        return tickets


def _gathered(name: str, aggregation: Object, roles: list[Object]) -> list[Object]:
    rules: list[Object] = []
    for selector in aggregation.get("clusterRoleSelectors") or ():
        for role in roles:
            if role["metadata"]["name"] == name or not selects(selector, role):
                continue
            rules += [rule for rule in role.get("rules") or () if rule not in rules]
    return rules


def selects(selector: Object, obj: Object) -> bool:
    """Tell whether a `LabelSelector` chooses *obj*; an empty or malformed one chooses nothing."""
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        return False
    try:
        return LabelSelector.of(selector).matches(obj)
    except SelectorError:
        return False
