"""Lays out bare repositories by hand: a few files, no process.

Source: gitrepository-layout(5). The format is version 0, which every git reads.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

WORKTREE_DIR: Final = "worktrees/worktree"
"""Where a repository keeps what belongs to its only worktree."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a new bare repository holds."""

    alternates: Sequence[Path] = ()
    """Object folders that it borrows from, best first."""

    refs: Mapping[str, str] = field(default_factory=dict)
    """Full name to object id."""

    origin: str = ""
    """URL of the remote; empty without one."""

    tracking: tuple[str, str] | None = None
    """Local branch and the upstream branch that it follows."""

    work_tree: Path | None = None
    """Where the files of a submodule's repository are; None: it is bare."""


def lay_out(path: Path, blueprint: Blueprint) -> None:
    """Write a bare repository at *path*, which does not exist yet."""
    for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
        (path / folder).mkdir(parents=True)
    (path / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
    (path / "config").write_text(_config(blueprint), encoding="utf-8")
    if blueprint.alternates:
        set_alternates(path, blueprint.alternates)
    if blueprint.refs:
        write_refs(path, blueprint.refs)


def write_refs(repository: Path, refs: Mapping[str, str]) -> None:
    """Write the packed refs of a repository that no git works on."""
    lines = (f"{commit} {name}\n" for name, commit in sorted(refs.items()))
    (repository / "packed-refs").write_text("".join(lines), encoding="utf-8")


def set_alternates(repository: Path, folders: Iterable[Path]) -> None:
    """Let *repository* borrow objects from *folders*, best first."""
    text = "".join(f"{folder}\n" for folder in folders)
    new = repository / "objects/info/alternates.new"
    new.write_text(text, encoding="utf-8")
    new.replace(repository / "objects/info/alternates")


def copy_shallow(lender: Path, repository: Path) -> None:
    """Let *repository* know where the history ends that it borrows from *lender*.

    Source: gitrepository-layout(5), shallow.
    """
    try:
        text = (lender / "shallow").read_bytes()
    except FileNotFoundError:
        return
    new = repository / "shallow.new"
    new.write_bytes(text)
    new.replace(repository / "shallow")


def object_folders(repository: Path) -> tuple[Path, ...]:
    """Return where the objects of a repository of the runner's own are: its folder, and others."""
    own = repository / "objects"
    borrowed = own / "info" / "alternates"
    if not borrowed.exists():
        return (own,)
    return (own, *(Path(line) for line in borrowed.read_text(encoding="utf-8").splitlines()))


def add_worktree(built: Path, final: Path, branch: str, commit: str) -> None:
    """Write what makes ``worktree`` a worktree of ``repo.git``, on a new branch, without its files.

    Both folders are in *built*, which will be renamed to *final*. Only for a repository that no
    agent has seen. ``git worktree add`` does the same with three processes more.
    """
    repository = built / "repo.git"
    git_dir, head = repository / WORKTREE_DIR, repository / "refs/heads" / branch
    for folder in (built / "worktree", git_dir, head.parent):
        folder.mkdir(parents=True, exist_ok=True)
    head.write_text(f"{commit}\n", encoding="utf-8")
    (git_dir / "HEAD").write_text(f"ref: refs/heads/{branch}\n", encoding="utf-8")
    (git_dir / "commondir").write_text("../..\n", encoding="utf-8")
    (git_dir / "gitdir").write_text(f"{final / 'worktree/.git'}\n", encoding="utf-8")
    inner = final / "repo.git" / WORKTREE_DIR
    (built / "worktree/.git").write_text(f"gitdir: {inner}\n", encoding="utf-8")


def add_settings(repository: Path, settings: Mapping[str, Mapping[str, str]]) -> None:
    """Add sections with their values to the configuration of a repository no agent has seen.

    A section is ``lfs``, or ``submodule "name"`` as ``subsection`` writes it.
    """
    lines = []
    for section, values in settings.items():
        lines.append(f"[{section}]")
        lines += [f"\t{key} = {_quoted(value)}" for key, value in values.items()]
    with (repository / "config").open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def subsection(section: str, name: str) -> str:
    """Return the head of a section with a name."""
    return f"{section} {_quoted(name)}"


def _config(blueprint: Blueprint) -> str:
    lines = [
        "[core]",
        "\trepositoryformatversion = 0",
        "\tfilemode = true",
        "\tbare = true" if blueprint.work_tree is None else "\tbare = false",
        "\tlogallrefupdates = true",
    ]
    if blueprint.work_tree is not None:
        lines.append(f"\tworktree = {_quoted(str(blueprint.work_tree))}")
    lines += ["[gc]", "\tauto = 0"]
    if blueprint.origin:
        lines += [
            '[remote "origin"]',
            f"\turl = {_quoted(blueprint.origin)}",
            "\tfetch = +refs/heads/*:refs/remotes/origin/*",
        ]
    if blueprint.tracking:
        branch, upstream = blueprint.tracking
        lines += [
            f"[branch {_quoted(branch)}]",
            "\tremote = origin",
            f"\tmerge = {_quoted('refs/heads/' + upstream)}",
        ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return *text* as a quoted value of a git configuration file. It holds no line break."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
