"""What the Kubernetes API can answer, in our own words.

* KubeError
  + Misconfigured    the kubeconfig is missing or unusable
  + NotFound         404
  + Conflict         409: somebody else was faster; look again
    - AlreadyExists  409 of a create
  + Refused          other 4xx: the request is wrong, retrying cannot help
    - Denied         401, 403: who we are, or what we may do
      . OverQuota    403: a ResourceQuota leaves no room; there may be some later
  + Unavailable      5xx, 429, 410 of a list, or no answer at all: retrying may help

A request without an answer (``Unavailable``) may or may not have been carried out.
"""

from typing import Any, Final

_OVER_QUOTA: Final = " is forbidden: exceeded quota: "
"""What every Kubernetes says; it has no reason or cause of its own."""


class KubeError(Exception):
    """The Kubernetes API did not do what was asked."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; 0 if there was no answer."""
        self.reason = reason
        """The API's own word for it, such as ``Invalid``."""


class Misconfigured(KubeError):  # noqa: N818 - named after the state, as the others
    """The kubeconfig is missing or cannot be used."""


class NotFound(KubeError):  # noqa: N818 - the API's own word
    """There is no such object, or no such kind."""


class Conflict(KubeError):  # noqa: N818 - the API's own word
    """The object changed since it was read."""


class AlreadyExists(Conflict):
    """An object of that name is there already."""


class Refused(KubeError):  # noqa: N818 - named after the answer
    """The request is wrong or not allowed; repeating it cannot help."""


class Denied(Refused):
    """The credential is unknown, or may not do this."""


class OverQuota(Denied):  # noqa: N818 - named after the answer
    """A ResourceQuota of the namespace has no room for it; there may be some later."""


class Unavailable(KubeError):  # noqa: N818 - named after the state of the server
    """The server is in trouble or cannot be reached; repeating may help."""


def from_status(status: int, body: Any) -> KubeError:
    """Return the error that an answer of HTTP *status* with the decoded *body* stands for."""
    reason = str(body.get("reason") or "") if isinstance(body, dict) else ""
    message = str(body.get("message") or "") if isinstance(body, dict) else ""
    text = message or f"the API server answered {status}"
    match status:
        case 404:
            kind: type[KubeError] = NotFound
        case 409:
            kind = AlreadyExists if reason == "AlreadyExists" else Conflict
        case 403 if _OVER_QUOTA in text:
            kind = OverQuota
        case 401 | 403:
            kind = Denied
        case 410 | 429:
            kind = Unavailable
        case _ if 400 <= status < 500:
            kind = Refused
        case _:
            kind = Unavailable
    return kind(text, status=status, reason=reason)
