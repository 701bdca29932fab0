"""Tokens of ServiceAccounts: JWTs signed with ES256, bound to the account's UID."""

from __future__ import annotations

import hashlib
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from apiserver import clock
from apiserver.auth.tokenfile import AUTHENTICATED, write_private
from apiserver.kinds.strategy import User
from apiserver.store.records import Key
from apiserver.store.store import Store

ISSUER: Final = "https://kubernetes.default.svc"
AUDIENCE: Final = ISSUER
"""Audience of this API itself."""

_REMEMBERED: Final = 1024
_PRIVATE_CLAIM: Final = "kubernetes.io"


@dataclass(frozen=True, slots=True)
class Verified:
    """A token that is what it says."""

    user: User
    audiences: tuple[str, ...]


class ServiceAccountTokens:
    """Signs and checks the tokens. The key is made at the first start."""

    def __init__(self, key_path: Path, store: Store) -> None:
        if not key_path.exists():
            write_private(key_path, _new_key())
        self._pem = key_path.read_bytes()
        self._store = store
        self._known: OrderedDict[bytes, dict[str, Any]] = OrderedDict()

    def sign(
        self,
        namespace: str,
        name: str,
        uid: str,
        audiences: list[str],
        seconds: int,
        bound: dict[str, dict[str, str]],
    ) -> tuple[str, int]:
        """Return a new token and when it expires, in Unix seconds."""
        import jwt  # brings cryptography: 10 MiB that a server without such tokens saves

        now = int(clock.unix_seconds())
        expires = now + seconds
        claims = {
            "aud": audiences or [AUDIENCE],
            "exp": expires,
            "iat": now,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "nbf": now,
            "sub": f"system:serviceaccount:{namespace}:{name}",
            _PRIVATE_CLAIM: {
                "namespace": namespace,
                "serviceaccount": {"name": name, "uid": uid},
                **bound,
            },
        }
        return jwt.encode(claims, self._pem, algorithm="ES256"), expires

    def verify(self, token: str) -> Verified | None:
        """Return what *token* proves; None where it proves nothing (any more)."""
        claims = self._claims(token)
        if claims is None or claims["exp"] <= clock.unix_seconds():
            return None
        private = claims[_PRIVATE_CLAIM]
        namespace, account = private["namespace"], private["serviceaccount"]
        key = Key("serviceaccounts", namespace, account["name"])
        if not self._lives(key, account["uid"]) or not self._bound_lives(namespace, private):
            return None
        groups = {
            "system:serviceaccounts",
            f"system:serviceaccounts:{namespace}",
            AUTHENTICATED,
        }
        extra = (("authentication.kubernetes.io/credential-id", (f"JTI={claims['jti']}",)),)
        user = User(claims["sub"], frozenset(groups), account["uid"], extra)
        return Verified(user, tuple(claims["aud"]))

    def _lives(self, key: Key, uid: str) -> bool:
        entry = self._store.get(key)
        return entry is not None and entry.uid == uid and not entry.deleting

    def _bound_lives(self, namespace: str, private: dict[str, Any]) -> bool:
        secret = private.get("secret")
        if secret is None:
            return True
        return self._lives(Key("secrets", namespace, secret["name"]), secret["uid"])

    def _claims(self, token: str) -> dict[str, Any] | None:
        if token.count(".") != 2:
            return None
        digest = hashlib.sha256(token.encode()).digest()
        if digest in self._known:
            self._known.move_to_end(digest)
            return self._known[digest]
        claims = self._checked(token)
        if claims is not None:
            self._known[digest] = claims
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return claims

    def _checked(self, token: str) -> dict[str, Any] | None:
        import jwt
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key(self._pem, password=None)
        if not isinstance(key, EllipticCurvePrivateKey):
            raise TypeError("the key of ServiceAccount tokens is no EC key")
        wanted = ["exp", "iat", "nbf", "iss", "sub", "aud", "jti", _PRIVATE_CLAIM]
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public_key(),
                algorithms=["ES256"],
                issuer=ISSUER,
                options={"require": wanted, "verify_aud": False},
            )
        except jwt.PyJWTError:
            return None
        return claims


def _new_key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
