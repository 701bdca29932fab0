"""Hands credentials to one call of git, and to no other program.

A password is in none of URL, command line, configuration, environment and files: git asks a helper,
which reads a descriptor that git has inherited and whose memory goes with it. The helper is set for
this repository's address alone.
"""

import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gitaccess.credentials import Credentials
from gitaccess.places import Location

_SSH_PORT: Final = 22

_HELPER: Final = '!f() { test "$1" = get && cat /dev/fd/%d; }; f'
"""What git runs when the server asks who we are. Source: gitcredentials(7), custom helpers."""


@dataclass(frozen=True, slots=True)
class Way:
    """What one call of git needs to open a repository."""

    environment: Mapping[str, str] = field(repr=False)
    descriptors: tuple[int, ...] = ()
    """To be inherited."""


_NO_SETTINGS: Final[Mapping[str, str]] = {}


@contextmanager
def access(
    location: Location,
    credentials: Credentials | None,
    directory: Path,
    also: str = "",
    settings: Mapping[str, str] = _NO_SETTINGS,
) -> Iterator[Way]:
    """Yield what git needs to open *location*, and remove it afterwards.

    *also* is a further https address on the same host that the password may open; *settings* is
    further configuration for that one call, which is no secret.

    An ssh key, known hosts and certificates are files in *directory* (mode 0600) meanwhile: ssh
    and the TLS library take them in no other way.
    """
    given = credentials or Credentials()
    with ExitStack() as files:

        def once(text: str) -> Path:
            return files.enter_context(_file(text, directory))

        environment = {"GIT_ALLOW_PROTOCOL": location.protocol}
        descriptors: tuple[int, ...] = ()
        if location.protocol == "ssh":
            environment["GIT_SSH_COMMAND"] = _ssh(
                location,
                once(given.ssh_key.strip() + "\n") if given.ssh_key else None,
                once(given.known_hosts.strip() + "\n") if given.known_hosts else None,
            )
            environment["GIT_SSH_VARIANT"] = "ssh"
        elif location.protocol == "https":
            certificates = once(given.ca_certificates) if given.ca_certificates else None
            if given.password:
                descriptors = (files.enter_context(_memory(given.answer(), directory)),)
            settings = {**settings, **_https(location, also, descriptors, certificates)}
        environment |= _configured(settings)
        yield Way(environment, descriptors)


def _ssh(location: Location, key: Path | None, known_hosts: Path | None) -> str:
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
    if location.addresses:
        port = location.port
        alias = location.host if port == _SSH_PORT else f"[{location.host}]:{port}"
        options += [f"HostName={location.addresses[0]}", f"HostKeyAlias={alias}"]
    words = ["ssh", "-F", "/dev/null", *(word for option in options for word in ("-o", option))]
    return shlex.join(words)


def _https(
    location: Location, also: str, descriptors: tuple[int, ...], certificates: Path | None
) -> dict[str, str]:
    settings = {}
    for number in descriptors:
        settings["credential.useHttpPath"] = "true"
        for url in (location.url, also) if also else (location.url,):
            settings[f"credential.{url}.helper"] = _HELPER % number
    if certificates is not None:
        settings["http.sslCAInfo"] = str(certificates)
    if location.addresses:
        found = ",".join(f"[{each}]" if ":" in each else each for each in location.addresses)
        settings["http.curloptResolve"] = f"{location.host}:{location.port}:{found}"
    return settings


def _configured(settings: Mapping[str, str]) -> dict[str, str]:
    environment = {"GIT_CONFIG_COUNT": str(len(settings))} if settings else {}
    for number, (key, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environment


@contextmanager
def _memory(text: str, directory: Path) -> Iterator[int]:
    """Yield a descriptor of a file without a name that holds *text*."""
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("credentials", os.MFD_CLOEXEC)
    else:
        number, name = tempfile.mkstemp(prefix="once-", dir=directory)
        Path(name).unlink()
    try:
        os.write(number, text.encode())
        yield number
    finally:
        os.close(number)


@contextmanager
def _file(text: str, directory: Path) -> Iterator[Path]:
    number, name = tempfile.mkstemp(prefix="once-", dir=directory)  # mode 0600
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
