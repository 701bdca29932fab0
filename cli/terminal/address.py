"""Where a pod's terminal is to be had, and with which credential: asked at every connection."""

from argparse import Namespace
from dataclasses import dataclass, field

from cli import enrolment
from cli.api import Api
from cli.datadir import locate
from cli.errors import CommandError
from cli.kubeconfig import Target, load, paths


@dataclass(frozen=True, slots=True)
class Address:
    """The controller's public port and what to show there."""

    endpoint: str
    """host:port."""
    roots: bytes
    """PEM."""
    token: str = field(repr=False)
    """Value of the metadata ``authorization``."""
    namespace: str


class Desk:
    """Finds the address by the kubeconfig; token and port may be others than last time."""

    def __init__(self, arguments: Namespace) -> None:
        self._arguments = arguments

    def address(self) -> Address:
        """Return where to go now. Blocking.

        Raises:
            CommandError: There is no kubeconfig, no such organization, or no token in use.
        """
        target = self._target()
        if not target.authorization.startswith("Bearer "):
            raise CommandError(
                f"the kubeconfig {target.source} has no token that could be passed on to the "
                "controller: give one with --token-file, made by `kubectl create token NAME`"
            )
        namespace = self._arguments.namespace or target.namespace
        doors = enrolment.doors(Api(target), namespace)
        return Address(doors.enrolment, doors.roots, target.authorization, namespace)

    def _target(self) -> Target:
        directory = locate(self._arguments.data_dir)
        return load(
            paths(self._arguments.kubeconfig, directory),
            context=self._arguments.context,
            token_file=self._arguments.token_file,
        )
