"""Which keys of a Secret open a repository."""

import base64
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from controller.reconcilers.repository.checks import first
from controller.reconcilers.repository.snapshot import RepositorySnapshot
from controller.rpc.ports import PodPlace, RunnerKey
from controller.rpc.refusal import Refusal
from controller.services.secrets import GitSecrets
from schemas.names import REPOSITORY, SECRET
from schemas.repository import Repository
from tests.unit.controller.kube_memory import MemoryKube
from tests.unit.controller.rpc.world import MemoryPlacement

pytestmark = pytest.mark.anyio

RUNNER = RunnerKey("acme", "laptop", "runner-uid")
URL = "https://git.example/shop.git"


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def fetched(data: dict[str, str]) -> link_pb2.GitCredentials:
    kube, placement = MemoryKube(), MemoryPlacement()
    spec = {"url": URL, "authSecretRef": {"name": "shop-git"}}
    await kube.create(REPOSITORY, "acme", {"metadata": {"name": "shop"}, "spec": spec})
    await kube.create(SECRET, "acme", {"metadata": {"name": "shop-git"}, "data": data})
    placement.put(PodPlace("pod-uid", "acme", "fix", RUNNER, 1, "shop"))
    secrets = GitSecrets(kube, placement)
    return await secrets.fetch(RUNNER, link_pb2.PodRef(pod_uid="pod-uid", epoch=1))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param({"token": "t"}, {"password": "t"}, id="a token alone"),
        pytest.param(
            {"username": "ada", "token": "t"},
            {"username": "ada", "password": "t"},
            id="a token with a user name",
        ),
        pytest.param({"password": "p", "token": "t"}, {"password": "p"}, id="password first"),
        pytest.param({"password": "", "token": "t"}, {"password": "t"}, id="an empty password"),
        pytest.param(
            {"username": "ada\n", "token": "t\r\n"},
            {"username": "ada", "password": "t"},
            id="line ends of an editor",
        ),
        pytest.param({"password": " p "}, {"password": " p "}, id="blanks belong to it"),
        pytest.param(
            {"ssh-privatekey": "KEY\n", "known_hosts": "git.example ssh-ed25519 AAAA\n"},
            {"ssh_private_key": "KEY\n", "known_hosts": "git.example ssh-ed25519 AAAA\n"},
            id="ssh",
        ),
        pytest.param(
            {"token": "t", "ca.crt": "PEM\n"},
            {"password": "t", "ca_bundle": "PEM\n"},
            id="a private authority",
        ),
        pytest.param({"other": "x"}, {}, id="other keys stay where they are"),
    ],
)
async def test_the_keys_of_a_secret_become_what_git_takes(
    data: dict[str, str], expected: dict[str, str]
) -> None:
    found = await fetched({key: _encoded(value) for key, value in data.items()})
    assert found == link_pb2.GitCredentials(**expected)


@pytest.mark.parametrize("value", ["%%%", base64.b64encode(b"\xff\xfe").decode()])
async def test_a_value_that_is_no_text_is_named_and_not_quoted(value: str) -> None:
    with pytest.raises(Refusal) as refused:
        await fetched({"token": value})
    assert refused.value.message == "token in Secret shop-git is not text"
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("key", ["token", "password"])
async def test_what_the_repository_calls_usable_is_what_is_handed_out(key: str) -> None:
    metadata: dict[str, Any] = {"name": "shop", "namespace": "acme"}
    spec = {"url": URL, "authSecretRef": {"name": "shop-git"}}
    item = Repository.model_validate({"metadata": metadata, "spec": spec})
    assert (
        first(RepositorySnapshot(item, local_allowed=False, secret_keys=frozenset({key}))) is None
    )
    assert (await fetched({key: _encoded("t")})).password == "t"
