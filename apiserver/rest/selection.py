"""Which objects a list, a watch or a deletecollection is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from apiserver import errors
from apiserver.kinds.resource import Resource
from apiserver.rest.call import Call
from apiserver.selectors import FieldSelector, LabelSelector, SelectorError
from apiserver.store.records import Entry

_ALWAYS: Final = frozenset({"metadata.name", "metadata.namespace"})


@dataclass(frozen=True, slots=True)
class Selection:
    """The selectors of a request; without any, everything is selected."""

    labels: LabelSelector | None = None
    fields: FieldSelector | None = None
    shallow: bool = True
    """The field selector looks at name and namespace only."""

    @property
    def everything(self) -> bool:
        """Whether there is nothing to filter by."""
        return self.labels is None and self.fields is None

    def admits(self, resource: Resource, entry: Entry) -> bool:
        """Tell whether *entry* is selected."""
        if self.labels is not None and not self.labels.admits(entry.labels):
            return False
        if self.fields is None:
            return True
        if self.shallow:
            meta = {"name": entry.key.name, "namespace": entry.key.namespace}
            return self.fields.matches({"metadata": meta})
        return self.fields.matches(resource.load(entry))


def parse(call: Call, resource: Resource) -> Selection:
    """Return the selection that the query asks for.

    Raises:
        ApiError: 400, a selector is malformed or names a field that cannot be selected by.
    """
    labels: LabelSelector | None = None
    fields: FieldSelector | None = None
    try:
        if text := call.query.get("labelSelector", ""):
            labels = LabelSelector.parse(text)
        if text := call.query.get("fieldSelector", ""):
            fields = FieldSelector.parse(text, resource.selectable)
    except SelectorError as exc:
        raise errors.bad_request(str(exc)) from exc
    shallow = fields is None or set(fields.fields) <= _ALWAYS
    return Selection(labels, fields, shallow)
