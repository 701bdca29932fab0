"""The tool by which a pod makes another."""

from controller.kube.errors import KubeError
from controller.services.bindings import Bindings
from controller.services.pods import Pods, status
from controller.tools.call import Caller, Handler, ToolError
from schemas.names import Scope
from schemas.tools.pod import CreatedPod, CreatePod


class PodTools:
    """Makes pods and binds their creator to them."""

    def __init__(self, pods: Pods, bindings: Bindings) -> None:
        self._pods = pods
        self._bindings = bindings

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by tool."""
        return {"create_pod": self.create_pod}

    async def create_pod(self, caller: Caller, arguments: CreatePod) -> CreatedPod:
        """Make the pod, bind the caller to it with both scopes, and say where it stands."""
        pod = await self._pods.create(caller, arguments)
        name = pod.metadata.name
        try:
            bound = await self._bindings.request(caller.pod, pod, Scope)
        except (ToolError, KubeError) as exc:
            raise ToolError(
                "Unavailable",
                f"pod {name} was made, but you are not bound to it: call bind_pod with target_pod "
                f"{name}, do not make another",
                {"pod_key": name},
            ) from exc
        phase, reason = status(await self._pods.decided(pod))
        return CreatedPod(
            pod_key=name,
            status=phase,
            reason=reason,
            binding_id=bound.binding.metadata.name,
            binding_status=bound.standing.state,
        )
