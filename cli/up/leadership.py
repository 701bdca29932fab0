"""The Lease of a controller that was killed and could not give it up itself."""

from typing import Final

from cli.api import Api
from cli.errors import NotFound
from schemas.names import CONTROLLER_NAMESPACE, LEASE

NAME: Final = "agentsmesh-controller"


def release(api: Api) -> bool:
    """Give the Lease up for a controller that is known to be dead; return whether it had it.

    Its successor would wait for the Lease to run out otherwise. Only for the embedded API server:
    there, who holds the data directory knows that no other controller can lead.

    Raises:
        CommandError: The API server did not answer, or the Lease changed at this moment.
    """
    try:
        lease = api.get(LEASE, CONTROLLER_NAMESPACE, NAME)
    except NotFound:
        return False
    if not (lease.get("spec") or {}).get("holderIdentity"):
        return False
    version = lease["metadata"]["resourceVersion"]  # nobody may have taken it meanwhile
    change = {"metadata": {"resourceVersion": version}, "spec": {"holderIdentity": ""}}
    api.patch(LEASE, CONTROLLER_NAMESPACE, NAME, change)
    return True
