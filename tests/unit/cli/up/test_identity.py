"""When the local runner needs a join token."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cli.api import Api
from cli.errors import Unreachable
from cli.kubeconfig import Target
from cli.up.identity import why_not
from tests.unit.cli.served import Served, serve

NOW = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
RUNNER = "/apis/agentsmesh.io/v1alpha1/namespaces/default/runners/local"


class Authority:
    """A root that signs leaves."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
        self.root = self._sign(self._name, self._key, NOW + dt.timedelta(days=999))

    def leaf(self, days: float, begin: float = -9) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        return self._sign(x509.Name([]), key, NOW + dt.timedelta(days=days), begin)

    def _sign(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        until: dt.datetime,
        begin: float = -9,
    ) -> bytes:
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self._name)
        builder = builder.public_key(key.public_key()).serial_number(7)
        builder = builder.not_valid_before(NOW + dt.timedelta(days=begin)).not_valid_after(until)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def served() -> Iterator[Served]:
    with serve() as server:
        server.answers[RUNNER] = (200, {"metadata": {"uid": "u1"}})
        yield server


@pytest.fixture
def reason(tmp_path: Path, authority: Authority, served: Served) -> Any:
    def ask(leaf: bytes | None, roots: bytes = authority.root) -> str:
        if leaf is not None:
            (tmp_path / "cert.pem").write_bytes(leaf)
        about = json.dumps({"uid": "u1", "name": "local"})
        (tmp_path / "runner.json").write_text(about, encoding="utf-8")
        api = Api(Target(server=served.address))
        return why_not(tmp_path, roots, api, "default", NOW.timestamp())

    return ask


def test_a_valid_certificate_of_a_runner_that_exists_is_enough(reason: Any, authority: Authority):
    assert reason(authority.leaf(1)) == ""


def test_no_certificate_is_not(reason: Any):
    assert reason(None) == "it has no certificate"


def test_an_expired_one_is_not(reason: Any, authority: Authority):
    assert reason(authority.leaf(-1)) == "its certificate has expired"


def test_one_that_a_clock_set_back_has_made_future_is_not(reason: Any, authority: Authority):
    assert "not valid yet" in reason(authority.leaf(2, begin=1))


def test_one_from_another_authority_is_not(reason: Any):
    assert reason(Authority().leaf(1)) == "its certificate is from another authority"


def test_a_damaged_one_is_not(reason: Any):
    assert reason(b"-----BEGIN CERTIFICATE-----\nnonsense") == "its certificate cannot be read"


def test_a_runner_that_was_deleted_is_not(reason: Any, authority: Authority, served: Served):
    served.answers[RUNNER] = (404, {"message": "not found"})
    assert "no Runner local" in reason(authority.leaf(1))


def test_a_runner_that_was_made_anew_is_not(reason: Any, authority: Authority, served: Served):
    served.answers[RUNNER] = (200, {"metadata": {"uid": "u2"}})
    assert "made anew" in reason(authority.leaf(1))


def test_a_server_in_trouble_decides_nothing(reason: Any, authority: Authority, served: Served):
    served.answers[RUNNER] = (503, {"message": "starting"})
    with pytest.raises(Unreachable):
        reason(authority.leaf(1))
