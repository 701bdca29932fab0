"""The rules of the core kinds: Namespace, Secret, ConfigMap."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

import orjson
from typing_extensions import override

from apiserver import clock
from apiserver.errors import bad_request, forbidden
from apiserver.kinds.names import dns_label
from apiserver.kinds.strategy import Context, Strategy, keep, keep_all_but_status
from apiserver.schema.errors import FieldError, invalid, required
from apiserver.schema.errors import forbidden as field_forbidden
from apiserver.store.records import Object

_DATA_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+").fullmatch
_MOST_BYTES: Final = 1 << 20
_PROTECTED: Final = frozenset({"default", "kube-system", "kube-public"})
NAMESPACE_FINALIZER: Final = "kubernetes"


class NamespaceStrategy(Strategy):
    """A namespace stays, Terminating, until everything in it is gone."""

    @override
    def name_errors(self, name: str) -> list[str]:
        """Return what is wrong with *name*: it must be a DNS label."""
        return dns_label(name)

    @override
    def default(self, obj: Object) -> None:
        """Label the namespace with its name."""
        meta = obj["metadata"]
        if meta.get("name"):
            meta["labels"] = (meta.get("labels") or {}) | {
                "kubernetes.io/metadata.name": meta["name"]
            }

    @override
    def prepare_create(self, ctx: Context, obj: Object) -> None:
        """Start as Active."""
        obj["spec"] = {"finalizers": [NAMESPACE_FINALIZER]}
        obj["status"] = {"phase": "Active"}
        self.default(obj)  # a generated name is known only now

    @override
    def prepare_update(self, ctx: Context, obj: Object, old: Object) -> None:
        """Each endpoint changes its own part only."""
        if ctx.subresource == "status":
            keep_all_but_status(obj, old)
        elif ctx.subresource == "finalize":
            finalizers = (obj.get("spec") or {}).get("finalizers") or []
            keep_all_but_status(obj, old)
            keep(obj, old, "status")
            obj["spec"] = {"finalizers": finalizers} if finalizers else {}
        else:
            keep(obj, old, "spec")
            keep(obj, old, "status")

    @override
    def prepare_delete(self, ctx: Context, old: Object) -> Object | None:
        """Begin to terminate; the namespace controller does the rest."""
        name = old["metadata"]["name"]
        if name in _PROTECTED:
            raise forbidden("", "namespaces", name, "this namespace may not be deleted")
        if not self.holds(old):
            return None
        if "deletionTimestamp" not in old["metadata"]:
            old["metadata"]["deletionTimestamp"] = clock.stamp(ctx.now)
        old["status"] = (old.get("status") or {}) | {"phase": "Terminating"}
        return old

    @override
    def holds(self, obj: Object) -> bool:
        """Tell whether there may still be content."""
        return bool((obj.get("spec") or {}).get("finalizers"))


def _bytes_of(field: str, data: Any) -> int:
    total = 0
    for key, value in (data or {}).items():
        try:
            total += len(base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError, TypeError) as exc:
            text = f"illegal base64 data in {field}[{key}]"
            raise bad_request(f"error decoding from json: {text}") from exc
    return total


def _key_errors(path: str, data: Object) -> list[FieldError]:
    found: list[FieldError] = []
    for key in sorted(data):
        if len(key) > 253:
            found.append(invalid(f"{path}[{key}]", key, "must be no more than 253 characters"))
        if not _DATA_KEY(key):
            text = (
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
                " (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is"
                " '[-._a-zA-Z0-9]+')"
            )
            found.append(invalid(f"{path}[{key}]", key, text))
        elif key in {".", ".."}:
            found.append(invalid(f"{path}[{key}]", key, f"must not be '{key}'"))
        elif key.startswith(".."):
            found.append(invalid(f"{path}[{key}]", key, "must not start with '..'"))
    return found


def _immutable_errors(obj: Object, old: Object | None, fields: tuple[str, ...]) -> list[FieldError]:
    if old is None or not old.get("immutable"):
        return []
    text = "field is immutable when `immutable` is set"
    found = [] if obj.get("immutable") else [field_forbidden("immutable", text)]
    changed = (name for name in fields if (obj.get(name) or {}) != (old.get(name) or {}))
    return found + [field_forbidden(name, text) for name in changed]


def _too_large(path: str) -> FieldError:
    text = f"may not be more than {_MOST_BYTES} bytes"
    return FieldError(path, "FieldValueTooLong", "", text)


class SecretStrategy(Strategy):
    """Values are base64; `stringData` is folded into `data`."""

    @override
    def default(self, obj: Object) -> None:
        """Fold `stringData` in; the type is Opaque unless said otherwise."""
        texts = obj.pop("stringData", None) or {}
        if texts:
            encoded = {
                key: base64.b64encode(str(value).encode()).decode() for key, value in texts.items()
            }
            obj["data"] = (obj.get("data") or {}) | encoded
        if "data" in obj and not obj["data"]:
            del obj["data"]
        obj["type"] = obj.get("type") or "Opaque"

    @override
    def validate(self, ctx: Context, obj: Object, old: Object | None) -> list[FieldError]:
        """Check keys, size and what must not change."""
        data = obj.get("data") or {}
        found = _key_errors("data", data)
        if _bytes_of("data", data) > _MOST_BYTES:
            found.append(_too_large("data"))
        if old is not None and obj["type"] != old["type"]:
            found.append(invalid("type", obj["type"], "field is immutable"))
        found += _required_keys(obj["type"], data, obj["metadata"].get("annotations") or {})
        found += _json_errors(obj["type"], data)
        return found + _immutable_errors(obj, old, ("data",))


_KEYS_OF_TYPE: Final = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def _required_keys(kind: str, data: Object, annotations: Object) -> list[FieldError]:
    found = [required(f"data[{key}]") for key in _KEYS_OF_TYPE.get(kind, ()) if key not in data]
    login = ("username", "password")
    if kind == "kubernetes.io/basic-auth" and not any(key in data for key in login):
        found += [required(f"data[{key}]") for key in login]
    account = "kubernetes.io/service-account.name"
    if kind == "kubernetes.io/service-account-token" and not annotations.get(account):
        found.append(required(f"metadata.annotations[{account}]"))
    return found


_JSON_OF_TYPE: Final = {
    "kubernetes.io/dockercfg": ".dockercfg",
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
}


def _json_errors(kind: str, data: Object) -> list[FieldError]:
    key = _JSON_OF_TYPE.get(kind, "")
    if key not in data:
        return []
    try:
        orjson.loads(base64.b64decode(data[key]))
    except ValueError:
        # the text of the error could show a part of the secret
        return [invalid(f"data[{key}]", "<secret contents redacted>", "must be JSON")]
    return []


class ConfigMapStrategy(Strategy):
    """Texts in `data`, base64 in `binaryData`, no key in both."""

    @override
    def default(self, obj: Object) -> None:
        """Leave out what is empty."""
        for name in ("data", "binaryData"):
            if not obj.get(name, True):
                del obj[name]

    @override
    def validate(self, ctx: Context, obj: Object, old: Object | None) -> list[FieldError]:
        """Check keys, size and what must not change."""
        data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
        found = _key_errors("data", data) + _key_errors("binaryData", binary)
        for key in sorted(set(data) & set(binary)):
            text = "duplicate of key present in binaryData"
            found.append(invalid(f"data[{key}]", key, text))
        size = sum(len(str(value).encode()) for value in data.values())
        if size + _bytes_of("binaryData", binary) > _MOST_BYTES:
            found.append(_too_large("[]"))  # Kubernetes' name for the whole
        return found + _immutable_errors(obj, old, ("data", "binaryData"))
