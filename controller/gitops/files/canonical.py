"""What is declared as one digest: the same for the same, whatever the file looks like."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from controller.gitops.values import Identity


def digest(
    identity: Identity,
    spec: Mapping[str, Any],
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> str:
    """Return the digest of what is declared: ``sha256:<hex>``.

    *spec* is as its model dumps it (``Model.manifest``), of a file or of a live object.
    """
    text = json.dumps(
        [identity.kind, identity.name, spec, dict(labels), dict(annotations)],
        sort_keys=True,
        separators=(",", ":"),
    )
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
