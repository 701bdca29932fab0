"""Who may be given prompts: the one decision, for mentions, notices of bindings and the queue.

A prompt is text of others with Enter behind it. Typed into a shell it would be carried out, so it
goes only where the pod's AgentClass says that its program reads prompts.
"""

from controller.kernel.store import Store
from controller.services.deadlines import promptable
from schemas.agentclass import AgentClass, PromptPosition
from schemas.agentpod import AgentPod


def refusal(pod: AgentPod, agent: AgentClass | None) -> str:
    """Return why nothing may be typed into the pod's terminal as a prompt; empty: it may. Pure.

    *agent*: the pod's class; None: there is none any more, so nobody says anything.
    """
    takes_none = f"pod {pod.metadata.name} takes no prompts"
    name = pod.spec.agent_class_name
    if agent is None:
        return f"{takes_none}: there is no AgentClass {name} that says that it reads them"
    if agent.spec.prompt.position is not PromptPosition.NONE or agent.spec.readiness.regex:
        return ""
    return (
        f"{takes_none}: its AgentClass {name} has prompt.position none and no readiness.regex,"
        " so nothing says that it reads them"
    )


class Takers:
    """The same, from what the store holds now."""

    def __init__(self, store: Store) -> None:
        self._classes = store.of(AgentClass)

    def refusal(self, pod: AgentPod) -> str:
        """Return why the pod's terminal takes no prompts; empty: it takes them."""
        return refusal(pod, self._classes.get("", pod.spec.agent_class_name))

    def takes(self, pod: AgentPod) -> bool:
        """Whether the pod can be given a prompt: its agent is at work, or will be, and reads it."""
        return promptable(pod) and not self.refusal(pod)
