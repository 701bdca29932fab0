"""`Impersonate-*` headers: acting as somebody else, where RBAC allows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from apiserver.auth.rbac import Authorizer, denial
from apiserver.auth.rules import Attributes
from apiserver.auth.tokenfile import AUTHENTICATED
from apiserver.errors import ApiError, bad_request, forbidden
from apiserver.kinds.strategy import User

_USER: Final = b"impersonate-user"
_GROUP: Final = b"impersonate-group"
_UID: Final = b"impersonate-uid"
_EXTRA: Final = b"impersonate-extra-"
_ACCOUNT: Final = "system:serviceaccount:"
_AUTHENTICATION: Final = "authentication.k8s.io"


def impersonated(user: User, headers: Iterable[tuple[bytes, bytes]], rbac: Authorizer) -> User:
    """Return whom *user* acts as: himself, unless the headers say otherwise.

    Raises:
        ApiError: 403, he may not; 400, the headers make no sense.
    """
    wanted = [(name, value.decode("latin-1")) for name, value in headers]
    wanted = [(name, value) for name, value in wanted if name.startswith(b"impersonate-")]
    if not wanted:
        return user
    names = [value for name, value in wanted if name == _USER]
    if len(names) != 1 or not names[0]:
        raise bad_request("impersonating a group, an uid or extras needs a user to impersonate")
    name = names[0]
    groups = {value for header, value in wanted if header == _GROUP}
    uid = next((value for header, value in wanted if header == _UID), "")
    extra: dict[str, list[str]] = {}
    for header, value in wanted:
        if header.startswith(_EXTRA):
            key = unquote(header.removeprefix(_EXTRA).decode("latin-1"))
            extra.setdefault(key, []).append(value)
    for attributes in _asked(name, groups, uid, extra):
        if not rbac.allows(user, attributes):
            raise _refused(user, attributes)
    return User(
        name,
        frozenset(_completed(name, groups)),
        uid,
        tuple((key, tuple(values)) for key, values in sorted(extra.items())),
    )


def _asked(
    name: str, groups: set[str], uid: str, extra: dict[str, list[str]]
) -> Iterable[Attributes]:
    if name.startswith(_ACCOUNT) and name.count(":") == 3:
        _, _, namespace, account = name.split(":")
        yield Attributes("impersonate", "", "serviceaccounts", "", account, namespace)
    else:
        yield Attributes("impersonate", "", "users", "", name)
    for group in sorted(groups):
        yield Attributes("impersonate", "", "groups", "", group)
    if uid:
        yield Attributes("impersonate", _AUTHENTICATION, "uids", "", uid)
    for key, values in extra.items():
        for value in values:
            yield Attributes("impersonate", _AUTHENTICATION, "userextras", key, value)


def _completed(name: str, groups: set[str]) -> set[str]:
    if name == "system:anonymous":
        return groups | {"system:unauthenticated"}
    if name.startswith(_ACCOUNT) and name.count(":") == 3:
        namespace = name.split(":")[2]
        groups = groups or {"system:serviceaccounts", f"system:serviceaccounts:{namespace}"}
    return groups | {AUTHENTICATED}


def _refused(user: User, wanted: Attributes) -> ApiError:
    return forbidden(wanted.group, wanted.resource, wanted.name, denial(user, wanted))
