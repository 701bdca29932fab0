"""What a benchmark asks of the API while GitSources work: what there is, and when it changes."""

import http.client
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from bench.api import Api

API: Final = "/apis/agentsmesh.io/v1alpha1/namespaces/default"
LONG_SECONDS: Final = 1800.0
_MERGE: Final = "application/merge-patch+json"


@contextmanager
def events(api: Api, path: str) -> Iterator["queue.Queue[tuple[float, dict[str, Any]]]"]:
    """Give what a watch sees, from a thread of its own."""
    found: queue.Queue[tuple[float, dict[str, Any]]] = queue.Queue()
    version = api.call("GET", f"{API}/organizations".replace("/namespaces/default", ""))
    since = version["metadata"]["resourceVersion"]
    with api.watch(f"{path}&resourceVersion={since}") as lines:

        def read() -> None:
            with suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
                for each in lines:
                    found.put(each)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        yield found


def applied(api: Api, name: str, commit: str) -> None:
    def there() -> bool:
        status = api.call("GET", f"{API}/gitsources/{name}").get("status", {})
        return bool(status.get("appliedCommit") == commit)

    until(there, f"{name} has applied {commit}")


def settle(api: Api) -> None:
    """Wait until nothing has changed for three seconds."""
    before = everything(api)
    deadline = time.monotonic() + LONG_SECONDS
    while time.monotonic() < deadline:
        time.sleep(3)
        now = everything(api)
        if now == before:
            return
        before = now
    raise RuntimeError("it never came to rest")


def everything(api: Api) -> dict[str, str]:
    """Return the version of each resource of the namespace."""
    plurals = ("tickets", "gitsources", "agentpods", "repositories", "channels", "runners")
    return {
        f"{plural}/{name}": at for plural in plurals for name, at in versions(api, plural).items()
    }


def versions(api: Api, plural: str) -> dict[str, str]:
    items = api.call("GET", f"{API}/{plural}")["items"]
    return {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in items}


def patch(api: Api, path: str, patch: dict[str, Any]) -> None:
    api.call("PATCH", f"{API}/{path}", patch, _MERGE)


def until(claim: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LONG_SECONDS
    while not claim():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {LONG_SECONDS} s: {what}")
        time.sleep(0.05)
