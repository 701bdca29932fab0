"""``agentsmesh saved``: the work of pods that are gone, and how to have it back."""

import shlex
from argparse import Namespace

from cli.channel_text import printable
from cli.datadir import locate
from cli.kept import entries, kept_files, runner_directory


def saved(arguments: Namespace) -> int:
    """Print each saved ref of the runner on a data directory, with the command that fetches it."""
    directory = runner_directory(locate(arguments.data_dir))
    found = 0
    for entry in entries(directory):
        found += 1
        whose = f"  {entry.namespace}/{entry.pod}" if entry.pod else ""
        print(printable(f"{entry.ref}  {entry.date} {entry.commit[:10]}{whose}"))
        branch = entry.ref.removeprefix("refs/agentsmesh/")
        what = f"{entry.ref}:refs/heads/{branch}"
        command = ("git", "fetch", str(entry.repository), what)
        print(f"  {printable(shlex.join(command))}")
    for files in kept_files(directory):
        found += 1
        whose = f"  {files.namespace}/{files.pod}" if files.pod else ""
        print(printable(f"{files.folder}  files that no commit could hold{whose}"))
    if not found:
        print(f"nothing is saved below {directory / 'caches'}")
    return 0
