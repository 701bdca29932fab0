"""Makes the pods that pods ask for. A call makes one pod or nothing; what the API refuses is told.

A repository that has to be made for a pod is made just before it, and taken back where the pod is
refused.
"""

import asyncio
import hashlib
import logging
import secrets
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, Protocol

from controller.bindings.rules import depth
from controller.kernel.redact import redact
from controller.kernel.store import Change, Store
from controller.kube.errors import (
    AlreadyExists,
    Denied,
    KubeError,
    NotFound,
    OverQuota,
    Refused,
    Unavailable,
)
from controller.placement.indexes import BY_NAMESPACE
from controller.placement.links import Links
from controller.rpc.ports import Objects
from controller.services.pod_wishes import Wish, Wishes
from controller.tools.call import Caller, ToolError
from schemas.agentpod import AgentPod
from schemas.conditions import find
from schemas.names import (
    AGENT_POD,
    ANNOTATION_CREATED_BY,
    ANNOTATION_CREATED_BY_UID,
    ANNOTATION_DEPTH,
    FIELD_MANAGER,
    LABEL_CREATED_BY,
    LABEL_MANAGED_BY,
    LABEL_TICKET,
    REPOSITORY,
    Resource,
)
from schemas.repository import Repository
from schemas.tools.pod import CreatePod

logger = logging.getLogger(__name__)

_SUFFIX_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"
_SUFFIX_LENGTH: Final = 8
_NAME_LENGTH: Final = 63
_ATTEMPTS: Final = 3
"""How often a name is drawn; that even two are taken is a matter of trillions."""
_WORD_SECONDS: Final = 1.0
"""So long the scheduler is waited for."""
_SCHEDULED: Final = "Scheduled"
_FULL: Final = (
    "your organization has as many pods as it may (spec.quota.agentPods): have finished ones "
    "deleted, or ask a person to raise it"
)


class Writer(Objects, Protocol):
    """Reads and writes the API, and takes back what it made."""

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete the object of that uid; one that is gone is fine."""
        ...


class Pods:
    """Makes pods on behalf of pods."""

    def __init__(self, store: Store, objects: Writer, links: Links) -> None:
        self._store = store
        self._pods = store.of(AgentPod)
        self._objects = objects
        self._wishes = Wishes(store, links)
        self._repositories = asyncio.Lock()
        """One at a time makes a repository and its pod: else one could take back the other's."""
        self._making: Counter[str] = Counter()
        """Pods that are about to be made, by namespace: they count as well."""
        self._awaited: dict[str, asyncio.Event] = {}
        store.listen(AgentPod, self._changed)

    async def create(self, caller: Caller, asked: CreatePod) -> AgentPod:
        """Make a pod as the caller asks for it.

        Raises:
            ToolError: Nothing was made, and why.
            KubeError: The API does not answer; a pod may have been made.
        """
        wish = self._wishes.wish(caller, asked)
        where = caller.namespace
        self._check_quota(caller)
        self._making[where] += 1
        try:
            return await self._carry_out(caller, wish)
        finally:
            self._making[where] -= 1

    def _check_quota(self, caller: Caller) -> None:
        """Not every API server counts custom resources, so they are counted here as well."""
        home = self._wishes.home(caller)
        limit = home.spec.quota.agent_pods if home and home.spec.quota else None
        where = caller.namespace
        if (
            limit is not None
            and self._pods.count(BY_NAMESPACE, where) + self._making[where] >= limit
        ):
            raise ToolError("LimitExceeded", _FULL)

    async def _carry_out(self, caller: Caller, wish: Wish) -> AgentPod:
        if not wish.new_repository:
            return await self._make(caller, wish, repository="")
        async with self._repositories:
            return await self._make_with_repository(caller, wish)

    async def decided(self, pod: AgentPod) -> AgentPod:
        """Return the pod once it is placed or it is known why not, after a second at the latest."""
        uid = pod.metadata.uid
        news = self._awaited.setdefault(uid, asyncio.Event())
        try:
            async with asyncio.timeout(_WORD_SECONDS):
                while not _is_decided(pod := self._pods.by_uid(uid) or pod):
                    news.clear()
                    await news.wait()
        except TimeoutError:
            return self._pods.by_uid(uid) or pod
        finally:
            self._awaited.pop(uid, None)
        return pod

    def _changed(self, change: Change[AgentPod]) -> None:
        if (news := self._awaited.get(change.subject.metadata.uid)) is not None:
            news.set()

    async def _make_with_repository(self, caller: Caller, wish: Wish) -> AgentPod:
        known = self._wishes.repository_at(caller.namespace, wish.new_repository)
        if known is not None:  # made a moment ago
            return await self._make(caller, wish, repository=known.metadata.name)
        repository, made = await self._make_repository(caller, wish.new_repository)
        try:
            return await self._make(caller, wish, repository=repository.metadata.name)
        except ToolError:
            if made:
                await self._take_back(repository)
            raise

    async def _make_repository(self, caller: Caller, url: str) -> tuple[Repository, bool]:
        """Return the Repository of that address, and whether it was made now."""
        name = f"repo-{hashlib.sha256(url.encode()).hexdigest()[:10]}"
        manifest = {
            "apiVersion": REPOSITORY.api_version,
            "kind": REPOSITORY.kind,
            "metadata": {
                "name": name,
                "labels": {LABEL_MANAGED_BY: FIELD_MANAGER, LABEL_CREATED_BY: caller.name},
                "annotations": _creator(caller),
            },
            "spec": {"url": url},
        }
        made = True
        try:
            answer = await self._objects.create(REPOSITORY, caller.namespace, manifest)
        except AlreadyExists:
            answer, made = await self._objects.get(REPOSITORY, caller.namespace, name), False
        except Refused as exc:
            raise _refused(exc) from exc
        self._store.apply(REPOSITORY.kind, answer)
        repository = Repository.model_validate(answer)
        if repository.spec.url != url:
            message = f"repository_url: a Repository {name} with another address is in the way"
            raise ToolError("Conflict", f"{message}: a person must delete it")
        return repository, made

    async def _take_back(self, repository: Repository) -> None:
        metadata = repository.metadata
        try:
            await self._objects.delete(
                REPOSITORY, metadata.namespace, metadata.name, uid=metadata.uid
            )
        except KubeError as exc:  # it harms nobody, and the next call takes it
            logger.warning("repository left", extra={"key": metadata.name, "reason": str(exc)})
        else:
            self._store.remove(REPOSITORY.kind, metadata.uid)

    async def _make(self, caller: Caller, wish: Wish, *, repository: str) -> AgentPod:
        for _ in range(_ATTEMPTS):
            manifest = _manifest(caller, wish.agent, wish.on(repository))
            try:
                answer = await self._created(caller.namespace, manifest)
            except AlreadyExists:
                continue
            except Refused as exc:
                raise _refused(exc) from exc
            self._store.apply(AGENT_POD.kind, answer)
            pod = AgentPod.model_validate(answer)
            logger.info("pod made", extra={"key": pod.metadata.name, "pod": caller.name})
            return pod
        raise ToolError("Unavailable", "no free name was found for the pod: try again")

    async def _created(self, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Create the pod, and find out where the answer was lost whether it was made."""
        try:
            return await self._objects.create(AGENT_POD, namespace, manifest)
        except Unavailable as exc:
            try:
                return await self._objects.get(AGENT_POD, namespace, manifest["metadata"]["name"])
            except NotFound:
                raise exc from None


def status(pod: AgentPod) -> tuple[str, str | None]:
    """Return the pod's phase, and why it waits if it does."""
    phase = pod.status.phase or "Pending"
    if pod.status.placement is not None:
        return str(phase), None
    why = find(pod.status.conditions, _SCHEDULED)
    return str(phase), f"{why.reason}: {why.message}" if why else "no runner was chosen yet"


def _is_decided(pod: AgentPod) -> bool:
    return pod.status.placement is not None or find(pod.status.conditions, _SCHEDULED) is not None


def _manifest(caller: Caller, agent: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    suffix = "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(_SUFFIX_LENGTH))
    stem = agent[: _NAME_LENGTH - _SUFFIX_LENGTH - 1].rstrip("-")
    return {
        "apiVersion": AGENT_POD.api_version,
        "kind": AGENT_POD.kind,
        "metadata": {
            "name": f"{stem}-{suffix}",
            "namespace": caller.namespace,
            "labels": {LABEL_CREATED_BY: caller.name, **_ticket_label(spec)},
            "annotations": {**_creator(caller), ANNOTATION_DEPTH: str(depth(caller.pod) + 1)},
        },
        "spec": dict(spec),
    }


def _ticket_label(spec: Mapping[str, Any]) -> dict[str, str]:
    use = spec.get("ticketRef")
    return {LABEL_TICKET: use["name"]} if use else {}


def _creator(caller: Caller) -> dict[str, str]:
    return {ANNOTATION_CREATED_BY: caller.name, ANNOTATION_CREATED_BY_UID: caller.uid}


def _refused(exc: Refused) -> ToolError:
    """Return what the agent is told where the API does not take it."""
    if isinstance(exc, OverQuota):
        return ToolError("LimitExceeded", _FULL)
    if isinstance(exc, Denied):
        return ToolError("Forbidden", f"the API does not allow it: {redact(str(exc), 300)}")
    return ToolError("InvalidArgument", f"the API does not take it: {redact(str(exc), 300)}")
