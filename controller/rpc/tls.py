"""The TLS side of the two ports: certificates that renew themselves without a restart.

gRPC asks for the configuration at every handshake, on a thread of its own. Connections that are
open stay open.
"""

import logging
import threading
from collections.abc import Sequence

import grpc

from controller.pki.authority import Authority, ServerCertificate
from controller.pki.clock import Clock
from controller.pki.errors import PkiError
from controller.pki.signer import BACKDATE

logger = logging.getLogger(__name__)


class PortCertificate:
    """The certificate of one port, and the clients' roots if it asks for client certificates."""

    def __init__(
        self, authority: Authority, hosts: Sequence[str], *, mutual: bool, clock: Clock
    ) -> None:
        self._authority = authority
        self._hosts = tuple(hosts)
        self._mutual = mutual
        self._clock = clock
        self._lock = threading.Lock()
        self._roots = authority.roots_pem
        self._certificate = authority.server_certificate(self._hosts)

    def credentials(self) -> grpc.ServerCredentials:
        """Return credentials that follow the authority from one handshake to the next."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(), self._fetch, require_client_authentication=self._mutual
        )

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the configuration if it changed since the last handshake, else None."""
        with self._lock:
            if not self._renew():
                return None
            return self._configuration()

    def _renew(self) -> bool:
        roots = self._authority.roots_pem
        if roots == self._roots and not _due(self._certificate, self._clock):
            return False
        try:
            self._certificate = self._authority.server_certificate(self._hosts)
        except PkiError as exc:
            logger.warning("port keeps its old certificate", extra={"reason": str(exc)})
            return False
        self._roots = roots
        return True

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(self._certificate.key_pem, self._certificate.chain_pem)],
            root_certificates=self._roots if self._mutual else None,
        )


def _due(certificate: ServerCertificate, clock: Clock) -> bool:
    """Whether half of the certificate's life is over, or the clock was set back before it."""
    now = clock()
    half = (certificate.not_after - certificate.not_before) / 2
    return not certificate.not_before - BACKDATE <= now < certificate.not_before + half
