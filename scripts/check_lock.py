"""Check that requirements.lock fits pyproject.toml, has hashes throughout and names no host.

``--digest`` prints the digest of the dependency lists: scripts/lock puts it into the first line.
"""

import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parent.parent
_PIN: Final = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^ ;\\]+)")
_HASH: Final = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def digest(project: dict[str, Any]) -> str:
    """Return the first 12 hexadecimal digits of the digest of all that the lock is made from."""
    lists = [
        project["build-system"]["requires"],
        project["project"]["dependencies"],
        project["project"]["optional-dependencies"],
    ]
    return hashlib.sha256(json.dumps(lists).encode()).hexdigest()[:12]


def requirements(project: dict[str, Any]) -> list[Requirement]:
    """Return what pyproject.toml asks for by name, all extras included."""
    texts = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for extra in project["project"]["optional-dependencies"].values():
        texts += extra
    return [Requirement(text) for text in texts]


def problems(project: dict[str, Any], lock: str) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with *lock*."""
    first, _, _ = lock.partition("\n")
    if f"(sha256 {digest(project)})" not in first:
        yield "it was made from other dependency lists"
    for number, line in enumerate(lock.splitlines(), start=1):
        if "//" in line or " @ " in line:
            yield f"line {number} names a host or a path"
        if line and not (line.lstrip().startswith("#") or _PIN.match(line) or _HASH.match(line)):
            yield f"line {number} is neither a pin nor a SHA-256 hash"
    versions = pins(lock)
    for wanted in requirements(project):
        version = versions.get(canonicalize_name(wanted.name))
        if version is None:
            yield f"{wanted.name} is missing, or has no hash"
        elif not wanted.specifier.contains(version, prereleases=True):
            yield f"{wanted.name} {version} does not fit {wanted.specifier}"


def pins(lock: str) -> dict[str, str]:
    """Return the version of each package that has at least one hash."""
    versions: dict[str, str] = {}
    pin = None
    for line in lock.splitlines():
        if match := _PIN.match(line):
            pin = match
        elif _HASH.match(line) and pin is not None:
            versions[canonicalize_name(pin["name"])] = pin["version"]
    return versions


def main() -> int:
    """Print what is wrong; return 0 if nothing is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    if sys.argv[1:] == ["--digest"]:
        sys.stdout.write(digest(project) + "\n")
        return 0
    found = list(problems(project, (ROOT / "requirements.lock").read_text("utf-8")))
    for problem in found:
        sys.stderr.write(f"requirements.lock: {problem}; run make lock\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
