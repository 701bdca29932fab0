"""The administrator's kubeconfig, with the CA and the token inside."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

import yaml

from apiserver.auth.tokenfile import ADMIN, write_private

_NAME: Final = "agentsmesh"


def render(url: str, ca_pem: bytes, token: str) -> bytes:
    """Return the text of a kubeconfig."""
    cluster = {
        "server": url,
        "certificate-authority-data": base64.b64encode(ca_pem).decode(),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _NAME, "cluster": cluster}],
        "users": [{"name": ADMIN, "user": {"token": token}}],
        "contexts": [
            {
                "name": _NAME,
                "context": {"cluster": _NAME, "user": ADMIN, "namespace": "default"},
            }
        ],
        "current-context": _NAME,
    }
    return yaml.safe_dump(config, sort_keys=False).encode()


def write(path: Path, content: bytes) -> None:
    """Write the kubeconfig (mode 0600) unless it is there already, just so."""
    try:
        if path.read_bytes() == content:
            path.chmod(0o600)
            return
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(path, content)
