"""The contracts on imports bite, and programs are started only where that is the business."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "gitaccess", "controller", "runner", "apiserver", "cli")

STARTS_PROGRAMS = {
    "gitaccess/command.py": "git, in its own process group",
    "runner/drivers/trash.py": "a Python that deletes, at the lowest priority",
    "runner/drivers/terminal_zygote.py": "the zygote",
    "runner/drivers/sandbox/probe.py": "bubblewrap, to see whether it works",
    "runner/drivers/sandbox/version.py": "an agent's program in a sandbox, to hear its version",
    "runner/drivers/sandbox/dial.py": "what enters a pod's network and connects there",
    "runner/drivers/sandbox/landlock_exec.py": "the agent, in place of itself",
    "runner/terminals/aside.py": "what draws screens, aside",
    "runner/shim/scope.py": "what a scope is around, in place of itself",
    "cli/kept.py": "git, to list what the caches of runners keep",
    "cli/clone.py": "git, in the clone that the user is in",
    "cli/plan/place.py": "git, in the repository that a plan is made of",
    "cli/up/supervise.py": "the processes of a mesh",
    "cli/up/detached.py": "agentsmesh up in the background",
    "cli/up/child.py": "one process of a mesh, in place of itself",
}
_STARTERS = re.compile(
    r"asyncio\.create_subprocess_|loop\.subprocess_|subprocess\.|multiprocessing\."
    r"|os\.(exec|spawn|posix_spawn|popen|system)"
)

PLANTED = {
    "controller/app.py": ("import kopf", "Kopf is an informer: one file imports it"),
    "controller/directory.py": (
        "import kubernetes.aio.client",
        "The API client of Kubernetes is wrapped once per edge",
    ),
    "controller/reconcilers/conditions.py": (
        "import asyncio",
        "What the controller decides is pure, with all that it stands on",
    ),
    "runner/converge/states.py": (
        "import sqlite3",
        "What the runner decides is pure, with all that it stands on",
    ),
    "runner/drivers/screen.py": ("import ptyprocess", "Only the shim knows pseudo-terminals"),
    "runner/drivers/worktree.py": (
        "import subprocess",
        "Programs are started by gitaccess, the zygote and the probe of the sandbox",
    ),
}


def _starts_programs(source: str) -> bool:
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return any(_STARTERS.match(ast.unparse(function)) for function in calls)


def test_programs_are_started_only_by_the_files_that_are_named_here() -> None:
    found = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        if _starts_programs(file.read_text())
    }
    assert found == STARTS_PROGRAMS.keys()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for package in (*PACKAGES, "proto"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _broken(tree: Path) -> set[str]:
    """Return the names of the contracts that the tree does not keep."""
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    code = f"import sys; sys.path[:0] = [{str(tree)!r}, {str(tree / 'proto')!r}]; {lint}"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=tree,
        env={"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Contracts:" in done.stdout, done.stderr
    lines = done.stdout.splitlines()
    return {line.partition(" BROKEN")[0] for line in lines if " BROKEN" in line}


def test_each_contract_finds_what_breaks_it(tree: Path) -> None:
    assert _broken(tree) == set()
    for path, (line, _) in PLANTED.items():
        file = tree / path
        file.write_text(f"{file.read_text()}\n\n{line}\n")
    assert _broken(tree) == {contract for _, contract in PLANTED.values()}
