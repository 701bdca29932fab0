"""Bindings as pods ask for them: request, accept, reject, unbind.

What a pod asked for and what was decided is written into the status of the PodBinding by
compare-and-swap; what follows from it is computed, here and in the reconciler, by
``controller.bindings.rules``. Every answer of the API goes into the store before the caller gets
its own, so that the authoriser knows it at once.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from controller.bindings.rules import (
    Standing,
    concerns,
    is_target,
    ordered,
    related,
    standing,
)
from controller.kernel.clock import stamp, wall
from controller.kernel.store import Store
from controller.kube.errors import AlreadyExists, Conflict, NotFound
from controller.placement.indexes import OF_PAIR, OF_POD
from controller.rpc.ports import Objects
from controller.services.authoriser import Authoriser
from controller.services.contention import attempts
from controller.tools.call import ToolError
from schemas.agentpod import AgentPod
from schemas.names import (
    AGENT_POD,
    ANNOTATION_CREATED_BY,
    ANNOTATION_CREATED_BY_UID,
    POD_BINDING,
    BindingState,
    Scope,
)
from schemas.podbinding import BindingDecision, DecisionState, PodBinding

_NAME_DIGITS: Final = 20
_OPEN: Final = frozenset({BindingState.ACTIVE, BindingState.PENDING})

Edit = Callable[[PodBinding], dict[str, Any] | None]
"""Returns the change of the status, None if there is nothing to change. May raise ToolError."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding, and where it stands now."""

    binding: PodBinding
    standing: Standing

    @property
    def updated_at(self) -> str:
        """When a pod or a person last did something about it, RFC 3339."""
        status, metadata = self.binding.status, self.binding.metadata
        times = (metadata.creation_timestamp, status.requested_at)
        decided = status.decision.at if status.decision else None
        return max(time for time in (*times, decided) if time is not None)


def binding_name(initiator_uid: str, target_uid: str) -> str:
    """Return the name of the binding that tools make for these two pods: a repeat finds it."""
    digest = hashlib.sha256(f"{initiator_uid}/{target_uid}".encode()).hexdigest()
    return f"pb-{digest[:_NAME_DIGITS]}"


class Bindings:
    """What pods do about their bindings."""

    def __init__(
        self,
        store: Store,
        objects: Objects,
        authoriser: Authoriser,
        clock: Callable[[], float] = wall,
    ) -> None:
        self._store = store
        self._objects = objects
        self._authoriser = authoriser
        self._clock = clock
        self._bindings = store.of(PodBinding)

    def bound(self, binding: PodBinding) -> Bound:
        """Return the binding with where it stands now."""
        pods, where = self._store.of(AgentPod), binding.metadata.namespace
        one, other = (
            pods.get(where, name) for name in (binding.spec.initiator, binding.spec.target)
        )
        return Bound(binding, standing(binding, one, other, self._clock()))

    def of(self, pod: AgentPod) -> list[Bound]:
        """Return the bindings in which *pod* is initiator or target, the newest first."""
        place = (pod.metadata.namespace, pod.metadata.name)
        found = [
            self.bound(binding)
            for binding in self._bindings.indexed(OF_POD, place)
            if concerns(binding, pod)
        ]
        found.sort(key=lambda each: each.binding.metadata.name)
        found.sort(key=lambda each: each.updated_at, reverse=True)
        return found

    async def request(
        self, initiator: AgentPod, target: AgentPod, scopes: Iterable[Scope]
    ) -> Bound:
        """Ask for *scopes* on *target*, and return the binding; both pods are alive.

        Only what is not granted already is asked for. A repeat changes nothing while it is pending;
        after a rejection, the end of 24 hours or ``unbind`` it is asked anew. Pods of one creator
        need not ask.

        Raises:
            ToolError, KubeError.
        """
        missing = frozenset(scopes) - self._authoriser.scopes(initiator, target)
        metadata = initiator.metadata
        name = binding_name(metadata.uid, target.metadata.uid)
        have = self._bindings.get(metadata.namespace, name)
        if not missing:
            return self._granting(initiator, target, have)
        binding = have or await self._create(name, initiator, target, missing)
        binding = await self._grow(binding, missing)
        return await self._update(binding, lambda it: self._asked(it, initiator, target, missing))

    async def accept(self, pod: AgentPod, binding_id: str) -> Bound:
        """Grant what is pending; *pod* must be the target.

        Raises:
            ToolError, KubeError.
        """

        def edit(binding: PodBinding) -> dict[str, Any]:
            now = self._pending(binding, pod)
            scopes = ordered((*now.granted, *now.pending))
            return {"decision": self._decision(DecisionState.ACCEPTED, pod, now, scopes)}

        return await self._update(self._visible(pod, binding_id), edit)

    async def reject(self, pod: AgentPod, binding_id: str, reason: str | None) -> Bound:
        """Refuse what is pending; *pod* must be the target. What was granted stays granted.

        Raises:
            ToolError, KubeError.
        """

        def edit(binding: PodBinding) -> dict[str, Any]:
            now = self._pending(binding, pod)
            found = self._decision(DecisionState.REJECTED, pod, now, now.granted)
            return {"decision": found | {"reason": reason}}

        return await self._update(self._visible(pod, binding_id), edit)

    async def unbind(self, pod: AgentPod, other: AgentPod) -> int:
        """End the bindings between the two, in both directions; return how many those were.

        Raises:
            ToolError, KubeError.
        """
        return sum([await self._end(pod, binding) for binding in self._between(pod, other)])

    async def _end(self, pod: AgentPod, binding: PodBinding) -> bool:
        ended = False

        def edit(binding: PodBinding) -> dict[str, Any] | None:
            nonlocal ended
            now = self.bound(binding).standing
            ended = now.state in _OPEN
            if not ended:
                return None
            return {"decision": self._decision(DecisionState.ENDED, pod, now, ())}

        try:
            await self._update(binding, edit)
        except ToolError as exc:
            if exc.reason != "NotFound":
                raise
            return False  # somebody has deleted it: it is ended, not by us
        return ended

    def _between(self, one: AgentPod, other: AgentPod) -> list[PodBinding]:
        where, names = one.metadata.namespace, (one.metadata.name, other.metadata.name)
        return [
            binding
            for pair in (names, names[::-1])
            for binding in self._bindings.indexed(OF_PAIR, (where, *pair))
            if concerns(binding, one) and concerns(binding, other)
        ]

    def _visible(self, pod: AgentPod, binding_id: str) -> PodBinding:
        """Return the binding of that name if it is one of the pod's. Raises ToolError."""
        binding = self._bindings.get(pod.metadata.namespace, binding_id)
        if binding is None or not concerns(binding, pod):
            raise _not_found(binding_id)
        return binding

    def _pending(self, binding: PodBinding, pod: AgentPod) -> Standing:
        """Return where it stands if *pod* may answer it. Raises ToolError."""
        name = binding.metadata.name
        if not is_target(binding, pod):
            whose = f"only its target, pod {binding.spec.target}, can answer"
            raise ToolError("Forbidden", f"binding {name} is your own request: {whose}")
        now = self.bound(binding).standing
        if not now.pending:
            raise ToolError(
                "Conflict", f"binding {name} is {now.state} and waits for no answer: {now.message}"
            )
        return now

    def _granting(self, initiator: AgentPod, target: AgentPod, have: PodBinding | None) -> Bound:
        """Return an active binding of the pair, that which tools made if it is active."""
        pair = (initiator.metadata.namespace, initiator.metadata.name, target.metadata.name)
        found = [self.bound(each) for each in self._bindings.indexed(OF_PAIR, pair)]
        active = [each for each in found if each.standing.state is BindingState.ACTIVE]
        return next((each for each in active if each.binding is have), active[0])

    async def _create(
        self, name: str, initiator: AgentPod, target: AgentPod, scopes: Iterable[Scope]
    ) -> PodBinding:
        one, other = initiator.metadata, target.metadata
        annotations = {ANNOTATION_CREATED_BY: one.name, ANNOTATION_CREATED_BY_UID: one.uid}
        manifest = {
            "apiVersion": POD_BINDING.api_version,
            "kind": POD_BINDING.kind,
            "metadata": {
                "name": name,
                "namespace": one.namespace,
                "annotations": annotations,
                "ownerReferences": [_owner(initiator), _owner(target)],
            },
            "spec": {
                "initiator": one.name,
                "target": other.name,
                "initiatorUID": one.uid,
                "targetUID": other.uid,
                "scopes": list(ordered(scopes)),
                "approval": "Required",
            },
        }
        try:
            made = await self._objects.create(POD_BINDING, one.namespace, manifest)
        except AlreadyExists:
            made = await self._read(one.namespace, name)
        binding = self._learn(made)
        if binding.spec.initiator_uid != one.uid or binding.spec.target_uid != other.uid:
            taken = f"a PodBinding {name} of others is in the way: a person must delete it"
            raise ToolError("Conflict", taken)
        return binding

    async def _grow(self, binding: PodBinding, scopes: Iterable[Scope]) -> PodBinding:
        """Have the spec name all of *scopes*: it says what may be granted at the most."""
        async for _ in attempts():
            metadata, wanted = binding.metadata, ordered((*binding.spec.scopes, *scopes))
            if wanted == ordered(binding.spec.scopes):
                return binding
            patch = {"metadata": _precondition(binding), "spec": {"scopes": list(wanted)}}
            try:
                answer = await self._objects.patch(
                    POD_BINDING, metadata.namespace, metadata.name, patch
                )
            except Conflict:
                binding = await self._again(binding)
            except NotFound:
                self._store.remove(POD_BINDING.kind, metadata.uid)
                raise _not_found(metadata.name) from None
            else:
                return self._learn(answer)
        raise _busy(binding)

    async def _update(self, binding: PodBinding, edit: Edit) -> Bound:
        """Change the status as *edit* says, of whatever the binding is by then."""
        async for _ in attempts():
            change = edit(binding)
            if change is None:
                return self.bound(binding)
            metadata = binding.metadata
            patch = {"metadata": _precondition(binding), "status": change}
            try:
                answer = await self._objects.patch(
                    POD_BINDING, metadata.namespace, metadata.name, patch, subresource="status"
                )
            except Conflict:
                binding = await self._again(binding)
            except NotFound:
                self._store.remove(POD_BINDING.kind, metadata.uid)
                raise _not_found(metadata.name) from None
            else:
                return self.bound(self._learn(answer))
        raise _busy(binding)

    def _asked(
        self,
        binding: PodBinding,
        initiator: AgentPod,
        target: AgentPod,
        missing: frozenset[Scope],
    ) -> dict[str, Any] | None:
        """Return the change that asks for *missing*, None if that is pending already."""
        now = self.bound(binding).standing
        if missing <= {*now.granted, *now.pending}:
            known = binding.status.requested_at is not None
            if known and not (now.pending and related(initiator, target)):
                return None
        asked = ordered((*missing, *now.pending))
        change: dict[str, Any] = {
            "requestedAt": stamp(self._clock()),
            "requestedScopes": list(asked),
            "initiatorUID": now.initiator_uid,
            "targetUID": now.target_uid,
        }
        if related(initiator, target):
            granted = ordered((*now.granted, *asked))
            decided = self._decision(DecisionState.ACCEPTED, initiator, now, granted)
            return change | {"decision": decided}
        kept = binding.status.decision if now.granted else None
        return change | {"decision": _kept(kept, now.granted)}

    def _decision(
        self, state: DecisionState, by: AgentPod, now: Standing, scopes: tuple[Scope, ...]
    ) -> dict[str, Any]:
        """Return a decision as a patch that leaves nothing of an earlier one."""
        assert now.initiator_uid and now.target_uid  # noqa: S101, PT018 - what stands open has both
        decision = BindingDecision(
            state=state,
            scopes=scopes,
            by=by.metadata.name,
            initiator_uid=now.initiator_uid,
            target_uid=now.target_uid,
            at=stamp(self._clock()),
        )
        return {"reason": None} | decision.manifest()

    async def _again(self, binding: PodBinding) -> PodBinding:
        """Return the binding as the API has it. Raises ToolError if it is another one by now."""
        metadata = binding.metadata
        fresh = self._learn(await self._read(metadata.namespace, metadata.name))
        if fresh.metadata.uid != metadata.uid:
            raise _not_found(metadata.name)
        return fresh

    async def _read(self, namespace: str, name: str) -> dict[str, Any]:
        try:
            return await self._objects.get(POD_BINDING, namespace, name)
        except NotFound:
            raise _not_found(name) from None

    def _learn(self, manifest: dict[str, Any]) -> PodBinding:
        self._store.apply(POD_BINDING.kind, manifest)
        return PodBinding.model_validate(manifest)


def _kept(decision: BindingDecision | None, granted: tuple[Scope, ...]) -> dict[str, Any] | None:
    """Return the decision that stays in force while more is asked for."""
    if decision is None:
        return None
    update = {"state": DecisionState.ACCEPTED, "scopes": granted, "reason": None}
    return {"reason": None} | decision.model_copy(update=update).manifest()


def _owner(pod: AgentPod) -> dict[str, Any]:
    """Return the reference by which the binding goes once both pods are gone."""
    metadata = pod.metadata
    return {
        "apiVersion": AGENT_POD.api_version,
        "kind": AGENT_POD.kind,
        "name": metadata.name,
        "uid": metadata.uid,
    }


def _precondition(binding: PodBinding) -> dict[str, str]:
    metadata = binding.metadata
    return {"uid": metadata.uid, "resourceVersion": metadata.resource_version}


def _not_found(name: str) -> ToolError:
    return ToolError("NotFound", f"you have no binding {name!r}: get_bindings lists yours")


def _busy(binding: PodBinding) -> ToolError:
    name = binding.metadata.name
    return ToolError("Unavailable", f"binding {name} changes all the time: try again")
