"""Hands credentials to one call of git: by its environment, never by its command line."""

import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from runner.git.credentials import Credentials
from runner.git.names import Location


@contextmanager
def access(
    location: Location, credentials: Credentials | None, directory: Path
) -> Iterator[dict[str, str]]:
    """Yield what git's environment needs to open *location*, and remove it afterwards.

    An ssh key, known hosts and certificates are files in *directory* (mode 0600) meanwhile: ssh
    and the TLS library take them in no other way.
    """
    given = credentials or Credentials()
    with ExitStack() as files:

        def once(text: str) -> Path:
            return files.enter_context(_file(text, directory))

        environment = {"GIT_ALLOW_PROTOCOL": location.protocol}
        if location.protocol == "ssh":
            environment["GIT_SSH_COMMAND"] = _ssh(
                once(given.ssh_key.strip() + "\n") if given.ssh_key else None,
                once(given.known_hosts.strip() + "\n") if given.known_hosts else None,
            )
            environment["GIT_SSH_VARIANT"] = "ssh"
        elif location.protocol == "https":
            certificates = once(given.ca_certificates) if given.ca_certificates else None
            environment |= _https(location.url, given, certificates)
        yield environment


def _ssh(key: Path | None, known_hosts: Path | None) -> str:
    """Return the ssh command: our key or none, known hosts only, no file of the user's."""
    options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        f"IdentityFile={key or 'none'}",
        "PasswordAuthentication=no",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
        "ConnectTimeout=20",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=3",
    ]
    if known_hosts is not None:
        options += [f"UserKnownHostsFile={known_hosts}", "GlobalKnownHostsFile=/dev/null"]
    words = ["ssh", "-F", "/dev/null", *(word for option in options for word in ("-o", option))]
    return shlex.join(words)


def _https(url: str, given: Credentials, certificates: Path | None) -> dict[str, str]:
    parts = urlsplit(url)
    settings = {}
    if given.password:
        # Only for this server: git sends it to no other, and redirects are off.
        origin = f"{parts.scheme}://{parts.netloc}/"
        settings[f"http.{origin}.extraHeader"] = f"Authorization: Basic {given.basic()}"
    if certificates is not None:
        settings["http.sslCAInfo"] = str(certificates)
    environment = {"GIT_CONFIG_COUNT": str(len(settings))} if settings else {}
    for number, (key, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environment


@contextmanager
def _file(text: str, directory: Path) -> Iterator[Path]:
    number, name = tempfile.mkstemp(prefix="once-", dir=directory)  # mode 0600
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
