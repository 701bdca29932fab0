"""What the API answers when it does not do as asked.

* ApiError -- carries the whole `Status`; raised anywhere while a request is handled

Each function below returns the error for one of Kubernetes' reasons, in Kubernetes' words,
because clients show these texts and act on reason and code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from apiserver.schema.errors import FieldError, aggregate

Details = dict[str, Any]

EXPIRED_TEXT: Final = "too old resource version: {rv} ({oldest})"


class ApiError(Exception):
    """A refusal, as a `Status` of Kubernetes."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Details | None = None,
        *,
        retry_after_seconds: int = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after_seconds = retry_after_seconds
        self.continue_token = ""
        """Where a list may go on, inconsistently."""
        self.plain = ""
        """The answer is this text and no Status."""

    def status(self) -> dict[str, Any]:
        """Return the error as the `Status` object that is sent."""
        meta = {"continue": self.continue_token} if self.continue_token else {}
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": meta,
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


def _details(name: str, group: str, kind: str) -> Details:
    found = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in found.items() if value}


def qualified(group: str, plural: str) -> str:
    """Return `plural.group`, the plural alone in the core group."""
    return f"{plural}.{group}" if group else plural


def bad_request(message: str) -> ApiError:
    """Return 400: the request makes no sense."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """Return 401: who are you?"""
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(group: str, plural: str, name: str, why: str) -> ApiError:
    """Return 403 for one object or, without a name, for the resource."""
    subject = qualified(group, plural)
    named = f'{subject} "{name}"' if name else subject
    return ApiError(403, "Forbidden", f"{named} is forbidden: {why}", _details(name, group, plural))


def forbidden_path(message: str) -> ApiError:
    """Return 403 for a path that is no resource."""
    return ApiError(403, "Forbidden", f"forbidden: {message}", {})


def not_found(group: str, plural: str, name: str) -> ApiError:
    """Return 404 for one object."""
    text = f'{qualified(group, plural)} "{name}" not found'
    return ApiError(404, "NotFound", text, _details(name, group, plural))


def no_such_resource(*, plain: bool = True) -> ApiError:
    """Return 404 for a path that names no resource served here; *plain*: as a text."""
    error = ApiError(404, "NotFound", "the server could not find the requested resource", {})
    error.plain = "404 page not found\n" if plain else ""
    return error


def method_not_allowed(message: str = "") -> ApiError:
    """Return 405."""
    text = message or "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", text, {})


def not_acceptable() -> ApiError:
    """Return 406: none of the media types asked for can be served."""
    text = "only the following media types are accepted: application/json, application/yaml"
    return ApiError(406, "NotAcceptable", text)


def already_exists(group: str, plural: str, name: str) -> ApiError:
    """Return 409 for a name that is taken."""
    text = f'{qualified(group, plural)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", text, _details(name, group, plural))


def conflict(group: str, plural: str, name: str, why: str) -> ApiError:
    """Return 409 for a precondition that does not hold."""
    text = f'Operation cannot be fulfilled on {qualified(group, plural)} "{name}": {why}'
    return ApiError(409, "Conflict", text, _details(name, group, plural))


def expired(message: str) -> ApiError:
    """Return 410: that history is gone."""
    return ApiError(410, "Expired", message)


def too_large(message: str) -> ApiError:
    """Return 413: more than this server takes."""
    text = f"Request entity too large: {message}"
    return ApiError(413, "RequestEntityTooLarge", text)


def unsupported_media_type(message: str) -> ApiError:
    """Return 415: a body in a format that is not taken here."""
    return ApiError(415, "UnsupportedMediaType", message)


def invalid(group: str, kind: str, name: str, errors: Iterable[FieldError]) -> ApiError:
    """Return 422 with one cause for each of *errors*."""
    found = list(errors)
    details = _details(name, group, kind) | {"causes": [error.cause() for error in found]}
    text = f'{qualified(group, kind)} "{name}" is invalid'
    if found:
        text = f"{text}: {aggregate(found)}"
    return ApiError(422, "Invalid", text, details)


def internal(message: str) -> ApiError:
    """Return 500: our fault."""
    details = {"causes": [{"message": message}]}
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", details)


def future_version(asked: int, current: int) -> ApiError:
    """Return 504 for a resource version that does not exist yet."""
    message = f"Too large resource version: {asked}, current: {current}"
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    text = f"Timeout: {message}"
    return ApiError(504, "Timeout", text, details, retry_after_seconds=1)
