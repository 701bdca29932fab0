"""The serving certificate: made once, renewed in time, always from the same authority."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from cryptography import x509

from apiserver import clock, kubeconfig
from apiserver.auth.tokenfile import TokenFile
from apiserver.tls import ServingCertificate


def serial(directory: Path) -> int:
    return x509.load_pem_x509_certificate((directory / "server.crt").read_bytes()).serial_number


def test_the_certificate_is_made_once_and_only_its_owner_reads_the_keys(tmp_path: Path) -> None:
    directory = tmp_path / "tls"
    certificate = ServingCertificate(directory)
    assert certificate.ensure()
    assert not certificate.ensure()
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
    certificate.context()


def test_it_names_loopback_in_all_its_forms(tmp_path: Path) -> None:
    certificate = ServingCertificate(tmp_path / "tls")
    certificate.ensure()
    found = x509.load_pem_x509_certificate((tmp_path / "tls" / "server.crt").read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost"} <= set(names.get_values_for_type(x509.DNSName))
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert addresses == {"127.0.0.1", "::1"}


def test_it_is_renewed_before_it_expires_and_clients_need_not_notice(tmp_path: Path) -> None:
    certificate = ServingCertificate(tmp_path / "tls")
    certificate.ensure()
    before, authority = serial(tmp_path / "tls"), certificate.ca_pem
    assert not certificate.ensure(clock.now() + timedelta(days=200))
    assert certificate.ensure(clock.now() + timedelta(days=300))
    assert serial(tmp_path / "tls") != before
    assert certificate.ca_pem == authority


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    certificate = ServingCertificate(tmp_path / "tls")
    certificate.ensure()
    (tmp_path / "tls" / "server.key").write_bytes(b"half a k")
    assert certificate.ensure()
    certificate.context()


def test_the_token_file_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    first = TokenFile(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert TokenFile(path).admin_token == first.admin_token
    user = first.find(first.admin_token)
    assert user is not None
    assert user.is_master
    assert first.find("") is None
    assert first.find(first.admin_token + "x") is None


def test_people_can_be_added_to_the_token_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text('abc,jane,1,"dev, ops"\n')
    user = TokenFile(path).find("abc")
    assert user is not None
    assert user.groups == {"dev", "ops", "system:authenticated"}


def test_a_kubeconfig_is_written_only_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "new" / "kubeconfig"
    content = kubeconfig.render("https://127.0.0.1:1", b"CA", "token")
    kubeconfig.write(path, content)
    os.utime(path, (1, 1))
    kubeconfig.write(path, content)
    assert path.stat().st_mtime == 1
    kubeconfig.write(path, content + b"#")
    assert path.read_bytes().endswith(b"#")
    assert path.stat().st_mode & 0o777 == 0o600
