"""Repositories, classes, enrolments and runners say whether they can be used, and why not."""

from typing import Any

import pytest

from controller.kernel.clock import stamp, wall
from schemas.names import (
    AGENT_CLASS,
    REPOSITORY,
    RUNNER,
    RUNNER_ENROLLMENT,
    SECRET,
)

pytestmark = pytest.mark.anyio

HASH = "0" * 64


def condition(mesh: Any, kind: str, namespace: str, name: str, type_: str = "Ready") -> Any:
    conditions = mesh.kube.read(kind, namespace, name)["status"]["conditions"]
    found = [item for item in conditions if item["type"] == type_]
    return (found[0]["status"], found[0]["reason"]) if found else None


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param({"executable": "claude"}, ("True", "Ready"), id="a name"),
        pytest.param({"executable": "/bin/sh"}, ("True", "Ready"), id="an absolute path"),
        pytest.param({"executable": "bin/sh"}, ("False", "ExecutableInvalid"), id="a relative one"),
        pytest.param(
            {"executable": "x", "readiness": {"regex": "("}},
            ("False", "ReadinessInvalid"),
            id="a broken pattern",
        ),
        pytest.param(
            {"executable": "x", "readiness": {"regex": "(?=> )"}},
            ("False", "ReadinessInvalid"),
            id="a pattern that looks ahead",
        ),
        pytest.param(
            {"executable": "x", "environment": [{"name": "LD_PRELOAD", "value": "y"}]},
            ("False", "EnvironmentInvalid"),
            id="a reserved variable",
        ),
        pytest.param(
            {"executable": "x", "environment": [{"name": "A"}, {"name": "A"}]},
            ("False", "EnvironmentInvalid"),
            id="a variable twice",
        ),
        pytest.param(
            {"executable": "x", "options": [{"name": "o", "env": "LD_PRELOAD"}]},
            ("False", "EnvironmentInvalid"),
            id="an option for a reserved variable",
        ),
        pytest.param(
            {"executable": "x", "options": [{"name": "o"}]},
            ("False", "OptionInvalid"),
            id="an option without effect",
        ),
        pytest.param(
            {
                "executable": "x",
                "options": [{"name": "o", "flag": "-o", "minimum": 2, "maximum": 1}],
            },
            ("False", "OptionInvalid"),
            id="an option without a value",
        ),
        pytest.param(
            {
                "executable": "x",
                "options": [{"name": "o", "flag": "-o", "type": "integer", "values": ["1"]}],
            },
            ("False", "OptionInvalid"),
            id="values of no string",
        ),
        pytest.param(
            {"executable": "x", "options": [{"name": "o", "args": ["-c", "o=$(OTHER)"]}]},
            ("False", "OptionInvalid"),
            id="arguments without the value",
        ),
        pytest.param(
            {"executable": "x", "options": [{"name": "o", "flag": "-o", "args": ["$(VALUE)"]}]},
            ("False", "OptionInvalid"),
            id="a flag beside arguments",
        ),
        pytest.param(
            {"executable": "x", "minimumVersion": "1.2"},
            ("False", "VersionInvalid"),
            id="a version that nobody asks for",
        ),
        pytest.param(
            {"executable": "x", "options": [{"name": "o", "flag": "-o"}]},
            ("True", "Ready"),
            id="an option",
        ),
    ],
)
async def test_a_class_is_checked(mesh: Any, spec: Any, said: Any) -> None:
    await mesh.make(AGENT_CLASS, "c", spec=spec)
    await mesh.settle()
    assert condition(mesh, "AgentClass", "", "c") == said
    stalled = condition(mesh, "AgentClass", "", "c", "Stalled")
    assert (stalled is not None) is (said[0] == "False")


@pytest.mark.parametrize(
    ("url", "keys", "said"),
    [
        pytest.param("https://git.example/x.git", None, ("False", "SecretNotFound"), id="missing"),
        pytest.param(
            "https://git.example/x.git", ["other"], ("False", "SecretUnusable"), id="https"
        ),
        pytest.param("https://git.example/x.git", ["password"], ("True", "Ready"), id="password"),
        pytest.param(
            "ssh://git@git.example/x", ["password"], ("False", "SecretUnusable"), id="ssh"
        ),
        pytest.param("ssh://git@git.example/x", ["ssh-privatekey"], ("True", "Ready"), id="key"),
    ],
)
async def test_the_secret_of_a_repository_is_checked_and_never_shown(
    mesh: Any, url: str, keys: Any, said: Any
) -> None:
    if keys is not None:
        data = dict.fromkeys(keys, "R0VIRUlN")
        await mesh.kube.create(SECRET, "acme", {"metadata": {"name": "s"}, "data": data})
    await mesh.make(REPOSITORY, "shop", spec={"url": url, "authSecretRef": {"name": "s"}})
    await mesh.settle()
    assert condition(mesh, "Repository", "acme", "shop") == said
    assert "R0VIRUlN" not in str(mesh.kube.read("Repository", "acme", "shop"))


async def test_a_secret_that_comes_later_is_found(mesh: Any) -> None:
    spec = {"url": "https://git.example/x.git", "authSecretRef": {"name": "s"}}
    await mesh.make(REPOSITORY, "shop", spec=spec)
    await mesh.settle()
    await mesh.kube.create(
        SECRET, "acme", {"metadata": {"name": "s"}, "data": {"password": "eA=="}}
    )
    await mesh.settle(seconds=30)
    assert condition(mesh, "Repository", "acme", "shop") == ("True", "Ready")


@pytest.mark.parametrize(
    ("age", "spec", "said"),
    [
        pytest.param(0, {"tokenHash": HASH}, ("True", "Ready"), id="fresh"),
        pytest.param(0, {}, ("False", "NoToken"), id="without a token"),
        pytest.param(1000, {"tokenHash": HASH}, ("False", "Expired"), id="expired"),
        pytest.param(100_000, {"tokenHash": HASH}, None, id="expired more than a day ago"),
    ],
)
async def test_an_enrolment_ends(mesh: Any, age: float, spec: Any, said: Any) -> None:
    created = {"creationTimestamp": stamp(wall() - age)}
    await mesh.make(RUNNER_ENROLLMENT, "r1", spec=spec, metadata=created)
    await mesh.settle()
    there = ("RunnerEnrollment", "acme", "r1") in mesh.kube.objects
    assert there is (said is not None)
    if there:
        assert condition(mesh, "RunnerEnrollment", "acme", "r1") == said
        assert mesh.kube.read("RunnerEnrollment", "acme", "r1")["status"]["remaining"] == 1


async def test_an_enrolment_that_was_used_is_exhausted(mesh: Any) -> None:
    created = {"creationTimestamp": stamp(wall())}
    await mesh.make(RUNNER_ENROLLMENT, "r1", spec={"tokenHash": HASH}, metadata=created)
    use = {"runnerName": "r1", "publicKeySha256": HASH, "at": stamp(wall())}
    status = {"status": {"uses": [use]}}
    await mesh.kube.patch(RUNNER_ENROLLMENT, "acme", "r1", status, subresource="status")
    await mesh.settle()
    assert condition(mesh, "RunnerEnrollment", "acme", "r1") == ("True", "Exhausted")
    conditions = mesh.kube.read("RunnerEnrollment", "acme", "r1")["status"]["conditions"]
    assert [item["type"] for item in conditions] == ["Ready"]
    assert conditions[0]["message"] == "used by r1: make a new one for another runner"
    assert mesh.kube.read("RunnerEnrollment", "acme", "r1")["status"]["uses"] == [use]


def certificate(until: float) -> dict[str, Any]:
    moment = stamp(wall() - 10)
    said = {"serial": "1", "fingerprint": "f", "notBefore": moment, "issuedAt": moment}
    return {"status": {"certificate": said | {"notAfter": stamp(until)}}}


async def test_a_runner_tells_its_life(mesh: Any) -> None:
    runner = await mesh.runner()

    def phase() -> str:
        return str(mesh.kube.read("Runner", "acme", "r1")["status"]["phase"])

    await mesh.settle(seconds=60)
    assert phase() == "Pending"
    assert condition(mesh, "Runner", "acme", "r1") == ("False", "NotEnrolled")
    valid = certificate(wall() + 3600)
    await mesh.kube.patch(RUNNER, "acme", "r1", valid, subresource="status")
    runner.connect()
    await mesh.settle()
    assert phase() == "Online"
    assert condition(mesh, "Runner", "acme", "r1") == ("True", "Online")
    runner.disconnect()
    await mesh.settle(seconds=60)
    assert phase() == "Offline"
    assert condition(mesh, "Runner", "acme", "r1") == ("Unknown", "Disconnected")
    await mesh.kube.patch(RUNNER, "acme", "r1", {"spec": {"suspend": True}})
    await mesh.settle()
    assert phase() == "Banned"
    kept = mesh.kube.read("Runner", "acme", "r1")["status"]["certificate"]
    assert kept == valid["status"]["certificate"]


async def test_heartbeats_write_nothing(mesh: Any) -> None:
    (await mesh.runner()).connect()
    await mesh.settle(seconds=60)
    writes = len(mesh.kube.writes)
    await mesh.settle(seconds=600)
    assert len(mesh.kube.writes) == writes


async def test_a_certificate_that_ended_is_told(mesh: Any) -> None:
    await mesh.runner()
    ended = certificate(wall() - 1)
    await mesh.kube.patch(RUNNER, "acme", "r1", ended, subresource="status")
    await mesh.settle()
    assert condition(mesh, "Runner", "acme", "r1", "CertificateValid") == ("False", "Expired")
    assert condition(mesh, "Runner", "acme", "r1") == ("False", "Expired")


async def test_the_smaller_limit_of_runner_and_owner_counts(mesh: Any) -> None:
    runner = await mesh.runner(capacity={"maxPods": 7})
    runner.connect()
    await mesh.settle()
    assert mesh.kube.read("Runner", "acme", "r1")["status"]["maxPods"] == 7
