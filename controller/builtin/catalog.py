"""Reads the built-in AgentClasses, one YAML file each, beside this module."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from schemas.agentclass import AgentClass, AgentClassSpec
from schemas.names import AGENT_CLASS, ANNOTATION_BUILTIN, FIELD_MANAGER, LABEL_MANAGED_BY

_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Builtin:
    """An AgentClass of this release."""

    name: str
    spec: dict[str, Any]
    """As it stands in the file."""
    digest: str
    """Of what the spec says, see ``digest``."""

    @property
    def manifest(self) -> dict[str, Any]:
        """The object as it is applied, with the digest as an annotation."""
        return {
            "apiVersion": AGENT_CLASS.api_version,
            "kind": AGENT_CLASS.kind,
            "metadata": {
                "name": self.name,
                "labels": {LABEL_MANAGED_BY: FIELD_MANAGER},
                "annotations": {ANNOTATION_BUILTIN: self.digest},
            },
            "spec": self.spec,
        }


@cache
def builtins() -> tuple[Builtin, ...]:
    """Return the built-in classes, by name.

    Raises:
        ValueError: A file is not an AgentClass.
    """
    return tuple(_read(path) for path in sorted(_FOLDER.glob("*.yaml")))


def builtin(name: str) -> Builtin:
    """Return one of them.

    Raises:
        KeyError: There is none of that name.
    """
    return {each.name: each for each in builtins()}[name]


def digest(spec: dict[str, Any]) -> str:
    """Return the SHA-256 of what *spec* says, hexadecimal.

    The API server fills in defaults, and a later release knows more of them: a default counts as
    if it were not there.

    Raises:
        ValueError: It is not the spec of an AgentClass.
    """
    said = AgentClassSpec.model_validate(spec).model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude_none=True
    )
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> Builtin:
    manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    name = AgentClass.model_validate(manifest).metadata.name
    spec = manifest["spec"]
    return Builtin(name, spec, digest(spec))
