"""Where the API server is and how we prove who we are: from a kubeconfig, or from inside a cluster.

The files are read by the ``kubernetes`` package, so that every form works that kubectl knows:
tokens, token files, client certificates, exec plugins, in-cluster service accounts.
"""

import asyncio
import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import yaml
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import incluster_config, kube_config
from kubernetes.aio.config.config_exception import ConfigException

from controller.kube.errors import Misconfigured

# The package's own annotations are incomplete here.
_in_cluster: Any = incluster_config.load_incluster_config
_loader: Any = kube_config.KubeConfigLoader
_node: Any = kube_config.ConfigNode

_POOL: Final = 32
"""Connections to the API server at the same time."""


class Access:
    """The address and the credential, as last read."""

    def __init__(self, kubeconfig: Path | None) -> None:
        self._kubeconfig = kubeconfig
        self.configuration = Configuration()

    def again(self) -> "Access":
        """Return a fresh one of the same kubeconfig, not loaded yet, for another event loop."""
        return Access(self._kubeconfig)

    async def load(self) -> None:
        """Read the kubeconfig, or without one what Kubernetes gives to a container.

        Raises:
            Misconfigured: There is none, or it cannot be used.
        """
        fresh = Configuration()
        fresh.connection_pool_maxsize = _POOL
        fresh.retries = None
        # or the environment's proxy and ~/.netrc are looked up, in two threads, for each request
        fresh.client_session_kwargs = {"trust_env": False}
        try:
            if self._kubeconfig is None:
                _in_cluster(client_configuration=fresh)
            else:
                await _read(self._kubeconfig, fresh)
        except (ConfigException, OSError, ValueError, KeyError, TypeError) as exc:
            where = self._kubeconfig or "the container's service account"
            raise Misconfigured(f"cannot use {where} to reach the API server: {exc}") from exc
        fresh.proxy = fresh.proxy or _proxy(str(fresh.host))
        self.configuration = fresh

    async def authorization(self) -> str:
        """Return the value of the Authorization header; empty with a client certificate alone."""
        settings: Any = await self.configuration.auth_settings()
        return str(settings.get("BearerToken", {}).get("value") or "")


def _proxy(server: str) -> str | None:
    """Return the proxy that the environment names for *server*, None: there is none."""
    there = urlsplit(server)
    if not there.hostname or proxy_bypass(there.hostname):
        return None
    return getproxies().get(there.scheme)


async def _read(path: Path, into: Configuration) -> None:
    try:
        text = await asyncio.to_thread(path.read_text, encoding="utf-8")
        content = yaml.safe_load(text)
    except OSError as exc:
        raise Misconfigured(f"the kubeconfig {path} cannot be read: {exc.strerror}") from exc
    except yaml.YAMLError as exc:
        # the parser's own message quotes the file, and the file holds credentials
        raise Misconfigured(f"the kubeconfig {path} is not valid YAML") from exc
    if not isinstance(content, dict):
        raise Misconfigured(f"the kubeconfig {path} is empty or not a mapping")
    loader = _loader(
        config_dict=_node(str(path), content, str(path)),
        config_base_path=os.path.dirname(os.path.abspath(path)),  # noqa: ASYNC240, PTH100 - no I/O
    )
    await loader.load_and_set(into)
