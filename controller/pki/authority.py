"""The certificate authority as it lies in two Secrets, kept valid while the controller runs.

Both Secrets are only ever created or, for the issuing one, replaced by compare-and-swap, so that
controllers that start at the same time agree. The root is what runners pin: it is never made anew
while a Runner holds a certificate of the old one. The issuing certificate can be had again from the
root at any time, because every peer sends it with its own, so a missing one is made anew; a damaged
one stops issuance, because somebody wrote there who was not us.
"""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives import serialization

from controller.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from controller.pki.clock import Clock, wall_clock
from controller.pki.errors import Stalled
from controller.pki.leaf import ISSUER_MARGIN, Issued, PublicKey, sign_runner, sign_server
from controller.pki.signer import CA_BACKDATE, Signer, new_issuing, new_key, new_root, private_pem
from controller.pki.stored import check_issuing, check_root, data_of, manifest_of, signer_of
from controller.rpc.ports import Objects
from schemas.names import (
    CA_ISSUING_SECRET,
    CA_ROOT_SECRET,
    CONTROLLER_NAMESPACE,
    RUNNER,
    SECRET,
    TRUST_DOMAIN,
)

logger = logging.getLogger(__name__)

_ATTEMPTS: Final = 5
"""How often a lost race is run again."""


@dataclass(frozen=True, slots=True)
class AuthoritySettings:
    """How long certificates live and whose they are."""

    trust_domain: str = TRUST_DOMAIN
    """The host part of every runner's identity."""

    root_lifetime: timedelta = timedelta(days=3650)
    issuing_lifetime: timedelta = timedelta(days=90)
    """Renewed after two thirds."""

    leaf_lifetime: timedelta = timedelta(days=1)
    """Of runners' certificates. They renew between half and two thirds."""

    server_lifetime: timedelta = timedelta(days=1)
    """Of the certificates of our own ports. Renewed in memory after half."""

    refresh_seconds: float = 60.0
    """How often the Secrets are looked at. Short: timers stand still while a laptop sleeps."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The roots that runners shall trust."""

    sequence: int
    """Grows with every change."""
    roots_der: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """What a port shows: key and chain up to the root, so that a client with a pin can check it."""

    key_pem: bytes
    chain_pem: bytes
    not_before: datetime
    not_after: datetime


class Authority:
    """Signs runners' and our own certificates.

    ``refresh`` must have succeeded once before anything else is used. ``finding`` then says why
    runners' certificates cannot be issued at the moment, if so; ports and streams go on meanwhile
    with what is in memory.
    """

    def __init__(
        self,
        objects: Objects,
        settings: AuthoritySettings | None = None,
        *,
        clock: Clock = wall_clock,
    ) -> None:
        self.settings = settings or AuthoritySettings()
        self._objects = objects
        self._clock = clock
        self._pair: tuple[Signer, Signer] | None = None
        self.finding: Stalled | None = None
        """Why nothing is issued to runners; None while all is well."""

    async def refresh(self) -> None:
        """Read the Secrets; create or renew what may be created or renewed.

        Raises:
            Stalled: Only a person can help. The last good key pairs stay in memory.
            KubeError: The API server cannot be asked. Nothing changes.
        """
        now = self._clock()
        try:
            root = await self._root(now)
            issuing = await self._issuing(root, now)
        except Stalled as stalled:
            if self.finding is None or str(self.finding) != str(stalled):
                logger.error("certificate authority stalled", extra={"reason": str(stalled)})  # noqa: TRY400 - a state, not a bug
            self.finding = stalled
            raise
        if self.finding is not None:
            logger.info("certificate authority works again")
        self.finding = None
        self._pair = (root, issuing)

    async def run(self) -> None:
        """Refresh for ever; a failure is kept in ``finding`` or tried again."""
        while True:
            await asyncio.sleep(self.settings.refresh_seconds)
            try:
                await self.refresh()
            except Stalled:
                continue  # kept in `finding`, logged once
            except KubeError as exc:
                logger.warning("CA secrets cannot be read", extra={"reason": str(exc)})

    @property
    def root(self) -> Signer:
        """The root in force."""
        return self._signers()[0]

    @property
    def roots_pem(self) -> bytes:
        """The roots that runners and people shall trust: ``ca.crt`` of the trust bundle."""
        return self.root.certificate_pem()

    @property
    def pin(self) -> str:
        """The root's fingerprint as a runner is given it: ``sha256:`` and the hash of its key."""
        spki = self.root.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return f"sha256:{hashlib.sha256(spki).hexdigest()}"

    def bundle(self) -> Bundle:
        """Return the roots with a number that grows when they change."""
        certificate = self.root.certificate
        der = certificate.public_bytes(serialization.Encoding.DER)
        return Bundle(int(certificate.not_valid_before_utc.timestamp()), (der,))

    def require(self) -> None:
        """Check that runners' certificates can be issued.

        Raises:
            Stalled: Not until a person has repaired the CA.
        """
        if self.finding is not None:
            raise Stalled(str(self.finding))

    def sign_runner(self, key: PublicKey, identity: str) -> Issued:
        """Return a runner's certificate.

        Raises:
            Stalled: Nothing is issued until a person has repaired the CA.
        """
        self.require()
        return sign_runner(
            self._signers()[1],
            key,
            identity,
            now=self._clock(),
            lifetime=self.settings.leaf_lifetime,
        )

    def server_certificate(self, hosts: Sequence[str]) -> ServerCertificate:
        """Return a new key and certificate for our own ports. May be called from any thread.

        Raises:
            Stalled: The issuing certificate in memory has expired.
        """
        root, issuing = self._signers()
        key = new_key()
        issued = sign_server(
            issuing,
            key.public_key(),
            hosts,
            now=self._clock(),
            lifetime=self.settings.server_lifetime,
        )
        chain = issued.certificate.public_bytes(serialization.Encoding.PEM)
        return ServerCertificate(
            key_pem=private_pem(key),
            chain_pem=chain + issuing.certificate_pem() + root.certificate_pem(),
            not_before=issued.issued_at,
            not_after=issued.certificate.not_valid_after_utc,
        )

    def _signers(self) -> tuple[Signer, Signer]:
        if self._pair is None:
            raise self.finding or Stalled("the certificate authority has not been read yet")
        return self._pair

    async def _root(self, now: datetime) -> Signer:
        for _ in range(_ATTEMPTS):
            secret = await self._read(CA_ROOT_SECRET)
            if secret is not None:
                root = signer_of(secret)
                check_root(CA_ROOT_SECRET, root, now)
                return root
            await self._refuse_if_used()
            await self._create(CA_ROOT_SECRET, new_root(now, self.settings.root_lifetime))
        raise Conflict(f"Secret {CA_ROOT_SECRET} changes all the time")

    async def _issuing(self, root: Signer, now: datetime) -> Signer:
        lifetime = self.settings.issuing_lifetime
        for _ in range(_ATTEMPTS):
            secret = await self._read(CA_ISSUING_SECRET)
            if secret is None:
                await self._create(CA_ISSUING_SECRET, new_issuing(root, now, lifetime))
                continue
            issuing = signer_of(secret)
            check_issuing(CA_ISSUING_SECRET, issuing, root, now)
            if not _due(issuing, now, self.settings.leaf_lifetime):
                return issuing
            await self._replace(secret, new_issuing(root, now, lifetime))
        raise Conflict(f"Secret {CA_ISSUING_SECRET} changes all the time")

    async def _read(self, name: str) -> dict[str, Any] | None:
        try:
            return await self._objects.get(SECRET, CONTROLLER_NAMESPACE, name)
        except NotFound:
            return None

    async def _create(self, name: str, signer: Signer) -> None:
        """Create the Secret unless another controller was faster; the caller reads it back."""
        try:
            await self._objects.create(SECRET, CONTROLLER_NAMESPACE, manifest_of(name, signer))
        except AlreadyExists:
            return
        logger.info("CA certificate created", extra={"key": name})

    async def _replace(self, secret: dict[str, Any], signer: Signer) -> None:
        """Renew by compare-and-swap; the caller reads back who won."""
        meta = secret["metadata"]
        patch = {
            "metadata": {"resourceVersion": meta["resourceVersion"]},
            "data": data_of(signer),
        }
        try:
            await self._objects.patch(SECRET, CONTROLLER_NAMESPACE, meta["name"], patch)
        except Conflict:
            return
        logger.info("CA certificate renewed", extra={"key": meta["name"]})

    async def _refuse_if_used(self) -> None:
        """Allow a new root only if nothing hangs on an old one.

        Raises:
            Stalled: There is an issuing certificate, or a Runner holds a certificate.
        """
        if await self._read(CA_ISSUING_SECRET) is not None:
            raise Stalled(
                f"Secret {CONTROLLER_NAMESPACE}/{CA_ROOT_SECRET} is lost, but {CA_ISSUING_SECRET} "
                "is there: restore it from a backup, or delete the other as well to begin anew"
            )
        try:
            async for page in self._objects.pages(RUNNER):
                for runner in page:
                    if (runner.get("status") or {}).get("certificate"):
                        name = f"{runner['metadata']['namespace']}/{runner['metadata']['name']}"
                        raise Stalled(
                            f"Secret {CONTROLLER_NAMESPACE}/{CA_ROOT_SECRET} is lost, but Runner "
                            f"{name} holds a certificate of it: restore the Secret from a backup, "
                            "or delete the Runners to begin anew"
                        )
        except NotFound:
            return  # the kind is not installed yet, so there are none


def _due(issuing: Signer, now: datetime, leaf_lifetime: timedelta) -> bool:
    """Whether to renew: two thirds of its life are over, or a leaf would no longer fit into it."""
    begin = issuing.certificate.not_valid_before_utc + CA_BACKDATE
    life = issuing.certificate.not_valid_after_utc - begin
    room = leaf_lifetime + ISSUER_MARGIN
    if room < life and now >= begin + life - room:
        return True
    return now >= begin + life * 2 / 3
