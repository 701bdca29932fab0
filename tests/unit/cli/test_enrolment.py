"""Join tokens are made here and known elsewhere by their hash alone."""

import datetime as dt
import hashlib
import re
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cli import enrolment
from cli.api import Api
from cli.errors import CommandError, NotAllowed, NotFound
from cli.kubeconfig import Target
from runner.link.pin import is_pin, pin_of
from tests.unit.cli.served import Served, serve

BASE = "/apis/agentsmesh.io/v1alpha1/namespaces/acme/runnerenrollments"
BUNDLE = "/api/v1/namespaces/acme/configmaps/agentsmesh-trust-bundle"


@pytest.fixture
def served() -> Iterator[Served]:
    with serve() as server:
        server.answers[BASE] = (201, {})
        yield server


@pytest.fixture
def api(served: Served) -> Api:
    return Api(Target(server=served.address))


def test_the_token_goes_to_nobody_but_the_caller(api: Api, served: Served):
    ticket = enrolment.create(api, "acme", "gpu-1", ttl_seconds=60)
    assert re.fullmatch(r"amjt_gpu-1-[a-z0-9]{5}\.[A-Za-z0-9_-]{43}", ticket.token)
    sent = served.asked[0].body
    assert sent["metadata"] == {"name": ticket.name, "namespace": "acme"}
    assert sent["spec"] == {
        "runnerName": "gpu-1",
        "ttlSeconds": 60,
        "maxUses": 1,
        "tokenHash": hashlib.sha256(ticket.token.encode()).hexdigest(),
    }
    assert ticket.token not in str(sent)
    assert ticket.token not in repr(ticket)


def test_two_tokens_for_one_runner_do_not_collide(api: Api):
    first, second = (enrolment.create(api, "acme", "gpu-1", replace=True) for _ in range(2))
    assert first.name != second.name


def test_a_long_name_still_makes_a_valid_one(api: Api):
    ticket = enrolment.create(api, "acme", "r" * 56 + "-" + "x" * 6)
    assert len(ticket.name) <= 63
    assert "--" not in ticket.name


def test_the_pin_is_the_one_that_runners_check(api: Api, served: Served):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
    now = dt.datetime.now(dt.UTC)
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    served.answers[BUNDLE] = (
        200,
        {
            "data": {
                "ca.crt": root.public_bytes(Encoding.PEM).decode(),
                "publicEndpoint": "127.0.0.1:7444",
                "runnerEndpoint": "127.0.0.1:7443",
            }
        },
    )
    doors = enrolment.doors(api, "acme")
    assert (doors.enrolment, doors.runners) == ("127.0.0.1:7444", "127.0.0.1:7443")
    assert is_pin(doors.pin())
    assert doors.pin() == pin_of(root.public_bytes(Encoding.DER))


def test_a_namespace_without_a_controller_is_said(api: Api):
    with pytest.raises(NotFound, match="belongs to no Organization"):
        enrolment.doors(api, "acme")


def test_half_a_bundle_is_none(api: Api, served: Served):
    served.answers[BUNDLE] = (200, {"data": {"ca.crt": "x"}})
    with pytest.raises(CommandError, match="incomplete"):
        enrolment.doors(api, "acme")


def test_who_may_not_read_the_trust_bundle_is_told_its_name(api: Api, served: Served):
    served.answers[BUNDLE] = (403, {"message": "forbidden"})
    with pytest.raises(NotAllowed) as caught:
        enrolment.doors(api, "acme")
    for word in ("ConfigMap agentsmesh-trust-bundle", "acme", "agentsmesh-viewer", "forbidden"):
        assert word in str(caught.value)
