"""What `agentsmesh up` was asked for, checked."""

from argparse import Namespace
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from cli.datadir import DataDir, locate
from cli.errors import Usage


@dataclass(frozen=True, slots=True)
class Settings:
    """One `up`."""

    directory: DataDir
    port: int | None
    """Of the embedded API server: 0 = any free ports, None = the usual ones."""
    kubeconfig: Path | None
    """Of an existing cluster; None: the embedded API server."""
    local_repositories: tuple[Path, ...]
    """Folders below which Repository urls may be local paths."""
    max_pods: int | None
    no_isolation: bool = False
    """Whether pods may run without a sandbox, as this account."""
    message_store_url_file: Path | None = None
    """A file with the URL of a PostgreSQL database; None: messages are in the data directory."""
    include_dir: Path | None = None
    """Files to be put into worktrees: ``<namespace>/<repository>/...`` below it."""
    git_networks: tuple[str, ...] = ()
    """Private addresses and networks at which GitSources may read repositories."""

    @property
    def embedded(self) -> bool:
        """Whether the API server is ours."""
        return self.kubeconfig is None

    @property
    def effective_kubeconfig(self) -> Path:
        """The kubeconfig that everybody uses."""
        return self.kubeconfig or self.directory.kubeconfig


def settings(arguments: Namespace) -> Settings:
    """Return the settings in *arguments*.

    Raises:
        Usage: They contradict each other or name what does not exist.
    """
    kubeconfig = (
        Path(arguments.kubeconfig).expanduser().absolute() if arguments.kubeconfig else None
    )
    if kubeconfig is not None and not kubeconfig.is_file():
        raise Usage(f"--kubeconfig {kubeconfig}: there is no such file")
    if kubeconfig is not None and arguments.port:
        raise Usage("--port is the embedded API server's: leave it out with --kubeconfig")
    return Settings(
        locate(arguments.data_dir),
        arguments.port,
        kubeconfig,
        tuple(_folder(name) for name in arguments.allow_local_repositories),
        arguments.max_pods,
        arguments.allow_no_isolation,
        _file(arguments.message_store_url_file),
        _folder(arguments.include_dir, "--include-dir") if arguments.include_dir else None,
        tuple(_network(text) for text in arguments.git_allow),
    )


def _file(name: str | None) -> Path | None:
    if name is None:
        return None
    file = Path(name).expanduser().absolute()
    if not file.is_file():
        raise Usage(f"--message-store-url-file {file}: there is no such file")
    return file


def _network(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError as exc:
        raise Usage(
            f"--git-allow {text}: must be an address or a network, such as 10.0.0.0/8"
        ) from exc


def _folder(name: str, option: str = "--allow-local-repositories") -> Path:
    folder = Path(name).expanduser().absolute()
    if not folder.is_dir():
        raise Usage(f"{option} {folder}: there is no such folder")
    return folder.resolve()
