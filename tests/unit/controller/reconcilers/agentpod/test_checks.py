"""What keeps a pod from being placed is said in one sentence that names the field."""

from typing import Any

import pytest

from controller.reconcilers.agentpod.checks import first
from controller.reconcilers.agentpod.snapshot import Ingredients

READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "lastTransitionTime": "2027-01-01T00:00:00Z",
}


OTHERS = {"podName": "ann", "podUID": "uid-ann", "claimedAt": "2027-01-01T00:00:00Z"}


@pytest.fixture
def world(build: Any) -> Any:
    """Return a function that makes what a pod refers to; all is well unless told otherwise."""

    def of(**given: Any) -> Ingredients:
        members = [{"subject": {"kind": "User", "name": "ada"}, "role": "owner"}]
        organization = {"members": members} | given.get("organization", {})
        missing = given.get("missing", ())
        return Ingredients(
            organization=None
            if "organization" in missing
            else build(
                "Organization",
                "acme",
                spec=organization,
                status={"conditions": [READY | given.get("home", {})]},
            ),
            agent=None
            if "class" in missing
            else build("AgentClass", "c", spec={"executable": "x", **given.get("agent", {})}),
            available=given.get("available", ()),
            repository=None
            if "repository" in missing
            else build(
                "Repository",
                "shop",
                spec={"url": "https://git.example/shop.git"},
                status={"conditions": [READY | given.get("repository", {})]},
            ),
            ticket=None
            if "ticket" in missing
            else build(
                "Ticket",
                "am-1",
                spec={"title": "t", "state": given.get("state", "backlog")},
                status={"claim": given.get("claim"), "runs": given.get("runs")},
            ),
        )

    return of


@pytest.mark.parametrize(
    ("pod", "given", "reason", "words", "stalled"),
    [
        pytest.param({}, {"missing": ("organization",)}, "OrganizationNotFound", "acme", False),
        pytest.param(
            {},
            {"home": {"status": "False", "reason": "NamespaceNotEmpty", "message": "label it"}},
            "OrganizationNotReady",
            "Organization acme is not ready: label it",
            False,
        ),
        pytest.param({}, {"organization": {"suspend": True}}, "Suspended", "spec.suspend", False),
        pytest.param({"suspend": True}, {}, "Suspended", "spec.suspend", False),
        pytest.param({"desiredState": "Stopped"}, {}, "Stopped", "spec.desiredState", False),
        pytest.param(
            {},
            {"missing": ("class",), "available": tuple(f"c{n:02}" for n in range(12))},
            "AgentClassNotFound",
            "agentClassName: there is no AgentClass 'c' (available: c00, c01, c02, c03, c04, "
            "c05, c06, c07, c08, c09 …)",
            False,
        ),
        pytest.param(
            {"repositoryRef": {"name": "shop"}},
            {"missing": ("repository",)},
            "RepositoryNotFound",
            "repositoryRef.name: there is no Repository 'shop' in namespace acme",
            False,
        ),
        pytest.param(
            {"repositoryRef": {"name": "shop"}},
            {"repository": {"status": "False", "message": "no secret"}},
            "RepositoryNotReady",
            "no secret",
            False,
        ),
        pytest.param(
            {"providerKeyRefs": [{"name": "k"}]}, {}, "NotSupported", "providerKeyRefs", True
        ),
        pytest.param(
            {"sandbox": {"network": "allowlist", "allowedHosts": ["x"]}},
            {},
            "NotSupported",
            "sandbox.network",
            True,
        ),
        pytest.param(
            {"prompt": "do"},
            {"agent": {"prompt": {"position": "none"}}},
            "PromptInvalid",
            "prompt:",
            True,
        ),
        pytest.param(
            {"permissionMode": "plan"},
            {"agent": {"permissionModes": {"default": []}}},
            "PermissionModeNotSupported",
            "permissionMode: AgentClass c has no permissionModes.plan",
            True,
        ),
        pytest.param({"model": "big"}, {}, "ModelNotSupported", "model: AgentClass c", True),
        pytest.param(
            {"model": "--yolo"},
            {"agent": {"model": {"flag": "--model"}}},
            "ModelNotSupported",
            "must not begin with -",
            True,
        ),
        pytest.param(
            {"config": {"effort": "low"}},
            {},
            "InvalidConfig",
            "config: effort: there is no such option; the class has none",
            True,
        ),
        pytest.param(
            {"config": {"effort": "LOW"}},
            {"agent": {"options": [{"name": "effort", "values": ["low"], "flag": "-e"}]}},
            "InvalidConfig",
            "config: effort: it must be one of low",
            True,
        ),
    ],
)
def test_an_obstacle_is_named_with_its_field(  # noqa: PLR0917 - columns of the table
    build: Any,
    world: Any,
    pod: Any,
    given: Any,
    reason: str,
    words: str,
    stalled: Any,
) -> None:
    made = build("AgentPod", "fix", spec={"agentClassName": "c", **pod})
    finding = first(made, world(**given))
    assert finding is not None
    assert finding.reason == reason
    assert words in finding.message
    assert finding.stalled is stalled


@pytest.mark.parametrize(
    ("claim", "given", "reason", "words"),
    [
        pytest.param("IfFree", {"missing": ("ticket",)}, "TicketNotFound", "'am-1'", id="none"),
        pytest.param("Never", {"missing": ("ticket",)}, "TicketNotFound", "'am-1'", id="no text"),
        pytest.param("IfFree", {}, "TicketUnclaimed", "soon", id="not looked at yet"),
        pytest.param("Required", {}, "TicketUnclaimed", "soon", id="the same, insisted on"),
        pytest.param("Required", {"claim": OTHERS}, "TicketClaimed", "pod ann's", id="another's"),
    ],
)
def test_a_pod_waits_for_its_ticket(
    build: Any, world: Any, claim: str, given: Any, reason: str, words: str
) -> None:
    spec = {"agentClassName": "c", "ticketRef": {"name": "am-1", "claim": claim}}
    finding = first(build("AgentPod", "fix", spec=spec), world(**given))
    assert finding is not None
    assert (finding.reason, finding.stalled) == (reason, False)
    assert words in finding.message


MINE = OTHERS | {"podUID": "uid-of-am-1-run-1", "podName": "am-1-run-1"}
COUNTED = {"attempts": 1, "total": 1, "lastPod": "am-1-run-1", "state": "todo"}


def run(build: Any, labels: Any) -> Any:
    """Return a pod that the ticket has started, if it has the label of one."""
    spec = {"agentClassName": "c", "ticketRef": {"name": "am-1", "claim": "Required"}}
    return build("AgentPod", "am-1-run-1", spec=spec, metadata={"labels": labels})


@pytest.mark.parametrize(
    ("given", "reason", "words"),
    [
        pytest.param({"state": "done"}, "TicketChanged", "it is done", id="done"),
        pytest.param({"state": "canceled"}, "TicketChanged", "it is canceled", id="canceled"),
        pytest.param({"state": "backlog"}, "TicketChanged", "it is backlog by now", id="moved"),
        pytest.param(
            {"state": "todo", "runs": COUNTED | {"starting": True}},
            "TicketUnclaimed",
            "about to note",
            id="made and not noted",
        ),
    ],
)
def test_a_run_is_not_placed_that_its_ticket_does_not_want_or_know_yet(
    build: Any, world: Any, given: Any, reason: str, words: str
) -> None:
    ingredients = world(**{"claim": MINE, "runs": COUNTED, **given})
    finding = first(run(build, {"agentsmesh.io/auto-run": "ticket"}), ingredients)
    assert finding is not None
    assert (finding.reason, finding.stalled) == (reason, False)
    assert words in finding.message
    assert first(run(build, {}), ingredients) is None  # a person's own pod


def test_a_run_whose_ticket_is_as_it_was_is_placed(build: Any, world: Any) -> None:
    ingredients = world(claim=MINE, runs=COUNTED, state="todo")
    assert first(run(build, {"agentsmesh.io/auto-run": "ticket"}), ingredients) is None


@pytest.mark.parametrize(
    ("pod", "given"),
    [
        pytest.param({}, {}, id="a plain pod"),
        pytest.param({"prompt": "do"}, {}, id="a prompt that the class takes"),
        pytest.param({"permissionMode": "plan"}, {"agent": {"permissionModes": {"plan": []}}}),
        pytest.param({"model": "big"}, {"agent": {"model": {"flag": "--model"}}}),
        pytest.param({"model": "big"}, {"agent": {"args": ["--model", "$(MODEL)"]}}),
        pytest.param(
            {"config": {"effort": "low"}},
            {"agent": {"options": [{"name": "effort", "values": ["low"], "flag": "-e"}]}},
            id="an option that the class has",
        ),
        pytest.param(
            {"ticketRef": {"name": "am-1"}, "channelRefs": [{"name": "c"}]}, {"claim": OTHERS}
        ),
        pytest.param(
            {"ticketRef": {"name": "am-1", "claim": "Required"}},
            {"claim": OTHERS | {"podUID": "uid-of-fix"}},
            id="a ticket that is its own",
        ),
        pytest.param({"ticketRef": {"name": "am-1", "claim": "Never"}}, {}, id="a helper"),
        pytest.param({"resources": {"limits": {"cpu": "2"}}}, {}, id="limits are said elsewhere"),
    ],
)
def test_a_pod_without_obstacle_may_be_placed(build: Any, world: Any, pod: Any, given: Any) -> None:
    assert (
        first(build("AgentPod", "fix", spec={"agentClassName": "c", **pod}), world(**given)) is None
    )
