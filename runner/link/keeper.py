"""Keeps this runner's identity valid: enrols when there is none, renews it in time.

Agents are never touched from here: without a valid certificate the runner is cut off, waits
for a join token, and its agents go on.
"""

import asyncio
import dataclasses
import logging
from typing import Final

import grpc
from meshwire.v1 import link_pb2

from runner.clock import wall_ms, wall_seconds
from runner.link.backoff import Backoff
from runner.link.channel import control, mutual
from runner.link.enrol import Door, enrol, read_token, refusal_of
from runner.link.errors import LinkError, Refused
from runner.link.identity import (
    Identity,
    IdentityStore,
    assemble,
    new_key,
    pem_of,
    signing_request,
)
from runner.link.schedule import Due, due_at, is_expired, renewal, retry_seconds, sleep_until

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 1.0
"""How often the join token file is looked for while it is needed."""

_TIMEOUT_SECONDS: Final = 20.0


class Keeper:
    """Owns the identity. ``run`` must be running for anything to happen."""

    def __init__(
        self, store: IdentityStore, door: Door, control_endpoint: str, info: link_pb2.RunnerInfo
    ) -> None:
        self._store = store
        self._door = door
        self._endpoint = control_endpoint
        self._info = info
        self._current: Identity | None = None
        self._moved = asyncio.Condition()
        self._doubted = asyncio.Event()

    async def run(self) -> None:
        """Keep an identity for ever."""
        while True:
            identity = self._store.load()
            if identity is None or is_expired(identity):
                await self._publish(None)
                identity = await self._enrol_somehow(expired=identity is not None)
                await self._publish(identity)
                await self._renew_while_valid(identity, fresh=True)
            else:
                await self._publish(identity)
                await self._renew_while_valid(identity, fresh=False)

    async def valid(self) -> Identity:
        """Return the identity, waiting for one if need be."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._current is not None)
            if self._current is None:
                raise AssertionError("waited for an identity and found none")
            return self._current

    async def replaced(self, identity: Identity) -> None:
        """Wait until *identity* is not the current one any more."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._current is not identity)

    def doubt(self) -> None:
        """Say that the controller did not take the identity: a new join token would be used now."""
        self._doubted.set()

    def is_out_of_time(self) -> bool:
        """Whether the wall clock was set to before or after the certificate's life."""
        now, current = wall_seconds(), self._current
        return current is not None and not current.not_before <= now < current.not_after

    async def take_bundle(self, bundle: link_pb2.TrustBundle) -> None:
        """Trust the roots of a newer bundle, which came over an authenticated link."""
        current = self._current
        if current is None or bundle.sequence <= current.about.bundle_sequence:
            return
        try:
            roots = pem_of(list(bundle.roots_der))
        except ValueError:
            roots = b""
        if not roots:
            logger.error("refused a trust bundle without usable roots")
            return
        about = dataclasses.replace(current.about, bundle_sequence=bundle.sequence)
        self._store.save_roots(about, roots)
        await self._publish(dataclasses.replace(current, about=about, roots_pem=roots))
        logger.info("trust bundle changed", extra={"sequence": bundle.sequence})

    async def _publish(self, identity: Identity | None) -> None:
        async with self._moved:
            self._current = identity
            self._moved.notify_all()

    async def _enrol_somehow(self, *, expired: bool) -> Identity:
        backoff = Backoff(first_seconds=1.0, cap_seconds=30.0)
        told = ""
        while True:
            try:
                identity = await self._enrol_once()
            except LinkError as exc:
                sentence, wait = str(exc), backoff.next_seconds(_POLL_SECONDS)
            else:
                if identity is not None:
                    return identity
                state = "has expired" if expired else "does not exist yet"
                sentence = (
                    f"This runner's certificate {state}: waiting for a join token in "
                    f"{self._door.token_file}. Agents that run go on."
                )
                wait = _POLL_SECONDS
            if sentence != told:
                logger.warning("not enrolled: %s", sentence)
                told = sentence
            await self._wait_for_token_file(wait)

    async def _enrol_once(self) -> Identity | None:
        """Return the new identity, or None when there is no join token.

        Raises:
            LinkError: There is one, and it did not work.
        """
        token = read_token(self._door.token_file)
        if token is None:
            return None
        key = self._store.enrolling_key()
        identity = await enrol(self._door, token, key, self._info)
        self._store.save(identity)
        self._door.token_file.unlink(missing_ok=True)
        logger.info("enrolled", extra={"runner": identity.about.spiffe_id})
        return identity

    async def _wait_for_token_file(self, seconds: float) -> None:
        """Wait so long, or less if the token file changes."""
        before = self._token_stamp()
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, _POLL_SECONDS / 2))
            if self._token_stamp() != before:
                return

    def _token_stamp(self) -> tuple[int, int]:
        try:
            stat = self._door.token_file.stat()
        except OSError:
            return (0, 0)
        return (stat.st_mtime_ns, stat.st_mode)

    async def _renew_while_valid(self, identity: Identity, *, fresh: bool) -> None:
        """Renew again and again; return when the identity expired, or was enrolled anew."""
        due = renewal(identity, fresh=fresh, now=wall_seconds())
        while not is_expired(identity):
            await self._sleep_unless_doubted(due)
            if self._doubted.is_set():
                self._doubted.clear()
                renewed = await self._enrol_if_token()
                if renewed is not None:
                    identity, due = renewed, renewal(renewed, fresh=True, now=wall_seconds())
                continue
            try:
                identity = await self._renew(identity)
            except LinkError as exc:
                left = identity.not_after - wall_seconds()
                wait = retry_seconds(left)
                logger.warning("renewal failed: %s", exc, extra={"retry_seconds": round(wait, 1)})
                due = due_at(wall_seconds() + wait)
            else:
                due = renewal(identity, fresh=True, now=wall_seconds())

    async def _sleep_unless_doubted(self, due: Due) -> None:
        async with asyncio.TaskGroup() as tasks:
            sleeping = tasks.create_task(sleep_until(due))
            doubting = tasks.create_task(self._doubted.wait())
            await asyncio.wait({sleeping, doubting}, return_when=asyncio.FIRST_COMPLETED)
            sleeping.cancel()
            doubting.cancel()

    async def _enrol_if_token(self) -> Identity | None:
        try:
            identity = await self._enrol_once()
        except LinkError as exc:
            logger.warning("the join token did not help: %s", exc)
            return None
        if identity is not None:
            await self._publish(identity)
        return identity

    async def _renew(self, identity: Identity) -> Identity:
        key = new_key()
        request = link_pb2.RenewRequest(csr_der=signing_request(key), wall_clock_unix_ms=wall_ms())
        async with mutual(self._endpoint, self._current or identity) as channel:
            try:
                answer = await control(channel).Renew(request, timeout=_TIMEOUT_SECONDS)
            except grpc.aio.AioRpcError as exc:
                raise refusal_of(exc, "renewal") from exc
        about = dataclasses.replace(identity.about, bundle_sequence=answer.bundle.sequence)
        try:
            renewed = assemble(key, list(answer.chain_der), list(answer.bundle.roots_der), about)
        except ValueError as exc:
            raise Refused(f"The controller's answer to the renewal is unusable: {exc}.") from exc
        self._store.save(renewed)
        await self._publish(renewed)
        logger.info("certificate renewed", extra={"not_after": int(renewed.not_after)})
        return renewed
