"""The digest of all that a source has applied. Pure."""

import bisect
import hashlib
from collections.abc import Mapping

from controller.gitops.apply import Applied
from controller.gitops.values import Identity


class Digest:
    """Digests again and again: only what differs from the last time is written down anew."""

    def __init__(self) -> None:
        self._digests: dict[Identity, str] = {}
        self._lines: dict[Identity, bytes] = {}
        self._order: list[Identity] = []

    def of(self, applied: Mapping[Identity, Applied]) -> str:
        """Return the digest: kinds, names and contents."""
        changed = {
            identity: row.digest
            for identity, row in applied.items()
            if self._digests.get(identity) != row.digest
        }
        for identity in self._digests.keys() - applied.keys():
            del self._digests[identity], self._lines[identity]
            del self._order[bisect.bisect_left(self._order, identity)]
        new = changed.keys() - self._digests.keys()
        for identity, digest in changed.items():
            self._digests[identity] = digest
            self._lines[identity] = f"{identity.kind}/{identity.name} {digest}\n".encode()
        if new:
            self._order = sorted((*self._order, *new))
        text = b"".join(map(self._lines.__getitem__, self._order))
        return f"sha256:{hashlib.sha256(text).hexdigest()}"
