"""Reads what a repository on this machine has, without starting git.

Only to tell that nothing has changed: whatever is in doubt is left to a fetch.
"""

from collections.abc import Mapping
from pathlib import Path

from runner.git.refs import UnreadableError, read_head, read_refs

_HEADS = "refs/heads/"
_TAGS = "refs/tags/"


def offered(folder: Path, branches: str, head: str) -> Mapping[str, str]:
    """Return the refs that a fetch from *folder* would bring, under the names that it gives them.

    *branches* is the prefix that branches get, *head* the name that HEAD gets. Empty when that
    cannot be told with certainty.
    """
    git_dir = folder / ".git" if (folder / ".git").exists() else folder
    if not (git_dir / "objects").is_dir():
        return {}
    try:
        refs = read_refs(git_dir)
        begin = read_head(git_dir, ".", refs).commit
    except (UnreadableError, OSError):
        return {}
    if not begin:
        return {}
    found = {branches + name.removeprefix(_HEADS): commit for name, commit in refs.items()
             if name.startswith(_HEADS)}  # fmt: skip
    found |= {name: commit for name, commit in refs.items() if name.startswith(_TAGS)}
    found[head] = begin
    return found
