"""A dead controller's Lease is given up for it, and nobody else's."""

from collections.abc import Iterator

import pytest

from cli.api import Api, Conflict
from cli.kubeconfig import Target
from cli.up.leadership import release
from tests.unit.cli.served import Served, serve

LEASE = "/apis/coordination.k8s.io/v1/namespaces/agentsmesh-system/leases/agentsmesh-controller"


@pytest.fixture
def served() -> Iterator[Served]:
    with serve() as server:
        yield server


def lease(holder: str) -> dict[str, object]:
    return {"metadata": {"resourceVersion": "7"}, "spec": {"holderIdentity": holder}}


def test_it_is_given_up_if_nobody_took_it_meanwhile(served: Served):
    served.answers[LEASE] = (200, lease("dead"))
    assert release(Api(Target(server=served.address)))
    assert served.asked[-1].method == "PATCH"
    assert served.asked[-1].body == {
        "metadata": {"resourceVersion": "7"},
        "spec": {"holderIdentity": ""},
    }


def test_none_and_a_free_one_are_left_alone(served: Served):
    api = Api(Target(server=served.address))
    assert not release(api)
    served.answers[LEASE] = (200, lease(""))
    assert not release(api)
    assert {asked.method for asked in served.asked} == {"GET"}


def test_one_that_changed_at_this_moment_is_left_alone(served: Served):
    served.answers[LEASE] = (409, {"message": "modified"})
    with pytest.raises(Conflict):
        release(Api(Target(server=served.address)))
