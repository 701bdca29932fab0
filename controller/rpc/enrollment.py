"""Enrollment, on the public port: the roots for everybody, a certificate for a token."""

from collections.abc import Callable, Sequence
from typing import Any

from meshwire.v1 import link_pb2

from controller.pki.authority import Authority, Bundle
from controller.rpc.caller import current_caller
from controller.services.enrolment import Application, Enrolment


def bundle_message(bundle: Bundle) -> link_pb2.TrustBundle:
    """Return the bundle as it goes over the wire."""
    return link_pb2.TrustBundle(sequence=bundle.sequence, roots_der=bundle.roots_der)


class Enrollment:
    """Translates between the wire and the service."""

    def __init__(
        self,
        enrolment: Enrolment,
        authority: Authority,
        control_endpoints: Callable[[], Sequence[str]],
    ) -> None:
        self._enrolment = enrolment
        self._authority = authority
        self._control_endpoints = control_endpoints

    async def GetBundle(  # noqa: N802 - the name of the RPC
        self,
        request: link_pb2.GetBundleRequest,  # noqa: ARG002 - gRPC's signature
        context: Any,  # noqa: ARG002
    ) -> link_pb2.TrustBundle:
        """Return the roots that a runner shall trust."""
        return bundle_message(self._authority.bundle())

    async def Enroll(  # noqa: N802 - the name of the RPC
        self,
        request: link_pb2.EnrollRequest,
        context: Any,  # noqa: ARG002 - gRPC's signature
    ) -> link_pb2.EnrollResponse:
        """Turn a token and a signing request into a certificate."""
        grant = await self._enrolment.enrol(
            Application(
                namespace=request.namespace,
                token=request.token,
                csr_der=request.csr_der,
                requested_name=request.requested_name,
                wall_clock_unix_ms=request.wall_clock_unix_ms,
                address=current_caller().peer,
            )
        )
        return link_pb2.EnrollResponse(
            spiffe_id=grant.identity,
            runner_uid=grant.runner.uid,
            chain_der=grant.chain_der,
            bundle=bundle_message(grant.bundle),
            control_endpoints=self._control_endpoints(),
            renew_after_unix=grant.renew_after_unix,
        )
