"""The one error of this package."""


class PatchError(Exception):
    """A patch that cannot be applied.

    Attributes:
        status: HTTP status of the answer: 400, 413 or 422.
        reason: Reason of the Status: ``BadRequest``, ``RequestEntityTooLarge`` or ``Invalid``.
        message: One sentence for the user.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
