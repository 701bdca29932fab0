"""From an Authorization header to a user."""

from __future__ import annotations

from apiserver.auth.jwts import AUDIENCE, ServiceAccountTokens, Verified
from apiserver.auth.tokenfile import TokenFile
from apiserver.errors import unauthorized
from apiserver.kinds.strategy import User


class Authenticator:
    """Static tokens first, then those of ServiceAccounts."""

    def __init__(self, static: TokenFile, accounts: ServiceAccountTokens) -> None:
        self._static = static
        self._accounts = accounts

    def user(self, authorization: str) -> User | None:
        """Return who sent the header; None where there is none.

        Raises:
            ApiError: 401, there is a credential and it is not good.
        """
        if not authorization:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise unauthorized()
        verified = self.verify(token.strip(), (AUDIENCE,))
        if verified is None:
            raise unauthorized()
        return verified.user

    def verify(self, token: str, audiences: tuple[str, ...]) -> Verified | None:
        """Return what *token* proves towards *audiences*; None where it proves nothing."""
        user = self._static.find(token)
        if user is not None:
            # A static token knows no audiences: it is for this API alone.
            return Verified(user, (AUDIENCE,)) if AUDIENCE in audiences else None
        verified = self._accounts.verify(token)
        if verified is None:
            return None
        common = tuple(name for name in audiences if name in verified.audiences)
        return Verified(verified.user, common) if common else None
