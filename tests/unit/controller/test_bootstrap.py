"""What members of organizations may do: the rules of the three ClusterRoles."""

import pytest

from controller.bootstrap import ROLES
from schemas.names import GROUP, OURS, Resource

WRITE = {"create", "update", "patch", "delete", "deletecollection"}
READ = {"get", "list", "watch"}


def verbs(role: str, resource: str) -> set[str]:
    return {
        verb
        for rule in ROLES[role]
        if GROUP in rule["apiGroups"] and resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("kind", [kind for kind in OURS if kind.namespaced])
def test_everybody_reads_and_members_write_what_pods_work_with(kind: Resource) -> None:
    assert verbs("agentsmesh-viewer", kind.plural) == READ
    works = kind.plural in {"agentpods", "podbindings", "channels", "tickets"}
    assert verbs("agentsmesh-member", kind.plural) == (READ | WRITE if works else READ)
    assert verbs("agentsmesh-admin", kind.plural) == READ | WRITE


@pytest.mark.parametrize("role", ROLES)
def test_people_talk_in_channels_as_they_use_terminals(role: str) -> None:
    writes = role != "agentsmesh-viewer"
    assert verbs(role, "channels/messages") == ({"get", "create"} if writes else {"get"})
    assert verbs(role, "agentpods/log") == {"get"}
    assert verbs(role, "agentpods/attach") == ({"create"} if writes else set())


@pytest.mark.parametrize("role", ROLES)
def test_nobody_writes_a_status_an_organization_or_a_class(role: str) -> None:
    for rule in ROLES[role]:
        assert not any("*" in name or name.endswith("/status") for name in rule["resources"])
    for plural in ("organizations", "agentclasses"):
        assert verbs(role, plural) == set()
