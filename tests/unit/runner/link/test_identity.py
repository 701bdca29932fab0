import contextlib
import datetime as dt
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runner.link.identity import (
    About,
    Identity,
    IdentityStore,
    assemble,
    new_key,
    signing_request,
)

ABOUT = About("acme", "one", "u1", "spiffe://agentsmesh.local/ns/acme/runner/one/u1", 1)


def certificate(key_pem: bytes, seconds: float = 3600.0) -> bytes:
    """Return a certificate for the key as a server would make it from the request, DER."""
    request = x509.load_der_x509_csr(signing_request(key_pem))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    now = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    signer = ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(seconds=seconds))
        .sign(signer, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


def identity(seconds: float = 3600.0) -> Identity:
    key = new_key()
    made = certificate(key, seconds)
    return assemble(key, [made], [made], ABOUT)


def test_an_identity_comes_back_as_saved_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    store, saved = IdentityStore(tmp_path / "identity"), identity()
    store.save(saved)
    assert IdentityStore(tmp_path / "identity").load() == saved
    for path in (tmp_path / "identity").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "identity").stat().st_mode) == 0o700


@pytest.mark.parametrize("at", range(12))
def test_a_crash_at_any_moment_of_a_renewal_leaves_a_matching_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    store, old, new = IdentityStore(tmp_path), identity(), identity(7200.0)
    store.save(old)
    steps = 0

    class Died(BaseException):
        pass

    def dying(real: Any):  # noqa: ANN001, ANN202  wraps any function of the operating system
        def call(*args: Any, **kwargs: Any):  # noqa: ANN002, ANN003, ANN202  likewise
            nonlocal steps
            steps += 1
            if steps > at:
                raise Died
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr(os, "fsync", dying(os.fsync))
    monkeypatch.setattr(Path, "rename", dying(Path.rename))
    monkeypatch.setattr(Path, "unlink", dying(Path.unlink))
    with contextlib.suppress(Died):
        store.save(new)
    monkeypatch.undo()
    found = IdentityStore(tmp_path).load()
    assert found is not None
    assert found.serial in {old.serial, new.serial}
    assert found.key_pem == (old if found.serial == old.serial else new).key_pem
    store.save(new)
    after = IdentityStore(tmp_path).load()
    assert after is not None
    assert after.serial == new.serial


def test_a_certificate_for_another_key_is_refused() -> None:
    made = certificate(new_key())
    with pytest.raises(ValueError, match="not for this runner's key"):
        assemble(new_key(), [made], [made], ABOUT)


def test_the_key_to_enrol_with_stays_the_same_until_it_worked(tmp_path: Path) -> None:
    store = IdentityStore(tmp_path)
    first = store.enrolling_key()
    assert IdentityStore(tmp_path).enrolling_key() == first
    made = certificate(first)
    store.save(assemble(first, [made], [made], ABOUT))
    assert store.enrolling_key() != first


def test_the_request_names_nobody_and_holds_no_private_key() -> None:
    key = new_key()
    request = x509.load_der_x509_csr(signing_request(key))
    assert list(request.subject) == []
    assert request.is_signature_valid
    private = serialization.load_pem_private_key(key, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    secret = private.private_numbers().private_value.to_bytes(32, "big")
    assert secret not in signing_request(key)
    assert "PRIVATE" not in repr(identity())
