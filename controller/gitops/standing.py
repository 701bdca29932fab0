"""Whether a resource that has changed is as its file says: asked between the passes, so cheap."""

from controller.gitops.ledger import Ledger
from controller.gitops.listing import Listing
from controller.gitops.living import Living
from controller.gitops.values import Identity
from controller.gitops.writing import row_of


class Standing:
    """The resources of one source, against what its files asked for last."""

    def __init__(self, ledger: Ledger, listing: Listing, living: Living) -> None:
        self._ledger = ledger
        self._listing = listing
        self._living = living
        self.stirred = False
        """Something has changed that is not put back at once: the next pass looks at everything."""

    def end(self, identity: Identity) -> bool:
        """Take note that a pod has come to its end; tell whether that is news to be remembered."""
        live = self._living.one(identity)
        if live is None:
            return False
        if self._ledger.end(identity, live.uid):
            return True
        before, collected = self._ledger.applied.get(identity), self._listing.collected
        known = collected.resources.get(identity) if collected is not None else None
        if known is None or (before is not None and before.uid == live.uid):
            return False
        if collected is None or not self._living.same(known, live, before):
            return False
        # made by us, and the answer that says so is still to come, or was lost
        self._ledger.done(row_of(known, collected.commit, live.uid))
        return self._ledger.end(identity, live.uid)

    def drifted(self, identity: Identity) -> bool:
        """Whether a resource that has changed is not as its file says."""
        collected = self._listing.collected
        known = collected.resources.get(identity) if collected is not None else None
        live = self._living.one(identity)
        if known is None:
            self.stirred |= live is not None and live.owner == self._living.source
            return live is None and identity in self._ledger.applied
        before = self._ledger.origin(identity)
        if live is None:
            done = before is not None and before.ended and before.digest == known.digest
            return not done
        if live.deleting or live.left_alone:
            self.stirred = True
            return False
        ours = live.owner == self._living.source and live.path == known.path
        return not ours or not self._living.same(known, live, before)
