"""What the controller is told on its command line."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from controller.services.notification_addresses import Network, networks

MESSAGE_STORE_URL: Final = "AGENTSMESH_MESSAGE_STORE_URL"
"""Variable with the URL of a PostgreSQL database. It holds a password: never an argument."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The command line, checked."""

    data_dir: Path
    """For ``ports.json`` and, if no other store is named, ``messages.db``: keep it."""
    kubeconfig: Path | None = None
    """None: from inside a cluster."""
    runner_listen: str = "127.0.0.1:7443"
    public_listen: str = "127.0.0.1:7444"
    webhook_listen: str = ""
    """Where git hosts tell of pushes, in plain HTTP. Empty: nowhere."""
    advertise_host: str = "127.0.0.1"
    log_file: Path | None = None
    """None: standard error."""
    leaf_lifetime_seconds: int = 86_400
    allow_local_repositories: tuple[Path, ...] = ()
    """Below these folders repositories are opened by their path."""
    git_networks: tuple[Network, ...] = ()
    """Where git may connect to beside what is allowed by itself."""
    workers: int = 16
    """Objects reconciled at the same time."""
    sweep_seconds: float = 600.0
    """How often everything is listed, in case a watch has hidden something."""
    relist_seconds: float = 30.0
    """How soon after a sign of that."""
    message_store_url_file: Path | None = None
    """A file with the URL of a PostgreSQL database for messages. None: see the next."""
    webhook_networks: tuple[Network, ...] = ()
    """Where notifications may go beside what is allowed by itself."""
    message_store_url: str = field(default="", repr=False)
    """That URL itself, from the environment. Empty: an SQLite database in the data directory."""


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Return the settings; prints usage and exits on a wrong command line."""
    parser = _parser()
    given = parser.parse_args(arguments)
    for flag in ("runner_listen", "public_listen", "webhook_listen"):
        _, _, port = getattr(given, flag).rpartition(":")
        if flag == "webhook_listen" and not given.webhook_listen:
            continue
        if not port.isdecimal() or int(port) > 65_535:
            parser.error(f"--{flag.replace('_', '-')} must be HOST:PORT, such as 127.0.0.1:7443")
    if given.message_store_url_file is not None and environment.get(MESSAGE_STORE_URL):
        parser.error(f"--message-store-url-file and {MESSAGE_STORE_URL}: give one of them")
    if given.leaf_lifetime_seconds < 10:
        parser.error("--leaf-lifetime-seconds must be at least 10")
    try:
        webhook_networks = networks(given.webhook_allow)
    except ValueError as exc:
        parser.error(f"--webhook-allow must be an address or a network, such as 10.0.0.0/8: {exc}")
    try:
        git_networks = networks(given.git_allow)
    except ValueError as exc:
        parser.error(f"--git-allow must be an address or a network, such as 10.0.0.0/8: {exc}")
    return Settings(
        webhook_networks=webhook_networks,
        data_dir=given.data_dir.absolute(),
        kubeconfig=given.kubeconfig.absolute() if given.kubeconfig else None,
        runner_listen=given.runner_listen,
        public_listen=given.public_listen,
        webhook_listen=given.webhook_listen,
        advertise_host=given.advertise_host,
        log_file=given.log_file,
        leaf_lifetime_seconds=given.leaf_lifetime_seconds,
        allow_local_repositories=tuple(path.absolute() for path in given.allow_local_repositories),
        git_networks=git_networks,
        workers=given.workers,
        sweep_seconds=given.sweep_seconds,
        relist_seconds=given.relist_seconds,
        message_store_url_file=given.message_store_url_file,
        message_store_url=environment.get(MESSAGE_STORE_URL, ""),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m controller",
        description="Converges AgentsMesh resources.",
        allow_abbrev=False,  # a URL after --message-store-url would be shown to everybody
    )
    add = parser.add_argument
    add("--kubeconfig", type=Path, help="the API server to work for; without it: in-cluster")
    add("--data-dir", type=Path, required=True, help="for ports.json, and messages.db: keep it")
    add(
        "--webhook-allow",
        action="append",
        default=[],
        metavar="NETWORK",
        help="let notifications go to this address or network although it is link-local, a cloud's "
        "metadata service or, for http://, not on loopback (repeatable)",
    )
    add(
        "--message-store-url-file",
        type=Path,
        metavar="FILE",
        help="file with the postgresql:// URL of a database for messages, readable by us alone; "
        f"or set {MESSAGE_STORE_URL}; without either: messages.db in --data-dir",
    )
    add("--runner-listen", default="127.0.0.1:7443", metavar="HOST:PORT", help="port of runners")
    add("--public-listen", default="127.0.0.1:7444", metavar="HOST:PORT", help="port of people")
    add(
        "--webhook-listen",
        default="",
        metavar="HOST:PORT",
        help="port at which git hosts tell of pushes to GitSources: plain HTTP, so let something "
        "that speaks TLS stand before it; without this there is none",
    )
    add("--advertise-host", default="127.0.0.1", help="host under which both are reached")
    add("--log-file", type=Path, help="where to log; standard error if not given")
    add("--leaf-lifetime-seconds", type=int, default=86_400, help="of runners' certificates")
    add(
        "--allow-local-repositories",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="open repositories below this folder by their path, and let runners do so below the "
        "folders that each of them allows (repeatable)",
    )
    add(
        "--git-allow",
        action="append",
        default=[],
        metavar="NETWORK",
        help="let git connect to this address or network for GitSources although it is loopback, "
        "private or link-local (repeatable)",
    )
    add("--workers", type=int, default=16, help="objects reconciled at the same time")
    add("--sweep-seconds", type=float, default=600.0, help="how often everything is listed")
    add("--relist-seconds", type=float, default=30.0, help="how soon after a broken watch")
    return parser
