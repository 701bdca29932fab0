"""Who may call what: complete, and enforced for every RPC and every kind of caller (PKI-18)."""

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from meshwire.v1 import link_pb2

from controller.pki.signer import Signer, new_issuing, new_root
from controller.pki.stored import signer_of
from controller.rpc.admission import read_peer
from controller.rpc.policy import ALLOWED, Principal
from controller.rpc.refusal import Refusal
from schemas.names import CA_ISSUING_SECRET, RUNNER, SECRET
from tests.unit.controller.rpc.world import (
    ORG,
    Holder,
    World,
    csr,
    ends,
    hello,
    new_key,
    now_ms,
    read,
    refused,
    world,
)

pytestmark = pytest.mark.anyio

Code = grpc.StatusCode
NOW = datetime.now(UTC)

ATTACH = "/meshwire.v1.Attach/Attach"
RUNNER_RPCS = sorted(rpc for rpc, who in ALLOWED.items() if who is Principal.RUNNER)


@pytest.fixture
async def mesh() -> AsyncIterator[World]:
    async with world() as found:
        yield found


def test_every_rpc_has_exactly_one_policy_line() -> None:
    methods = {
        f"/{service.full_name}/{method.name}"
        for service in link_pb2.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert set(ALLOWED) == methods


def test_every_rpc_has_a_shape_that_the_gatekeeper_wraps() -> None:
    for service in link_pb2.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            assert method.server_streaming or not method.client_streaming, method.full_name


def test_a_stream_of_a_runner_takes_messages_so_that_it_is_watched() -> None:
    for service in link_pb2.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            rpc = f"/{service.full_name}/{method.name}"
            if method.server_streaming and ALLOWED[rpc] is Principal.RUNNER:
                assert method.client_streaming, rpc


async def _issuer(mesh: World) -> Signer:
    return signer_of(await mesh.kube.get(SECRET, "agentsmesh-system", CA_ISSUING_SECRET))


def _forged(
    issuer: Signer,
    identity: str,
    *,
    names: tuple[x509.GeneralName, ...] | None = None,
    usage: tuple[Any, ...] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
    cn: str = "",
    ended: bool = False,
) -> Holder:
    """Sign whatever is asked for: what a stolen or careless CA could."""
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)] if cn else [])
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer.certificate.subject)
        .serial_number(x509.random_serial_number())
        .public_key(key.public_key())
        .not_valid_before(NOW - timedelta(minutes=4))
        .not_valid_after(NOW - timedelta(minutes=1) if ended else NOW + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(usage)), critical=False)
    names = (x509.UniformResourceIdentifier(identity),) if names is None else names
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    leaf = builder.sign(issuer.key, hashes.SHA256())
    return Holder(key, leaf.public_bytes(serialization.Encoding.PEM) + issuer.certificate_pem())


def _uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


Forge = Callable[[Signer, str], Holder | None]

CALLERS: dict[str, Forge] = {
    "no certificate": lambda _issuer, _id: None,
    "a foreign CA": lambda _issuer, own: _forged(
        new_issuing(new_root(NOW, timedelta(days=1)), NOW, timedelta(days=1)), own
    ),
    "an expired certificate": lambda issuer, own: _forged(issuer, own, ended=True),
    "a common name alone": lambda issuer, own: _forged(issuer, own, names=(), cn="laptop"),
    "two URIs": lambda issuer, own: _forged(
        issuer, own, names=(_uri(own), _uri(own.replace("laptop", "x")))
    ),
    "the same URI twice": lambda issuer, own: _forged(issuer, own, names=(_uri(own), _uri(own))),
    "a URI and a DNS name": lambda issuer, own: _forged(
        issuer, own, names=(_uri(own), x509.DNSName("laptop"))
    ),
    "a DNS name alone": lambda issuer, own: _forged(issuer, own, names=(x509.DNSName("laptop"),)),
    "usage of a server": lambda issuer, own: _forged(
        issuer, own, usage=(ExtendedKeyUsageOID.SERVER_AUTH,)
    ),
    "both usages": lambda issuer, own: _forged(
        issuer, own, usage=(ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)
    ),
    "no usage": lambda issuer, own: _forged(issuer, own, usage=()),
    "another trust domain": lambda issuer, own: _forged(
        issuer, own.replace("agentsmesh.local", "evil.example")
    ),
    "a longer path": lambda issuer, own: _forged(issuer, own + "/x"),
    "another uid": lambda issuer, own: _forged(issuer, own + "0"),
    "another organization": lambda issuer, own: _forged(issuer, own.replace("/acme/", "/globex/")),
    "an unknown serial": _forged,
}


async def _call(mesh: World, rpc: str, holder: Holder | None) -> tuple[grpc.StatusCode, str]:
    """Call the RPC as the holder and return the answer's status."""
    channel = await mesh.runner_port(holder)
    service, name = rpc.strip("/").split("/")
    shape = link_pb2.DESCRIPTOR.services_by_name[service.rpartition(".")[2]].methods_by_name[name]
    request = getattr(link_pb2, shape.input_type.name)
    if shape.client_streaming:
        call = channel.stream_stream(rpc, request_serializer=request.SerializeToString)(timeout=0.7)
        return await ends(call)
    method = channel.unary_unary(rpc, request_serializer=request.SerializeToString)
    return await refused(method(request(), timeout=5))


async def _forge(mesh: World, forge: Forge, *, recorded: bool) -> Holder | None:
    """Forge a certificate for the runner; if *recorded* its serial is the one in force.

    So that nothing but the flaw itself can be the reason for a refusal.
    """
    owner = await mesh.runner("laptop")
    names = owner.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    holder = forge(await _issuer(mesh), next(iter(names)).value)
    if holder is not None and recorded:
        status = {"certificate": {"serial": f"{holder.certificate.serial_number:032x}"}}
        await mesh.kube.patch(RUNNER, ORG, "laptop", {"status": status}, subresource="status")
    return holder


@pytest.mark.parametrize("rpc", RUNNER_RPCS)
@pytest.mark.parametrize("who", CALLERS)
async def test_nobody_but_the_runner_of_a_certificate_in_force_gets_in(
    mesh: World, rpc: str, who: str
) -> None:
    holder = await _forge(mesh, CALLERS[who], recorded=who != "an unknown serial")
    code, _ = await _call(mesh, rpc, holder)
    # at the handshake a caller sees only that there is no connection
    assert code in {Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.UNAVAILABLE}
    assert mesh.placement.online == set()
    assert mesh.recorder.reasons == (
        ["SupersededCertificate"] if who == "an unknown serial" else []
    )


@pytest.mark.parametrize("rpc", RUNNER_RPCS)
async def test_a_forged_certificate_without_any_flaw_would_get_in(mesh: World, rpc: str) -> None:
    holder = await _forge(mesh, _forged, recorded=True)
    if rpc.endswith("/Call"):
        method = (await mesh.runner_port(holder)).unary_unary(rpc)
        result = link_pb2.ToolResult.FromString(await method(b"", timeout=5))
        assert result.failure.reason == "Forbidden"
        return
    code, text = await _call(mesh, rpc, holder)
    let_in = {
        "Renew": (Code.FAILED_PRECONDITION, "clocks differ"),
        "FetchSecrets": (Code.PERMISSION_DENIED, "not placed on this runner"),
        "Connect": (Code.DEADLINE_EXCEEDED, ""),
        "Serve": (Code.DEADLINE_EXCEEDED, ""),
    }[rpc.rpartition("/")[2]]
    assert code == let_in[0]
    assert let_in[1] in text


@pytest.mark.parametrize("rpc", RUNNER_RPCS)
async def test_the_runners_rpcs_are_not_served_on_the_public_port(mesh: World, rpc: str) -> None:
    method = (await mesh.public()).unary_unary(rpc)
    assert (await refused(method(b"", timeout=5)))[0] == Code.UNIMPLEMENTED


async def test_nothing_is_placed_on_another_runner_by_what_a_message_says(mesh: World) -> None:
    """Own runner, another one of the organization, one of another organization."""
    owner, neighbour = await mesh.runner("laptop"), await mesh.runner("other")
    stranger = await mesh.runner("laptop2", "globex")
    place = mesh.pod(owner.runner)
    ref = link_pb2.PodRef(pod_uid=place.uid, epoch=1)
    request = link_pb2.FetchSecretsRequest(ref=ref)
    await (await mesh.control(owner)).FetchSecrets(request, timeout=5)
    for holder in (neighbour, stranger):
        stub = await mesh.control(holder)
        code, _ = await refused(stub.FetchSecrets(request, timeout=5))
        assert code == Code.PERMISSION_DENIED

        renewal = link_pb2.RenewRequest(csr_der=csr(new_key()), wall_clock_unix_ms=now_ms())
        answer = await stub.Renew(renewal, timeout=5)
        leaf = x509.load_der_x509_certificate(answer.chain_der[0])
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert next(iter(names)).value.endswith(holder.runner.uid)

        call = (await mesh.control(holder)).Connect(timeout=10)
        await call.write(hello(runner_uid=owner.runner.uid))
        await read(call, "welcome")
        assert holder.runner in mesh.placement.online
        assert owner.runner not in mesh.placement.online


async def test_a_person_needs_a_token_that_the_api_server_knows(mesh: World) -> None:
    mesh.kube.tokens["good"] = object()  # type: ignore[assignment]  # only its presence matters
    channel = await mesh.public()
    for metadata in [
        (),
        (("authorization", "Bearer "),),
        (("authorization", "Basic good"),),
        (("authorization", "Bearer unknown"),),
    ]:
        call = channel.stream_stream(ATTACH)(metadata=metadata, timeout=5)
        assert (await ends(call))[0] == Code.UNAUTHENTICATED


async def _hung_up(call: Any) -> grpc.StatusCode:
    """Return the status of a call that says nothing."""
    with contextlib.suppress(grpc.aio.AioRpcError):
        await call.done_writing()
    return (await ends(call))[0]


async def test_a_stranger_with_many_tokens_has_to_wait_and_costs_the_api_server_nothing(
    mesh: World,
) -> None:
    channel = await mesh.public()
    codes = []
    for number in range(30):
        metadata = (("authorization", f"Bearer {number}"),)
        call = channel.stream_stream(ATTACH)(metadata=metadata, timeout=5)
        codes.append(await _hung_up(call))
    assert codes[-1] == Code.RESOURCE_EXHAUSTED
    assert mesh.kube.reviews < 25


def test_an_older_tls_is_refused() -> None:
    with pytest.raises(Refusal, match=r"TLS 1\.3"):
        read_peer({"ssl_tls_version": [b"TLSv1.2"], "x509_pem_cert": [b""]}, "agentsmesh.local")


async def test_the_connection_really_says_that_it_is_tls_1_3(mesh: World) -> None:
    call = (await mesh.control(await mesh.runner())).Connect(timeout=5)
    await call.write(hello())
    assert (await read(call, "welcome")).protocol == 1
