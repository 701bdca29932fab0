"""The small client asks what it should and puts refusals into words."""

from collections.abc import Iterator

import pytest

from cli.api import Api, Conflict, path
from cli.errors import CommandError, NotAllowed, NotFound, Unreachable
from cli.kubeconfig import Target
from schemas.names import AGENT_POD, CONFIG_MAP, ORGANIZATION
from tests.unit.cli.served import Served, serve

POD = "/apis/agentsmesh.io/v1alpha1/namespaces/acme/agentpods/fix"


@pytest.fixture
def served() -> Iterator[Served]:
    with serve() as server:
        yield server


@pytest.fixture
def api(served: Served) -> Api:
    return Api(Target(server=served.address, authorization="Bearer secret", source="kubeconfig"))


def test_where_kinds_are():
    assert path(AGENT_POD, "acme", "fix") == POD
    assert path(CONFIG_MAP, "acme", "x") == "/api/v1/namespaces/acme/configmaps/x"
    assert path(CONFIG_MAP, "a/../b", "x y") == "/api/v1/namespaces/a%2F..%2Fb/configmaps/x%20y"
    assert path(ORGANIZATION, "", "acme") == "/apis/agentsmesh.io/v1alpha1/organizations/acme"


def test_an_object_is_got_with_the_credential(api: Api, served: Served):
    served.answers[POD] = (200, {"kind": "AgentPod"})
    assert api.get(AGENT_POD, "acme", "fix") == {"kind": "AgentPod"}
    assert served.asked[0].headers["authorization"] == "Bearer secret"


def test_objects_are_listed_created_patched_and_deleted(api: Api, served: Served):
    pods = POD.removesuffix("/fix")
    served.answers[pods] = (200, {"items": [{"a": 1}, {"b": 2}]})
    served.answers[POD] = (200, {"done": True})
    assert api.list(AGENT_POD, "acme") == [{"a": 1}, {"b": 2}]
    api.create(AGENT_POD, "acme", {"spec": 1})
    api.patch(AGENT_POD, "acme", "fix", {"spec": 2})
    api.delete(AGENT_POD, "acme", "fix")
    api.delete(AGENT_POD, "acme", "gone already")
    methods = [(asked.method, asked.body) for asked in served.asked[1:4]]
    assert methods == [("POST", {"spec": 1}), ("PATCH", {"spec": 2}), ("DELETE", None)]
    assert served.asked[2].headers["content-type"] == "application/merge-patch+json"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, NotAllowed, 4),
        (403, NotAllowed, 4),
        (404, NotFound, 3),
        (409, Conflict, 1),
        (422, CommandError, 1),
        (429, Unreachable, 5),
        (500, Unreachable, 5),
    ],
)
def test_refusals_have_a_class_and_say_what_the_server_said(
    api: Api, served: Served, status: int, kind: type[CommandError], code: int
):
    served.answers[POD] = (status, {"message": "because of this"})
    with pytest.raises(kind, match="because of this") as caught:
        api.get(AGENT_POD, "acme", "fix")
    assert caught.value.exit_code == code
    assert "secret" not in str(caught.value)


def test_something_else_that_answers_is_no_api_server(api: Api, served: Served):
    served.answers[POD] = (200, b"<html>welcome</html>")
    with pytest.raises(Unreachable, match="not like an API server"):
        api.get(AGENT_POD, "acme", "fix")


def test_who_we_are_is_asked_and_not_insisted_on(api: Api, served: Served):
    assert api.whoami() == ""
    review = {"status": {"userInfo": {"username": "ada"}}}
    served.answers["/apis/authentication.k8s.io/v1/selfsubjectreviews"] = (201, review)
    assert api.whoami() == "ada"
