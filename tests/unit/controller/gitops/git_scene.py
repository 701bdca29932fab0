"""A bare repository that people push to, served over https, and a mirror of it."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from controller.gitops.committing import Draft
from controller.gitops.mirror import Mirror
from controller.gitops.remote import Remote
from controller.gitops.upstream import MirrorSettings
from controller.gitops.values import Author
from controller.services.notification_addresses import networks
from gitaccess.command import Git
from gitaccess.credentials import Credentials
from tests.unit.runner.drivers.worktree.git_server import GitServer, certificate
from tests.unit.runner.drivers.worktree.scene import PERSON, git

PASSWORD = "canary-hunter2"
LOOPBACK = networks(("127.0.0.0/8",))
POD = Author("claude (apod-x1)", "apod-x1.0123@pods.invalid")
US = Author("AgentsMesh", "agentsmesh@agentsmesh.invalid")


class Team:
    """People with a clone of a bare repository."""

    def __init__(self, folder: Path) -> None:
        self.bare = folder / "team.git"
        self.clone = folder / "clone"
        git(folder, "init", "-q", "--bare", "-b", "main", str(self.bare))
        git(folder, "init", "-q", "-b", "main", str(self.clone))

    def push(self, files: Mapping[str, str | bytes | None], message: str = "work") -> str:
        """Commit the files (None deletes) and push; return the commit."""
        for name, text in files.items():
            path = self.clone / name
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        git(self.clone, "add", "-A", "-f")
        git(self.clone, "commit", "-q", "--allow-empty", "-m", message)
        self.force()
        return git(self.clone, "rev-parse", "HEAD")

    def force(self, *specs: str) -> None:
        """Push whatever is in the clone, whatever is there."""
        git(self.clone, "push", "-q", "-f", str(self.bare), *(specs or ("HEAD:refs/heads/main",)))

    def rebuild(self) -> None:
        """Begin the bare repository anew."""
        shutil.rmtree(self.bare)
        git(self.bare.parent, "init", "-q", "--bare", "-b", "main", str(self.bare))

    def tip(self, branch: str = "main") -> str:
        return git(self.bare, "rev-parse", f"refs/heads/{branch}")

    def show(self, name: str) -> str:
        return git(self.bare, "show", f"main:{name}")


def fast_import(repository: Path, stream: bytes) -> None:
    """Put into a repository what git itself would not let people make."""
    command = ["git", "-C", str(repository), "fast-import", "--quiet", "--force"]
    subprocess.run(command, input=stream, env=PERSON, check=True)


def local_mirror(folder: Path, team: Team, **more: Any) -> Mirror:
    """A mirror of the bare repository, opened by its path."""
    settings = replace(MirrorSettings(local_folders=(team.bare.parent,)), **more)
    made = mirror(folder, settings)
    made.use(Remote(str(team.bare), "main"))
    return made


def mirror(folder: Path, settings: MirrorSettings) -> Mirror:
    ours = Git(folder / "home")
    ours.prepare()
    return Mirror(folder / "mirrors" / "uid-1", ours, settings)


@contextmanager
def served(folder: Path, root: Path, canary: str = "") -> Iterator[tuple[GitServer, Credentials]]:
    """Serve what is below *root* to who knows the password; *canary* is looked for everywhere."""
    trust = certificate(folder / "server.pem")
    credentials = Credentials("ada", PASSWORD, ca_certificates=trust)
    server = GitServer(root, folder / "server.pem", f"Basic {credentials.basic()}", canary)
    try:
        yield server, credentials
    finally:
        server.stop()


def draft(
    files: Mapping[str, bytes | None], message: str = "Change", author: Author = POD
) -> Draft:
    return Draft(files, author, US, message, 1_700_000_000)
