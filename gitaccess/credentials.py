"""What opens a private repository: held in memory, and never part of a message."""

import base64
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

_USERINFO: Final = re.compile(r"(?<=://)[^/\s@]+@")
_SHORTEST: Final = 4
"""Shorter values are not replaced: they would tear holes into every message."""


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What a git server asks for. Empty fields are not used."""

    username: str = ""
    """For https. Empty with a password: ``git``, which forges take for a token."""

    password: str = ""
    """For https: a password or a token."""

    ssh_key: str = ""
    """For ssh: a private key without passphrase, in PEM or OpenSSH form."""

    known_hosts: str = ""
    """For ssh: lines of a known_hosts file. Empty: those of the runner's own account."""

    ca_certificates: str = ""
    """For https: PEM certificates of a private authority, instead of the system's."""

    def secret(self) -> bool:
        """Tell whether they open anything that is closed to others."""
        return bool(self.password or self.ssh_key)

    def basic(self) -> str:
        """Return the value of an HTTP Basic ``Authorization`` header without the word Basic."""
        return base64.b64encode(f"{self.username or 'git'}:{self.password}".encode()).decode()

    def answer(self) -> str:
        """Return what a credential helper answers to git. Source: git-credential(1)."""
        user, password = (text.partition("\n")[0] for text in (self.username, self.password))
        return f"username={user or 'git'}\npassword={password}\n"

    def secrets(self) -> tuple[str, ...]:
        """Return every spelling that must not appear in a message, longest first."""
        found = {self.password, quote(self.password, safe=""), self.ssh_key.strip()}
        found.update(line.strip() for line in self.ssh_key.splitlines() if "-----" not in line)
        if self.password:
            found.add(self.basic())
        return tuple(sorted((s for s in found if len(s) >= _SHORTEST), key=len, reverse=True))


def redact(text: str, credentials: Credentials | None = None) -> str:
    """Return *text* without secrets: those of *credentials*, and user names within URLs."""
    for secret in credentials.secrets() if credentials else ():
        text = text.replace(secret, "[redacted]")
    return _USERINFO.sub("[redacted]@", text)
