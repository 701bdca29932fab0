"""What signs the calls of a GitSource's webhook, read from the API and kept for a moment."""

import asyncio
import base64
import binascii
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from controller.gitops.facts import UNAVAILABLE, Trouble
from controller.kernel.redact import redact
from controller.kernel.store import Store
from controller.kube.errors import KubeError, NotFound
from schemas.gitsource import GitSource, SecretKey
from schemas.names import SECRET, Resource

logger = logging.getLogger(__name__)

KEEP_SECONDS: Final = 10.0
"""A flood of calls reads a Secret no more often than this; a changed one counts after it."""
_PATIENCE_SECONDS: Final = 5.0
_MAX_KEPT: Final = 10_000


class Objects(Protocol):
    """What is needed of the API client."""

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object as it is now."""
        ...


@dataclass(slots=True)
class _Kept:
    reference: SecretKey | None = None
    value: bytes = field(default=b"", repr=False)
    trouble: str = ""
    """Reason why there is none."""
    read_at: float = float("-inf")
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One read at a time: the others take what it brings."""


class WebhookSecrets:
    """Secrets by source, each as fresh as ``KEEP_SECONDS``."""

    def __init__(
        self,
        store: Store,
        objects: Objects,
        clock: Callable[[], float],
        changed: Callable[[str, str], object],
    ) -> None:
        """*changed* hears namespace and name of a source whose Secret came, went or broke."""
        self._changed = changed
        self._store = store
        self._objects = objects
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    async def get(self, namespace: str, name: str) -> bytes:
        """Return what signs calls for the source; empty if nothing can: no source, no Secret."""
        source = self._store.of(GitSource).get(namespace, name)
        if source is None or source.metadata.deleting or source.spec.webhook is None:
            self._kept.pop((namespace, name), None)
            return b""
        kept = self._kept.setdefault((namespace, name), _Kept())
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        async with kept.busy:
            reference = source.spec.webhook.secret_ref
            fresh = self._clock() - kept.read_at < KEEP_SECONDS
            if not fresh or kept.reference != reference:
                kept.value, trouble = await self._read(namespace, name, reference)
                kept.reference, kept.read_at = reference, self._clock()
                if trouble != kept.trouble:
                    kept.trouble = trouble
                    self._changed(namespace, name)
        return kept.value

    async def _read(self, namespace: str, source: str, reference: SecretKey) -> tuple[bytes, str]:
        value, trouble = await read(self._objects, namespace, reference)
        if trouble is not None:
            logger.warning(
                "calls of a webhook are refused: its secret cannot be used",
                extra={"key": f"GitSource/{namespace}/{source}", "reason": trouble.message},
            )
        return value, trouble.reason if trouble is not None else ""


async def read(
    objects: Objects, namespace: str, reference: SecretKey
) -> tuple[bytes, Trouble | None]:
    """Return what signs calls, as it is now, or why nothing can."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            secret = await objects.get(SECRET, namespace, reference.name)
    except NotFound:
        return b"", Trouble("SecretNotFound", f"there is no Secret {reference.name}")
    except (KubeError, TimeoutError) as exc:
        said = redact(str(exc)) or "the API server did not answer in time"
        return b"", Trouble(UNAVAILABLE, said)
    encoded = (secret.get("data") or {}).get(reference.key)
    try:
        # a line end comes from an editor or echo; git hosts send none
        value = base64.b64decode(str(encoded or ""), validate=True).rstrip(b"\r\n")
    except (binascii.Error, ValueError):
        value = b""
    if value:
        return value, None
    text = f"Secret {reference.name} has no value at {reference.key}"
    return b"", Trouble("SecretInvalid", text)
