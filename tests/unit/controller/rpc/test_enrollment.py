"""Enrolment over real TLS: a token works once, for one key, in one organization."""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from meshwire.v1 import link_pb2, link_pb2_grpc

from controller.kube.errors import Unavailable, from_status
from controller.rpc.ports import RunnerKey
from schemas.names import CA_ROOT_SECRET, RUNNER, RUNNER_ENROLLMENT, SECRET
from tests.unit.controller.rpc.world import (
    ORG,
    Holder,
    World,
    chain,
    csr,
    hello,
    new_key,
    now_ms,
    read,
    refused,
    world,
)

pytestmark = pytest.mark.anyio

Code = grpc.StatusCode


@pytest.fixture
async def mesh() -> AsyncIterator[World]:
    async with world() as found:
        yield found


async def _uses(mesh: World, name: str = "laptop") -> list[dict[str, Any]]:
    found = await mesh.kube.get(RUNNER_ENROLLMENT, ORG, name)
    return found.get("status", {}).get("uses", [])


async def test_a_token_becomes_a_runner_with_one_uri_for_a_name(mesh: World) -> None:
    answer = await mesh.enroll(await mesh.token(runnerLabels={"gpu": "no"}))
    leaf = x509.load_der_x509_certificate(answer.chain_der[0])
    runner = await mesh.kube.get(RUNNER, ORG, "laptop")
    identity = f"spiffe://agentsmesh.local/ns/acme/runner/laptop/{runner['metadata']['uid']}"
    assert answer.spiffe_id == identity
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier(identity)]
    assert runner["metadata"]["labels"] == {"gpu": "no"}
    record = runner["status"]["certificate"]
    assert record["serial"] == f"{leaf.serial_number:032x}"
    assert record["fingerprint"] == hashlib.sha256(answer.chain_der[0]).hexdigest()
    assert answer.control_endpoints == [f"127.0.0.1:{mesh.ports.runner}"]
    assert time.time() + 0.49 * 86400 < answer.renew_after_unix < time.time() + 0.67 * 86400
    (use,) = await _uses(mesh)
    assert use["runnerUid"] == answer.runner_uid
    assert use["remoteAddress"] == "127.0.0.1"


async def test_the_roots_are_for_everybody_and_match_the_pin(mesh: World) -> None:
    stub = link_pb2_grpc.EnrollmentStub(await mesh.public())
    bundle = await stub.GetBundle(link_pb2.GetBundleRequest(), timeout=5)
    (root,) = bundle.roots_der
    assert x509.load_der_x509_certificate(root) == mesh.authority.root.certificate
    assert bundle.sequence > 0


async def test_a_token_works_once(mesh: World) -> None:
    token = await mesh.token(runnerName=None, runnerNamePrefix="m-")
    await mesh.enroll(token, requested_name="m-1")
    code, text = await refused(mesh.enroll(token, requested_name="m-2"))
    assert (code, len(await _uses(mesh))) == (Code.UNAUTHENTICATED, 1)
    assert ("Runner", ORG, "m-2") not in mesh.kube.objects
    assert mesh.recorder.reasons == ["TokenReplayed"]
    assert token not in text + str(mesh.recorder.events)


async def test_a_token_is_not_used_up_where_a_quota_has_no_room_for_a_runner(mesh: World) -> None:
    token = await mesh.token()

    def full(verb: str, resource: Any, name: str) -> None:
        if (verb, resource) == ("create", RUNNER):
            said = f'runners.agentsmesh.io "{name}" is forbidden: exceeded quota: q, requested: …'
            raise from_status(403, {"reason": "Forbidden", "message": said})

    mesh.kube.before = full
    code, text = await refused(mesh.enroll(token))
    assert (code, "spec.quota.runners" in text) == (Code.RESOURCE_EXHAUSTED, True)
    assert await _uses(mesh) == []
    mesh.kube.before = lambda *_: None  # somebody has deleted one
    assert (await mesh.enroll(token)).chain_der  # of another key
    assert len(await _uses(mesh)) == 1


async def test_of_many_at_once_exactly_as_many_get_in_as_there_are_uses(mesh: World) -> None:
    token = await mesh.token(runnerName=None, maxUses=2)
    answers = await asyncio.gather(
        *(mesh.enroll(token, requested_name=f"r{i}") for i in range(6)), return_exceptions=True
    )
    good = [one for one in answers if isinstance(one, link_pb2.EnrollResponse)]
    assert len(good) == 2
    assert len(await _uses(mesh)) == 2


async def test_a_use_lost_to_another_writer_is_decided_anew(mesh: World) -> None:
    token = await mesh.token()
    races = iter(range(2))

    def race(verb: str, resource: Any, name: str) -> None:
        if (verb, resource) == ("patch", RUNNER_ENROLLMENT) and next(races, None) is not None:
            stored = mesh.kube.objects[("RunnerEnrollment", ORG, name)]
            stored["metadata"]["resourceVersion"] += "0"

    mesh.kube.before = race
    assert (await mesh.enroll(token)).chain_der
    assert len(await _uses(mesh)) == 1


@pytest.mark.parametrize("resource", [RUNNER, RUNNER_ENROLLMENT])
async def test_a_rival_that_writes_for_a_tenth_of_a_second_is_outlasted(
    mesh: World, resource: Any
) -> None:
    """The reconciler writes to a new Runner at the very moment when it gets its certificate."""
    token = await mesh.token()
    tried: list[float] = []

    def race(verb: str, about: Any, name: str) -> None:
        if (verb, about) != ("patch", resource):
            return
        tried.append(time.monotonic())
        if tried[-1] - tried[0] < 0.1:
            mesh.kube.objects[(about.kind, ORG, name)]["metadata"]["resourceVersion"] += "0"

    mesh.kube.before = race
    assert (await mesh.enroll(token)).chain_der
    assert len(tried) > 1
    assert len(await _uses(mesh)) == 1


async def test_a_rival_that_never_rests_is_told_to_the_caller(mesh: World) -> None:
    token = await mesh.token()

    def race(verb: str, about: Any, name: str) -> None:
        if (verb, about) == ("patch", RUNNER):
            mesh.kube.objects[("Runner", ORG, name)]["metadata"]["resourceVersion"] += "0"

    mesh.kube.before = race
    code, text = await refused(mesh.enroll(token))
    assert (code, text) == (Code.UNAVAILABLE, "the Runner changes all the time: try again")


REFUSED_ALIKE = [
    pytest.param({"token": "amjt_laptop." + "A" * 43}, id="another secret"),
    pytest.param({"token": "amjt_nobody." + "A" * 43}, id="an unknown enrolment"),
    pytest.param({"token": "rubbish"}, id="no token at all"),
    pytest.param({"token": "amjt_../x." + "A" * 43}, id="a path"),
    pytest.param({"token": ""}, id="an empty token"),
    pytest.param({"namespace": "globex"}, id="another organization"),
    pytest.param({"namespace": "../acme"}, id="a namespace that is a path"),
    pytest.param({"namespace": ""}, id="no namespace"),
]


@pytest.mark.parametrize("changes", REFUSED_ALIKE)
async def test_bad_tokens_are_refused_with_one_sentence(
    mesh: World, changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    token = await mesh.token()
    with caplog.at_level(logging.DEBUG):
        code, text = await refused(mesh.enroll(**({"token": token} | changes)))
    assert code == Code.UNAUTHENTICATED
    assert text.startswith("the join token is not valid here")
    assert await _uses(mesh) == []
    assert token not in caplog.text
    assert "AAAA" not in caplog.text


async def test_expired_and_deleted_enrolments_are_refused_with_the_same_sentence(
    mesh: World,
) -> None:
    short = await mesh.token("short", ttlSeconds=1)
    stored = mesh.kube.objects[("RunnerEnrollment", ORG, "short")]
    stored["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    going = await mesh.token("going")
    stored = mesh.kube.objects[("RunnerEnrollment", ORG, "going")]
    stored["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    hashless = await mesh.token("hashless", tokenHash=None)
    answers = {await refused(mesh.enroll(token)) for token in (short, going, hashless)}
    assert len(answers) == 1
    assert answers.pop()[0] == Code.UNAUTHENTICATED
    assert mesh.recorder.reasons == ["TokenExpired"]


async def test_the_same_key_may_come_again_and_another_may_not(mesh: World) -> None:
    token, key = await mesh.token(), new_key()
    first = await mesh.enroll(token, csr_der=csr(key))
    again = await mesh.enroll(token, csr_der=csr(key))
    assert again.runner_uid == first.runner_uid
    assert again.chain_der[0] != first.chain_der[0]
    assert len(await _uses(mesh)) == 1
    assert (await refused(mesh.enroll(token)))[0] == Code.UNAUTHENTICATED
    stored = mesh.kube.objects[("RunnerEnrollment", ORG, "laptop")]
    stored["status"]["uses"][0]["at"] = "2026-01-01T00:00:00Z"  # more than two minutes ago
    assert (await refused(mesh.enroll(token, csr_der=csr(key))))[0] == Code.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        pytest.param("patch", RUNNER_ENROLLMENT, id="after the claim"),
        pytest.param("create", RUNNER, id="after the Runner was created"),
        pytest.param("patch", RUNNER, id="after the certificate was recorded"),
    ],
)
async def test_a_failure_after_any_write_is_repaired_by_the_same_key(
    mesh: World, verb: str, kind: Any
) -> None:
    token, key = await mesh.token(), new_key()
    lost = iter([True])

    def lose(done: str, resource: Any, _: str) -> None:
        if (done, resource) == (verb, kind) and next(lost, False):
            raise Unavailable("the answer was lost")

    mesh.kube.after = lose
    assert (await refused(mesh.enroll(token, csr_der=csr(key))))[0] == Code.UNAVAILABLE
    answer = await mesh.enroll(token, csr_der=csr(key))
    assert len(await _uses(mesh)) == 1
    holder = Holder(key, chain(answer.chain_der), RunnerKey(ORG, "laptop", answer.runner_uid))
    call = (await mesh.control(holder)).Connect()
    await call.write(link_pb2.RunnerMessage(goodbye=link_pb2.Goodbye()))
    assert await call.code() == Code.INVALID_ARGUMENT  # let in, and told that Hello is missing


async def test_a_name_that_is_taken_needs_an_enrolment_that_says_replace(mesh: World) -> None:
    owner = await mesh.runner("laptop")
    before = await mesh.status(owner)
    free = await mesh.token("free", runnerName=None)
    named = await mesh.token("named", runnerName="laptop")
    for token in (free, named):
        code, text = await refused(mesh.enroll(token, requested_name="laptop"))
        assert (code, "exists already" in text) == (Code.ALREADY_EXISTS, True)
    assert await mesh.status(owner) == before
    assert mesh.recorder.reasons == ["EnrolmentRefused"] * 2
    assert await _uses(mesh, "free") == []  # not used up by the attempt

    replacing = await mesh.token("replacing", runnerName="laptop", replace=True)
    answer = await mesh.enroll(replacing)
    assert answer.runner_uid == owner.runner.uid
    assert "previousCertificate" not in await mesh.status(owner)
    call = (await mesh.control(owner)).Connect()
    assert await call.code() == Code.PERMISSION_DENIED


async def test_a_runner_made_beforehand_is_for_the_enrolment_that_names_it(mesh: World) -> None:
    await mesh.kube.create(RUNNER, ORG, {"metadata": {"name": "laptop"}, "spec": {}})
    free = await mesh.token("free", runnerName=None)
    code, _ = await refused(mesh.enroll(free, requested_name="laptop"))
    assert code == Code.ALREADY_EXISTS
    named = await mesh.token("named", runnerName="laptop")
    assert (await mesh.enroll(named)).chain_der


@pytest.mark.parametrize("change", [{"spec": {"suspend": True}}, None])
async def test_a_suspended_or_vanishing_runner_cannot_be_enrolled(
    mesh: World, change: dict[str, Any] | None
) -> None:
    manifest = {"metadata": {"name": "laptop", "finalizers": ["x/y"]}, "spec": {}}
    await mesh.kube.create(RUNNER, ORG, manifest)
    if change:
        await mesh.kube.patch(RUNNER, ORG, "laptop", change)
    else:
        await mesh.kube.delete(RUNNER, ORG, "laptop")
    code, text = await refused(mesh.enroll(await mesh.token(replace=True)))
    assert code in {Code.PERMISSION_DENIED, Code.FAILED_PRECONDITION}
    assert "suspended" in text or "being deleted" in text


async def test_a_key_in_use_by_another_runner_is_refused(mesh: World) -> None:
    first = await mesh.runner("one")
    token = await mesh.token("two")
    code, text = await refused(mesh.enroll(token, csr_der=csr(first.key)))
    assert (code, "make a new key" in text) == (Code.PERMISSION_DENIED, True)
    assert ("Runner", ORG, "two") not in mesh.kube.objects


@pytest.mark.parametrize(
    ("spec", "requested", "good"),
    [
        pytest.param({"runnerName": "laptop"}, "other", None, id="not the name of the token"),
        pytest.param({"runnerNamePrefix": "m-"}, "x-1", None, id="not the prefix of the token"),
        pytest.param({}, "", None, id="no name where one must be chosen"),
        pytest.param({}, "Laptop_1", None, id="not a name of a resource"),
        pytest.param({}, "../x", None, id="a path"),
        pytest.param({"runnerNamePrefix": "m-"}, "m-7", "m-7", id="with the prefix"),
        pytest.param({}, "anything", "anything", id="any name"),
    ],
)
async def test_the_enrolment_decides_on_the_name(
    mesh: World, spec: dict[str, Any], requested: str, good: str | None
) -> None:
    token = await mesh.token(**({"runnerName": None} | spec))
    if good is None:
        code, _ = await refused(mesh.enroll(token, requested_name=requested))
        assert (code, await _uses(mesh)) == (Code.INVALID_ARGUMENT, [])
    else:
        answer = await mesh.enroll(token, requested_name=requested)
        assert answer.spiffe_id.split("/")[-2] == good


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(ec.generate_private_key(ec.SECP256R1()), id="P-256"),
        pytest.param(ec.generate_private_key(ec.SECP384R1()), id="P-384"),
        pytest.param(rsa.generate_private_key(65537, 3072), id="RSA of 3072 bits"),
    ],
)
async def test_every_kind_of_key_that_is_signed_can_also_connect(mesh: World, key: Any) -> None:
    answer = await mesh.enroll(await mesh.token(), csr_der=csr(key))
    holder = Holder(key, chain(answer.chain_der), RunnerKey(ORG, "laptop", answer.runner_uid))
    call = (await mesh.control(holder)).Connect()
    await call.write(hello())
    assert (await read(call)).WhichOneof("msg") == "welcome"


async def test_a_bad_request_for_a_good_token_costs_no_use(mesh: World) -> None:
    token = await mesh.token()
    code, _ = await refused(mesh.enroll(token, csr_der=b"rubbish"))
    assert code == Code.INVALID_ARGUMENT
    assert (await mesh.enroll(token)).chain_der


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_clock_that_is_ten_minutes_off_is_refused_with_both_clocks(
    mesh: World, minutes: int
) -> None:
    token = await mesh.token()
    theirs = now_ms() + minutes * 60_000
    code, text = await refused(mesh.enroll(token, wall_clock_unix_ms=theirs))
    assert (code, await _uses(mesh)) == (Code.FAILED_PRECONDITION, [])
    for moment in (theirs / 1000, time.time()):
        assert time.strftime("%Y-%m-%dT%H:%M", time.gmtime(moment)) in text
    assert (await mesh.enroll(token, wall_clock_unix_ms=now_ms() + 4 * 60_000)).chain_der


async def test_a_clock_of_nonsense_is_refused_too(mesh: World) -> None:
    token = await mesh.token()
    code, _ = await refused(mesh.enroll(token, wall_clock_unix_ms=2**62))
    assert code == Code.FAILED_PRECONDITION


async def test_an_address_that_tries_too_often_has_to_wait(mesh: World) -> None:
    stub = link_pb2_grpc.EnrollmentStub(await mesh.public())
    bad = link_pb2.EnrollRequest(namespace=ORG, token="rubbish")
    codes = [(await refused(stub.Enroll(bad, timeout=5)))[0] for _ in range(30)]
    assert codes[0] == Code.UNAUTHENTICATED
    assert codes[-1] == Code.RESOURCE_EXHAUSTED


async def test_a_lost_ca_stops_enrolment_with_its_sentence_and_no_use_is_lost(
    mesh: World,
) -> None:
    await mesh.runner("first")
    await mesh.kube.delete(SECRET, "agentsmesh-system", CA_ROOT_SECRET)
    with pytest.raises(Exception, match="is lost"):
        await mesh.authority.refresh()
    token = await mesh.token("second")
    code, text = await refused(mesh.enroll(token))
    assert (code, CA_ROOT_SECRET in text) == (Code.UNAVAILABLE, True)
    assert await _uses(mesh, "second") == []


async def test_nothing_secret_is_logged_in_a_whole_enrolment(
    mesh: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        token = await mesh.token()
        await mesh.enroll(token)
    records = " ".join(str(record.__dict__) for record in caplog.records)
    assert token.partition(".")[2] not in records
    assert "PRIVATE" not in records
