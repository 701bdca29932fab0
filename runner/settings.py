"""What a runner is told on its command line."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.drivers.mcp_port import FIRST_PORT
from runner.drivers.sandbox.accounts import DEFAULT, Range
from runner.drivers.sandbox.accounts import parse as parse_range
from runner.link.pin import endpoint_of, is_pin


@dataclass(frozen=True, slots=True)
class Settings:
    """The command line, checked."""

    data_dir: Path
    controller: str
    """host:port of the controller's runner port."""
    enroll: str
    """host:port of the controller's public port."""
    organization: str
    name: str
    join_token_file: Path
    ca_pin: str | None
    ca_file: Path | None
    allow_local_repositories: tuple[Path, ...]
    include_dir: Path | None
    """Where files to be put into worktrees are: ``<namespace>/<repository>/...`` below it."""
    allow_writable: tuple[Path, ...]
    allow_no_isolation: bool
    """Whether pods may run without a sandbox, as this account."""
    mcp_port: int
    """Where the MCP servers of pods begin to look for a free port; 0: anywhere."""
    pod_uid_range: Range
    """Numbers of accounts for pods, where this account is root."""
    max_pods: int
    """0 leaves it to the Runner object."""
    log_file: Path | None
    search_path: tuple[Path, ...]
    """Where agents are looked for: the PATH that the runner was started with."""


def parse(arguments: Sequence[str]) -> Settings:
    """Return the settings; prints usage and exits on a wrong command line."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.ca_pin is not None and not is_pin(given.ca_pin):
        printed = "as `agentsmesh enroll create` prints it"
        parser.error(f"--ca-pin must be sha256: and 64 hex digits, {printed}")
    for name in ("controller", "enroll"):
        try:
            endpoint_of(getattr(given, name))
        except ValueError as exc:
            parser.error(f"--{name}: {exc}")
    searched = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return Settings(
        data_dir=given.data_dir.absolute(),
        controller=given.controller,
        enroll=given.enroll,
        organization=given.organization,
        name=given.name,
        join_token_file=(given.join_token_file or given.data_dir / "join-token").absolute(),
        ca_pin=given.ca_pin,
        ca_file=given.ca_file,
        allow_local_repositories=tuple(path.absolute() for path in given.allow_local_repositories),
        include_dir=given.include_dir.absolute() if given.include_dir else None,
        allow_writable=tuple(path.absolute() for path in given.allow_writable),
        allow_no_isolation=given.allow_no_isolation,
        mcp_port=given.mcp_port,
        pod_uid_range=given.pod_uid_range,
        max_pods=given.max_pods,
        log_file=given.log_file,
        search_path=tuple(Path(each) for each in searched if each.startswith("/")),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runner", description="Runs AI coding agents for an AgentsMesh controller."
    )
    add = parser.add_argument
    add("--data-dir", type=Path, required=True, help="where pods, worktrees and identity are kept")
    add("--controller", required=True, metavar="HOST:PORT", help="the controller's runner port")
    add("--enroll", required=True, metavar="HOST:PORT", help="the controller's public port")
    add("--organization", required=True, help="namespace that the Runner belongs to")
    add("--name", required=True, help="name of the Runner")
    add("--join-token-file", type=Path, help="file (0600) with the join token: to enrol, once")
    add("--ca-pin", metavar="sha256:HEX", help="hash of the public key of the controller's root")
    add("--ca-file", type=Path, help="the controller's root certificate, instead of --ca-pin")
    add(
        "--allow-local-repositories",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="let repositories below DIR be opened by path; may be repeated",
    )
    add(
        "--include-dir",
        type=Path,
        metavar="DIR",
        help="files that a Repository's worktree.include names are in DIR/NAMESPACE/REPOSITORY",
    )
    add(
        "--allow-writable",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="let pods ask for write access to DIR; may be repeated",
    )
    add(
        "--allow-no-isolation",
        action="store_true",
        help="let pods run without a sandbox: they can read and do all that this account can",
    )
    add(
        "--mcp-port",
        type=_port,
        default=FIRST_PORT,
        metavar="PORT",
        help=f"first port of 127.0.0.1 for the MCP servers of pods, {FIRST_PORT} if not given, the "
        "next free ones where it is taken; 0: any free ones",
    )
    add(
        "--pod-uid-range",
        type=_uids,
        default=DEFAULT,
        metavar="FIRST-LAST",
        help="user numbers that a root runner gives to pods, one each "
        f"({DEFAULT.first}-{DEFAULT.last})",
    )
    add("--max-pods", type=int, default=0, help="most pods at a time; 0 leaves it to the Runner")
    add("--log-file", type=Path, help="where to log; standard error if not given")
    return parser


def _uids(text: str) -> Range:
    try:
        return parse_range(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port < 65536:
        raise argparse.ArgumentTypeError("it is a number from 0 to 65535")
    return port
