"""Static bearer tokens in a file of mode 0600: `token,user,uid,"group1,group2"`."""

from __future__ import annotations

import csv
import hashlib
import os
import secrets
import uuid
from pathlib import Path
from typing import Final

from apiserver.kinds.strategy import User

ADMIN: Final = "agentsmesh-admin"
AUTHENTICATED: Final = "system:authenticated"


class TokenFile:
    """The tokens of one file, read once. Only their digests stay in memory."""

    def __init__(self, path: Path) -> None:
        """Read *path*; where it is missing, make it with one administrator.

        Raises:
            ValueError: A line is malformed.
        """
        if not path.exists():
            _create(path)
        self._users: dict[bytes, User] = {}
        self.admin_token = ""
        """The first token of somebody in `system:masters`; empty where there is none."""
        with path.open(newline="", encoding="utf-8") as lines:
            for number, row in enumerate(csv.reader(lines), start=1):
                if row:
                    self._add(path, number, row)

    def _add(self, path: Path, number: int, row: list[str]) -> None:
        if len(row) < 3 or not row[0] or not row[1]:
            raise ValueError(f"{path}, line {number}: expected token,user,uid[,groups]")
        token, name, uid = row[:3]
        groups = [group.strip() for group in (row[3] if len(row) > 3 else "").split(",")]
        user = User(name, frozenset(filter(None, groups)) | {AUTHENTICATED}, uid)
        self._users[_digest(token)] = user
        if user.is_master and not self.admin_token:
            self.admin_token = token

    def find(self, token: str) -> User | None:
        """Return whose token this is."""
        return self._users.get(_digest(token))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _create(path: Path) -> None:
    line = f'{secrets.token_urlsafe(32)},{ADMIN},{uuid.uuid4()},"system:masters"\n'
    write_private(path, line.encode())


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
