"""Repositories with many tickets and pods, and commits on them, made without a checkout."""

import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.mesh import run

BRANCH = "refs/heads/main"
BODY = "What there is to do, in a few words, so that the file is as long as such files are.\n" * 12
"""Of every ticket."""


def ticket_path(number: int) -> str:
    """Return where ticket *number* lies: folders of some hundred files."""
    return f"tickets/{number % 100:02d}/tk-{number:08d}-one-of-many.md"


def ticket(number: int, *, title: str = "", state: str = "todo") -> str:
    """Return the file of ticket *number*, about 1.2 KB."""
    return (
        f"---\nid: tk-{number:08d}\ntitle: {title or f'Ticket number {number}'}\nstate: {state}\n"
        f"type: task\npriority: medium\nlabels: [bench, part{number % 10}]\n"
        f"acceptance:\n  - {{id: a1, text: it works, done: false}}\n---\n{BODY}"
    )


def pod_path(number: int) -> str:
    """Return where the manifest of pod *number* lies."""
    return f"pods/pod-{number:04d}.yaml"


def pod(number: int, spec: str) -> str:
    """Return a manifest of an AgentPod; *spec* is YAML in one line."""
    return (
        "apiVersion: agentsmesh.io/v1alpha1\nkind: AgentPod\n"
        f"metadata: {{name: pod-{number:04d}}}\nspec: {spec}\n"
    )


def make(bare: Path, files: Mapping[str, str]) -> str:
    """Make a bare repository with one commit of *files* on main; return the commit."""
    run("git", "init", "-q", "--bare", "-b", "main", str(bare))
    return commit(bare, files, first=True)


def commit(
    bare: Path, files: Mapping[str, str], *, gone: Iterable[str] = (), first: bool = False
) -> str:
    """Commit *files*, without those *gone*, on top of main; return the commit."""
    message = b"Change\n"
    stamp = "committer Bench <bench@example.invalid> now\n"
    parts = [f"commit {BRANCH}\n{stamp}data {len(message)}\n".encode(), message]
    if not first:
        parts.append(f"from {BRANCH}^0\n".encode())
    for path, text in files.items():
        data = text.encode()
        parts += [f"M 100644 inline {path}\ndata {len(data)}\n".encode(), data, b"\n"]
    parts += [f"D {path}\n".encode() for path in gone]
    argv = ("git", "-C", str(bare), "fast-import", "--quiet", "--date-format=now")
    subprocess.run(argv, input=b"".join(parts), check=True, capture_output=True)
    return tip(bare)


def tip(bare: Path) -> str:
    """Return the latest commit of main."""
    return run("git", "-C", str(bare), "rev-parse", BRANCH).strip()


def count(bare: Path) -> int:
    """Return how many commits main has."""
    return int(run("git", "-C", str(bare), "rev-list", "--count", BRANCH))


def porcelain_commit_ms(bare: Path, folder: Path, rounds: int) -> list[float]:
    """Return how long `git add` and `git commit` of one changed ticket take in a clone, each."""
    run("git", "clone", "-q", str(bare), str(folder))
    git = ("git", "-c", "user.name=Bench", "-c", "user.email=bench@example.invalid", "-C")
    taken = []
    for number in range(rounds):
        path = ticket_path(number)
        (folder / path).write_text(ticket(number, state="in_review"), encoding="utf-8")
        start = time.perf_counter()
        run(*git, str(folder), "add", "--", path)
        run(*git, str(folder), "commit", "-q", "-m", f"Change ticket {number}")
        taken.append((time.perf_counter() - start) * 1000)
    return taken
