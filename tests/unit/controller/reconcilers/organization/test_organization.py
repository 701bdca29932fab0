"""An organization has its namespace and what is in it, keeps it so, and leaves cleanly."""

from typing import Any

import pytest

from schemas.names import (
    AGENT_POD,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    NAMESPACE,
    ORGANIZATION,
    ROLE_BINDING,
    SECRET,
)

pytestmark = pytest.mark.anyio


def ready(mesh: Any, name: str = "acme") -> tuple[str, str]:
    conditions = mesh.kube.read("Organization", "", name)["status"]["conditions"]
    [found] = [item for item in conditions if item["type"] == "Ready"]
    return found["status"], found["reason"]


async def test_its_children_are_made_and_a_second_look_changes_nothing(mesh: Any) -> None:
    await mesh.organization(quota={"agentPods": 3})
    await mesh.settle()
    assert ready(mesh) == ("True", "Ready")
    kinds = sorted(kind for kind, *_ in mesh.kube.objects)
    inside = ["ConfigMap", "Namespace", "Organization", "ResourceQuota", "RoleBinding"]
    assert kinds == ["ClusterRole", "ClusterRoleBinding", *inside]
    quota = mesh.kube.read("ResourceQuota", "acme", "agentsmesh-quota")
    assert quota["spec"] == {"hard": {"count/agentpods.agentsmesh.io": "3"}}
    writes = len(mesh.kube.writes)
    await mesh.settle(seconds=600)
    assert len(mesh.kube.writes) == writes


async def test_a_quota_is_written_as_the_api_gives_it_back(mesh: Any) -> None:
    """Kubernetes shows 2000 as 2k: written otherwise it would seem changed for ever."""
    await mesh.organization(quota={"agentPods": 2000, "runners": 0})
    await mesh.settle()
    hard = mesh.kube.read("ResourceQuota", "acme", "agentsmesh-quota")["spec"]["hard"]
    assert hard == {"count/agentpods.agentsmesh.io": "2k", "count/runners.agentsmesh.io": "0"}


async def test_members_are_bound_to_the_role_that_they_have(mesh: Any) -> None:
    """CRD-07."""
    await mesh.organization()
    await mesh.settle()
    members = [
        {"subject": {"kind": "User", "name": "ada"}, "role": "owner"},
        {"subject": {"kind": "Group", "name": "team"}, "role": "member"},
        {"subject": {"kind": "ServiceAccount", "name": "bot"}, "role": "viewer"},
    ]
    await mesh.kube.patch(ORGANIZATION, "", "acme", {"spec": {"members": members}})
    await mesh.settle(seconds=20)
    bound = {
        name: obj["subjects"]
        for (kind, _, name), obj in mesh.kube.objects.items()
        if kind == "RoleBinding"
    }
    group = "rbac.authorization.k8s.io"
    assert bound == {
        "agentsmesh-admin": [{"kind": "User", "name": "ada", "apiGroup": group}],
        "agentsmesh-member": [{"kind": "Group", "name": "team", "apiGroup": group}],
        "agentsmesh-viewer": [{"kind": "ServiceAccount", "name": "bot", "namespace": "acme"}],
    }
    await mesh.kube.patch(ORGANIZATION, "", "acme", {"spec": {"members": members[:1]}})
    await mesh.settle(seconds=20)
    left = [name for kind, _, name in mesh.kube.objects if kind == "RoleBinding"]
    assert left == ["agentsmesh-admin"]


BESIDE = "agentsmesh:organization:acme"


async def test_members_may_read_the_classes_and_their_own_organization(mesh: Any) -> None:
    await mesh.organization()
    await mesh.settle()
    members = [
        {"subject": {"kind": "User", "name": "ada"}, "role": "owner"},
        {"subject": {"kind": "User", "name": "ada"}, "role": "viewer"},
        {"subject": {"kind": "ServiceAccount", "name": "bot"}, "role": "viewer"},
    ]
    await mesh.kube.patch(ORGANIZATION, "", "acme", {"spec": {"members": members}})
    await mesh.settle(seconds=20)
    role = mesh.kube.read("ClusterRole", "", BESIDE)
    binding = mesh.kube.read("ClusterRoleBinding", "", BESIDE)
    own = {"apiGroups": ["agentsmesh.io"], "resources": ["organizations"], "verbs": ["get"]}
    assert role["rules"] == [
        {
            "apiGroups": ["agentsmesh.io"],
            "resources": ["agentclasses"],
            "verbs": ["get", "list", "watch"],
        },
        own | {"resourceNames": ["acme"]},
    ]
    assert binding["roleRef"]["name"] == BESIDE
    assert binding["subjects"] == [
        {"kind": "User", "name": "ada", "apiGroup": "rbac.authorization.k8s.io"},
        {"kind": "ServiceAccount", "name": "bot", "namespace": "acme"},
    ]
    uid = mesh.kube.read("Organization", "", "acme")["metadata"]["uid"]
    for child in (role, binding):
        assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == [uid]


@pytest.mark.parametrize("home", ["acme", "default"])
async def test_the_rights_go_with_the_organization_before_its_finalizer(
    mesh: Any, home: str
) -> None:
    """Garbage collection would do it, too, but not after ``--cascade=orphan``."""
    await mesh.kube.create(NAMESPACE, "", {"metadata": {"name": "default"}})
    await mesh.organization(namespaceName=home)
    await mesh.settle()
    await mesh.kube.delete(ORGANIZATION, "", "acme")
    await mesh.settle(seconds=20)
    deleted = [kind for event, kind, _ in mesh.kube.writes if event == "DELETED"]
    assert deleted[-3:] == ["ClusterRoleBinding", "ClusterRole", "Organization"]


@pytest.mark.parametrize(
    ("resource", "damage"),
    [
        pytest.param(CLUSTER_ROLE, {"rules": [{"verbs": ["*"]}]}, id="more rights"),
        pytest.param(CLUSTER_ROLE_BINDING, {"subjects": [{"name": "eve"}]}, id="a stranger"),
        pytest.param(CLUSTER_ROLE, {"metadata": {"ownerReferences": None}}, id="owner"),
        pytest.param(CLUSTER_ROLE_BINDING, {"roleRef": {"name": "cluster-admin"}}, id="role"),
    ],
)
async def test_drift_beside_the_namespace_is_repaired(
    mesh: Any, resource: Any, damage: Any
) -> None:
    await mesh.organization()
    await mesh.settle()
    before = mesh.kube.read(resource.kind, "", BESIDE)
    await mesh.kube.patch(resource, "", BESIDE, damage)
    await mesh.settle(seconds=120)
    after = mesh.kube.read(resource.kind, "", BESIDE)
    for key in ("rules", "subjects", "roleRef"):
        assert after.get(key) == before.get(key)
    assert after["metadata"]["ownerReferences"] == before["metadata"]["ownerReferences"]


@pytest.mark.parametrize(
    ("resource", "name", "damage"),
    [
        pytest.param(ROLE_BINDING, "agentsmesh-admin", {"subjects": []}, id="members"),
        pytest.param(CONFIG_MAP, "agentsmesh-trust-bundle", {"data": {"ca.crt": "x"}}, id="bundle"),
        pytest.param(
            ROLE_BINDING,
            "agentsmesh-admin",
            {"metadata": {"labels": {"agentsmesh.io/managed-by": None}}},
            id="our label",
        ),
    ],
)
async def test_drift_is_repaired(mesh: Any, resource: Any, name: str, damage: Any) -> None:
    await mesh.organization()
    await mesh.settle()
    before = mesh.kube.read(resource.kind, "acme", name)
    good = {key: before[key] for key in ("subjects", "data") if key in before}
    await mesh.kube.patch(resource, "acme", name, damage)
    await mesh.settle(seconds=120)
    after = mesh.kube.read(resource.kind, "acme", name)
    assert {key: after[key] for key in good} == good
    assert after["metadata"]["labels"] == before["metadata"]["labels"]


async def test_a_deleted_child_is_made_again(mesh: Any) -> None:
    await mesh.organization()
    await mesh.settle()
    await mesh.kube.delete(CONFIG_MAP, "acme", "agentsmesh-trust-bundle")
    await mesh.settle(seconds=120)
    assert mesh.kube.read("ConfigMap", "acme", "agentsmesh-trust-bundle")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        pytest.param({"namespaceName": "kube-system"}, "NamespaceReserved", id="kube-*"),
        pytest.param({"namespaceName": "agentsmesh-system"}, "NamespaceReserved", id="our own"),
    ],
)
async def test_namespaces_of_others_are_never_taken(mesh: Any, spec: Any, reason: str) -> None:
    await mesh.organization(**spec)
    await mesh.settle()
    assert ready(mesh) == ("False", reason)
    assert [kind for kind, *_ in mesh.kube.objects] == ["Organization"]


async def test_a_namespace_with_somebodys_things_is_not_adopted_until_it_is_labelled(
    mesh: Any,
) -> None:
    await mesh.kube.create(NAMESPACE, "", {"metadata": {"name": "acme"}})
    await mesh.kube.create(SECRET, "acme", {"metadata": {"name": "theirs"}})
    await mesh.organization()
    await mesh.settle()
    assert ready(mesh) == ("False", "NamespaceNotEmpty")
    assert "labels" not in mesh.kube.read("Namespace", "", "acme")["metadata"]
    await mesh.agent_class()
    (await mesh.runner()).connect()
    await mesh.pod()
    await mesh.settle()
    assert mesh.condition("Scheduled")["reason"] == "OrganizationNotReady"
    assert "agentsmesh.io/organization=acme" in mesh.condition("Scheduled")["message"]
    labels = {"agentsmesh.io/organization": "acme"}
    await mesh.kube.patch(NAMESPACE, "", "acme", {"metadata": {"labels": labels}})
    await mesh.settle(seconds=60)
    assert ready(mesh) == ("True", "Ready")
    assert mesh.status()["phase"] == "Running"


async def test_an_empty_namespace_is_adopted(mesh: Any) -> None:
    await mesh.kube.create(NAMESPACE, "", {"metadata": {"name": "acme"}})
    await mesh.kube.create(CONFIG_MAP, "acme", {"metadata": {"name": "kube-root-ca.crt"}})
    await mesh.organization()
    await mesh.settle()
    assert ready(mesh) == ("True", "Ready")


@pytest.mark.parametrize("labelled", [True, False])
async def test_a_namespace_that_was_only_adopted_outlives_the_organization(
    mesh: Any, *, labelled: bool
) -> None:
    """What people keep in it is not ours to delete."""
    labels = {"team": "a"} | ({"agentsmesh.io/organization": "acme"} if labelled else {})
    await mesh.kube.create(NAMESPACE, "", {"metadata": {"name": "acme", "labels": labels}})
    if labelled:
        await mesh.kube.create(SECRET, "acme", {"metadata": {"name": "theirs"}})
        await mesh.kube.create(ROLE_BINDING, "acme", {"metadata": {"name": "theirs"}})
    await mesh.organization(quota={"agentPods": 3})
    await mesh.agent_class()
    await mesh.settle()
    assert ready(mesh) == ("True", "Ready")
    assert "ownerReferences" not in mesh.kube.read("Namespace", "", "acme")["metadata"]
    (await mesh.runner()).connect()
    await mesh.pod()
    await mesh.settle()
    await mesh.kube.delete(ORGANIZATION, "", "acme")
    await mesh.settle(seconds=20)
    theirs = [("RoleBinding", "acme", "theirs"), ("Secret", "acme", "theirs")] if labelled else []
    stays = [("AgentClass", "", "greeter"), ("Namespace", "", "acme"), ("Runner", "acme", "r1")]
    assert sorted(mesh.kube.objects) == sorted([*stays, *theirs])
    assert mesh.kube.read("Namespace", "", "acme")["metadata"]["labels"] == {"team": "a"}


async def test_the_default_namespace_is_used_and_never_owned_or_deleted(mesh: Any) -> None:
    await mesh.kube.create(NAMESPACE, "", {"metadata": {"name": "default"}})
    await mesh.organization(namespaceName="default")
    await mesh.settle()
    assert ready(mesh) == ("True", "Ready")
    assert "ownerReferences" not in mesh.kube.read("Namespace", "", "default")["metadata"]
    await mesh.kube.delete(ORGANIZATION, "", "acme")
    await mesh.settle()
    assert list(mesh.kube.objects) == [("Namespace", "", "default")]
    assert mesh.kube.read("Namespace", "", "default")["metadata"]["labels"] == {}


async def test_the_older_of_two_organizations_has_the_namespace(mesh: Any) -> None:
    await mesh.organization()
    await mesh.settle()
    members = [{"subject": {"kind": "User", "name": "eve"}, "role": "owner"}]
    spec = {"members": members, "namespaceName": "acme"}
    later = {"creationTimestamp": "2028-01-01T00:00:00Z"}
    await mesh.make(ORGANIZATION, "thief", spec=spec, metadata=later)
    await mesh.settle()
    assert ready(mesh, "thief") == ("False", "NamespaceTaken")
    assert ready(mesh) == ("True", "Ready")


async def test_pods_go_before_the_namespace(mesh: Any) -> None:
    await mesh.organization()
    await mesh.agent_class()
    (await mesh.runner()).connect()
    await mesh.settle()
    await mesh.pod()
    await mesh.settle()
    await mesh.kube.delete(ORGANIZATION, "", "acme")
    await mesh.settle(seconds=20)
    deleted = [kind for event, kind, _ in mesh.kube.writes if event == "DELETED"]
    assert deleted.index("AgentPod") < deleted.index("Namespace") < deleted.index("Organization")


async def test_an_organization_waits_for_a_pod_that_cannot_be_cleared_away(mesh: Any) -> None:
    await mesh.organization()
    await mesh.agent_class()
    runner = await mesh.runner()
    runner.connect()
    await mesh.settle()
    await mesh.pod()
    await mesh.settle()
    runner.disconnect()
    await mesh.settle(seconds=60)
    await mesh.kube.delete(ORGANIZATION, "", "acme")
    await mesh.settle(seconds=20)
    assert ready(mesh) == ("False", "Deleting")
    assert ("Namespace", "", "acme") in mesh.kube.objects
    assert mesh.kube.read(AGENT_POD.kind, "acme", "fix")["metadata"]["deletionTimestamp"]


async def test_usage_is_counted(mesh: Any) -> None:
    await mesh.organization()
    await mesh.agent_class()
    (await mesh.runner()).connect()
    await mesh.pod("a")
    await mesh.pod("b", suspend=True)
    await mesh.settle(seconds=30)
    usage = mesh.kube.read("Organization", "", "acme")["status"]["usage"]
    assert usage == {"runners": 1, "agentPods": 2, "runningAgentPods": 1}
