"""Which API server the user means, and as whom: found and read as kubectl does it.

Plain kubeconfigs (token, token file, client certificate) are read here in a few milliseconds. What
needs a program or a refresh (exec plugins, OIDC) is left to the ``kubernetes`` package, which takes
half a second to import.
"""

import base64
import binascii
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from cli.datadir import DataDir, read_json
from cli.errors import CommandError, NotFound

_LISTS: Final = ("clusters", "contexts", "users")


@dataclass(frozen=True, slots=True)
class Target:
    """An API server and a credential for it."""

    server: str
    namespace: str = "default"
    ca: bytes = b""
    """PEM; empty: the machine's own authorities."""
    insecure: bool = False
    """True: the user chose not to check the server's certificate."""
    server_name: str = ""
    """Name to check the certificate against, if not the one in the address."""
    proxy: str = ""
    authorization: str = field(default="", repr=False)
    """Value of the Authorization header; empty without a token."""
    client_certificate: bytes = b""
    client_key: bytes = field(default=b"", repr=False)
    source: str = ""
    """The kubeconfig, for messages."""


def paths(named: str | None, directory: DataDir) -> list[Path]:
    """Return the kubeconfigs to merge: --kubeconfig, $KUBECONFIG, ~/.kube/config, the mesh's own.

    Raises:
        NotFound: There is none.
    """
    if named:
        return [Path(named).expanduser()]
    if several := os.environ.get("KUBECONFIG"):
        return [Path(one).expanduser() for one in several.split(os.pathsep) if one]
    usual = Path("~/.kube/config").expanduser()
    if usual.is_file():
        return [usual]
    kept = read_json(directory.state).get("kubeconfig")
    ours = Path(kept) if isinstance(kept, str) and kept else directory.kubeconfig
    if ours.is_file():
        return [ours]
    raise NotFound(
        "no kubeconfig: name one with --kubeconfig or $KUBECONFIG, "
        "or start a mesh with `agentsmesh up`"
    )


def load(files: list[Path], *, context: str | None = None, token_file: str | None = None) -> Target:
    """Return what the merged *files* say for *context* (or the current one).

    Raises:
        CommandError: A file cannot be read, or says nothing usable.
    """
    merged = _merge(files)
    source = os.pathsep.join(str(path) for path in files)
    chosen = context or str(merged.get("current-context") or "")
    if not chosen:
        raise CommandError(f"{source} has no current-context: name one with --context")
    where = _entry(merged, "contexts", chosen, source)
    cluster = _entry(merged, "clusters", str(where.get("cluster")), source)
    user = _entry(merged, "users", str(where["user"]), source) if where.get("user") else {}
    target = Target(
        server=str(cluster.get("server") or "").rstrip("/"),
        namespace=str(where.get("namespace") or "default"),
        ca=_data(cluster, "certificate-authority"),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=str(cluster.get("tls-server-name") or ""),
        proxy=str(cluster.get("proxy-url") or ""),
        client_certificate=_data(user, "client-certificate"),
        client_key=_data(user, "client-key"),
        source=source,
    )
    if not target.server:
        raise CommandError(f"{source} names no server for the context {chosen}")
    if token_file:
        return replace(
            target, authorization=_bearer(_read(Path(token_file).expanduser()).decode("utf-8"))
        )
    return _with_credential(target, user, files, chosen)


def _with_credential(
    target: Target, user: dict[str, Any], files: list[Path], context: str
) -> Target:
    if "exec" in user or "auth-provider" in user:
        return _by_plugin(target, files, context)
    if user.get("tokenFile"):
        token = _read(_relative(user, "tokenFile")).decode("utf-8")
        return replace(target, authorization=_bearer(token))
    if user.get("token"):
        return replace(target, authorization=_bearer(str(user["token"])))
    if user.get("username") and user.get("password"):
        pair = f"{user['username']}:{user['password']}".encode()
        return replace(target, authorization="Basic " + base64.b64encode(pair).decode("ascii"))
    return target


def _by_plugin(target: Target, files: list[Path], context: str) -> Target:
    """Have the ``kubernetes`` package run the plugin that the kubeconfig names."""
    import asyncio  # heavy, and only needed here

    from kubernetes.aio.client.configuration import Configuration
    from kubernetes.aio.config import kube_config
    from kubernetes.aio.config.config_exception import ConfigException

    async def run() -> Target:
        settings = Configuration()
        await kube_config.load_kube_config(  # type: ignore[no-untyped-call] # the package has no types
            config_file=os.pathsep.join(str(path) for path in files),
            context=context,
            client_configuration=settings,
            persist_config=False,
        )
        return replace(
            target,
            authorization=str(settings.api_key.get("BearerToken") or ""),
            client_certificate=_read(Path(settings.cert_file)) if settings.cert_file else b"",
            client_key=_read(Path(settings.key_file)) if settings.key_file else b"",
        )

    try:
        return asyncio.run(run())
    except (ConfigException, OSError, ValueError, KeyError, TypeError) as exc:
        raise CommandError(
            f"the credential plugin of {target.source} gave no credential: {exc}"
        ) from exc


def _merge(files: list[Path]) -> dict[str, Any]:
    """Merge as kubectl does: the first file that has a name wins; missing files are passed over."""
    merged: dict[str, Any] = {}
    present = [path for path in files if path.is_file()]
    if not present:
        raise NotFound(f"there is no kubeconfig at {', '.join(str(path) for path in files)}")
    for path in present:
        content = _parse(path)
        if content.get("current-context"):
            merged.setdefault("current-context", content["current-context"])
        for kind in _LISTS:
            for entry in content.get(kind) or []:
                if isinstance(entry, dict):
                    merged.setdefault(kind, []).append((path, entry))
    return merged


def _parse(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.load(_read(path), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe one
    except yaml.YAMLError as exc:
        raise CommandError(f"{path} is not YAML") from exc
    if not isinstance(content, dict):
        raise CommandError(f"{path} is not a kubeconfig")
    return content


def _entry(merged: dict[str, Any], kind: str, name: str, source: str) -> dict[str, Any]:
    """Return the body of the entry *name*; its ``.path`` is where relative paths start."""
    singular = kind.removesuffix("s")
    for path, entry in merged.get(kind, ()):
        if entry.get("name") == name and isinstance(entry.get(singular), dict):
            return {**entry[singular], ".path": path}
    raise CommandError(f"{source} has no entry {name!r} under {kind}")


def _relative(entry: dict[str, Any], key: str) -> Path:
    return Path(entry[".path"]).parent / Path(str(entry[key])).expanduser()


def _data(entry: dict[str, Any], key: str) -> bytes:
    if inline := entry.get(f"{key}-data"):
        try:
            return base64.b64decode(str(inline), validate=True)
        except binascii.Error as exc:
            raise CommandError(f"{entry['.path']}: {key}-data is not base64") from exc
    return _read(_relative(entry, key)) if entry.get(key) else b""


def _bearer(token: str) -> str:
    token = token.strip()
    if not token.isascii() or not token.isprintable():
        raise CommandError("the token in use has characters that no token has")
    return f"Bearer {token}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise CommandError(f"{path} cannot be read: {exc.strerror}") from exc
