"""What opens a repository comes from the Secret that it names, and is never part of a message."""

import base64
from typing import Any

import pytest

from controller.gitops.credentials import read_credentials
from controller.gitops.remote import SECRET_INVALID, SECRET_NOT_FOUND, RefusedError
from gitaccess.credentials import Credentials
from schemas.names import SECRET
from schemas.repository import Repository
from tests.unit.controller.kube_memory import MemoryKube

pytestmark = pytest.mark.anyio


def repository(named: str | None = "git") -> Repository:
    return Repository.model_validate(
        {
            "metadata": {"name": "code", "namespace": "acme"},
            "spec": {
                "url": "https://host/x",
                **({"authSecretRef": {"name": named}} if named else {}),
            },
        }
    )


async def kube(**data: bytes) -> MemoryKube:
    made = MemoryKube()
    encoded = {key.replace("_", "-"): base64.b64encode(text).decode() for key, text in data.items()}
    manifest: dict[str, Any] = {"metadata": {"name": "git", "namespace": "acme"}, "data": encoded}
    await made.create(SECRET, "acme", manifest)
    return made


async def test_a_repository_without_a_secret_needs_none() -> None:
    assert await read_credentials(MemoryKube(), "acme", repository(None)) is None


async def test_every_kind_of_credentials_is_read() -> None:
    https = await kube(username=b"ada", password=b"hunter2\n", **{"ca.crt": b"PEM\n"})
    found = await read_credentials(https, "acme", repository())
    assert found == Credentials("ada", "hunter2", ca_certificates="PEM\n")
    token = await kube(token=b"t0ken")
    assert await read_credentials(token, "acme", repository()) == Credentials(password="t0ken")
    ssh = await kube(ssh_privatekey=b"KEY\n")
    assert (await read_credentials(ssh, "acme", repository())) == Credentials(ssh_key="KEY\n")


async def test_a_secret_that_is_not_there_is_said() -> None:
    with pytest.raises(RefusedError, match=r"Secret git .* create it") as caught:
        await read_credentials(MemoryKube(), "acme", repository())
    assert caught.value.reason == SECRET_NOT_FOUND


@pytest.mark.parametrize("raw", [b"canary\xff", b"canary\0"])
async def test_what_is_no_text_is_said_without_repeating_it(raw: bytes) -> None:
    with pytest.raises(RefusedError, match="password in Secret git is not text") as caught:
        await read_credentials(await kube(password=raw), "acme", repository())
    assert caught.value.reason == SECRET_INVALID
    assert caught.value.__context__ is None
    assert "canary" not in str(caught.value)
