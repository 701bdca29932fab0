"""``agentsmesh reconcile``: ask the controller to look at a resource now, and wait until it has.

The request is an annotation with a new value; the controller repeats that value in the status once
it has looked. For a GitSource that means: a pass has ended, and its outcome is told.
"""

import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cli.api import Api
from cli.channel_text import printable
from cli.clock import now
from cli.datadir import locate
from cli.errors import CommandError, NotAllowed, NotFound, Unreachable, Usage
from cli.kubeconfig import load, paths
from cli.reconcile_gate import Gate, gate
from schemas.names import (
    AGENT_CLASS,
    AGENT_POD,
    ANNOTATION_RECONCILE,
    ANNOTATION_REQUESTED_AT,
    CHANNEL,
    GIT_SOURCE,
    ORGANIZATION,
    OURS,
    POD_BINDING,
    REPOSITORY,
    RUNNER,
    RUNNER_ENROLLMENT,
    TICKET,
    Resource,
)

_ALIASES: Final = {
    "source": GIT_SOURCE,
    "sources": GIT_SOURCE,
    "gsrc": GIT_SOURCE,
    "pod": AGENT_POD,
    "pods": AGENT_POD,
    "apod": AGENT_POD,
    "apods": AGENT_POD,
    "tkt": TICKET,
    "chan": CHANNEL,
    "repo": REPOSITORY,
    "grepo": REPOSITORY,
    "rn": RUNNER,
    "class": AGENT_CLASS,
    "aclass": AGENT_CLASS,
    "binding": POD_BINDING,
    "bindings": POD_BINDING,
    "pb": POD_BINDING,
    "enrollment": RUNNER_ENROLLMENT,
    "renr": RUNNER_ENROLLMENT,
    "org": ORGANIZATION,
}
_KINDS: Final = (GIT_SOURCE, TICKET, AGENT_POD, CHANNEL, POD_BINDING, REPOSITORY, RUNNER,
                 RUNNER_ENROLLMENT, ORGANIZATION, AGENT_CLASS)  # fmt: skip
"""As they are told to somebody who named none of them."""

_TIMEOUT: Final = 60
_TIMEOUT_OF_SOURCES: Final = 90
"""Seconds. Longer than the minute that git waits for a server that says nothing: why a pass failed
is told, and not that nobody looked."""
_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 2.0
_ASK_AGAIN: Final = 2.0
"""Between two looks for a commit that is not there yet."""
_INTERRUPTED: Final = 130


def reconcile(arguments: Namespace) -> int:
    """Ask, wait unless told otherwise, and print what came of it.

    Raises:
        CommandError: It was not looked at, or is a GitSource that could not be synced.
    """
    resource = _resource(arguments.kind)
    wanted = _gate(arguments, resource)
    target = load(
        paths(arguments.kubeconfig, locate(arguments.data_dir)),
        context=arguments.context,
        token_file=arguments.token_file,
    )
    namespace = arguments.namespace or target.namespace
    request = _Request(Api(target), resource, namespace, arguments.name)
    timeout = arguments.timeout or (_TIMEOUT_OF_SOURCES if resource is GIT_SOURCE else _TIMEOUT)
    asked = request.ask()
    if not arguments.wait:
        print(f"{request.what} asked")
        return 0
    try:
        if wanted is not None:
            print(_pass(request, asked, wanted, timeout))
        else:
            found = request.wait(asked, timeout)
            print(_outcome(request.what, resource, found))
    except KeyboardInterrupt:
        print(f"agentsmesh: {request.what} was asked, and may still be looked at", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _gate(arguments: Namespace, resource: Resource) -> Gate | None:
    if arguments.commit is None:
        return None
    if resource is not GIT_SOURCE:
        raise Usage(f"--commit is for a GitSource, not for a {resource.kind}")
    if not arguments.wait:
        raise Usage("--commit waits: leave out --no-wait")
    return gate(arguments.commit, arguments.clone)


def _pass(request: "_Request", asked: str, wanted: Gate, timeout_seconds: float) -> str:
    """Return what to say once the commit is applied; the source is asked again and again.

    Raises:
        CommandError: It is not applied in time, or will not be before a person acts.
    """
    deadline = time.monotonic() + timeout_seconds
    lost = False
    while True:
        left = max(deadline - time.monotonic(), 1.0)
        found = request.wait(asked, left, told=timeout_seconds)
        status = found.get("status") or {}
        applied = str(status.get("appliedCommit") or "")
        if wanted.is_open(applied):
            after = "" if applied == wanted.commit else f", with {applied}"
            return f"{request.what}: {wanted.commit} is applied{after}"
        _raise_if_stalled(request.what, found)
        # where more was fetched than is applied, what is asked for may just be on its way
        settled = status.get("observedCommit") in {None, applied}
        before, lost = lost, settled and wanted.is_lost(applied)
        if before and lost:
            why = printable(wanted.lost(applied))
            raise CommandError(f"{request.what}: whether {wanted.commit} is in is not known: {why}")
        left = deadline - time.monotonic()
        if left <= 0:
            why = printable(wanted.why_not(applied))
            raise CommandError(
                f"{request.what} has not applied {wanted.commit} within {timeout_seconds} s: {why}"
            )
        time.sleep(min(_ASK_AGAIN, left))
        asked = request.ask()


def _raise_if_stalled(what: str, found: Mapping[str, Any]) -> None:
    conditions: list[dict[str, Any]] = (found.get("status") or {}).get("conditions") or []
    for each in conditions:
        if each.get("type") == "Stalled" and each.get("status") == "True":
            said = printable(f"{each.get('reason')}: {each.get('message')}")
            raise CommandError(f"{what} waits for a person: {said}")


def _resource(word: str) -> Resource:
    """Return the kind that is meant: by its kind, its plural, or a short name."""
    low = word.lower()
    for resource in OURS:
        if low in {resource.kind.lower(), resource.plural}:
            return resource
    if low in _ALIASES:
        return _ALIASES[low]
    known = ", ".join(resource.kind for resource in _KINDS)
    raise Usage(f"KIND: {printable(repr(word))} is none of {known}")


class _Request:
    """One request, for one object."""

    def __init__(self, api: Api, resource: Resource, namespace: str, name: str) -> None:
        self._api = api
        self._resource = resource
        self._namespace = namespace if resource.namespaced else ""
        self._name = name
        self._uid = ""
        where = f" in namespace {namespace}" if resource.namespaced else ""
        self.what = f"{resource.kind.lower()}/{name}"
        self._full = f"{resource.kind} {name}{where}"

    def ask(self) -> str:
        """Write the annotation and return its value."""
        found = self._get()
        metadata = found.get("metadata") or {}
        annotations = metadata.get("annotations") or {}
        if annotations.get(ANNOTATION_RECONCILE) == "disabled":
            raise CommandError(
                f"{self._full} is left alone by the controller: remove its annotation "
                f"{ANNOTATION_RECONCILE}"
            )
        spec = found.get("spec") or {}
        if self._resource is GIT_SOURCE and spec.get("suspend"):
            raise CommandError(f"{self._full} is suspended: set its spec.suspend to false")
        self._uid = str(metadata.get("uid"))
        value = datetime.fromtimestamp(now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        change = {"metadata": {"annotations": {ANNOTATION_REQUESTED_AT: value}}}
        try:
            self._api.patch(self._resource, self._namespace, self._name, change)
        except NotFound as exc:
            raise NotFound(f"{self._full} was deleted meanwhile") from exc
        except NotAllowed as exc:
            raise NotAllowed(f"{self._full} cannot be asked for: {exc}") from exc
        return value

    def wait(
        self, asked: str, timeout_seconds: float, *, told: float | None = None
    ) -> dict[str, Any]:
        """Return the object once it was looked at after it was asked for.

        *told*: the time to speak of, if it is another one.
        """
        told = told or timeout_seconds
        deadline = time.monotonic() + timeout_seconds
        pause = _FIRST_WAIT
        trouble: Unreachable | None = None
        while True:
            try:
                found = self._get()
            except Unreachable as exc:  # it may be being restarted
                trouble = exc
            else:
                trouble = None
                if str((found.get("metadata") or {}).get("uid")) != self._uid:
                    raise NotFound(f"{self._full} was deleted meanwhile, and made anew")
                if _is_handled(found, asked):
                    return found
            left = deadline - time.monotonic()
            if left <= 0:
                raise trouble or Unreachable(
                    f"{self._full} was asked for, and not looked at within {told} s: "
                    "does the controller run, and not wait for something (`agentsmesh status`, "
                    f"`kubectl describe {self.what}`)?"
                )
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_WAIT)

    def _get(self) -> dict[str, Any]:
        try:
            return self._api.get(self._resource, self._namespace, self._name)
        except NotFound as exc:
            raise NotFound(f"there is no {self._full}") from exc


def _is_handled(found: Mapping[str, Any], asked: str) -> bool:
    """Whether it was looked at: for us, or for somebody who asked later than we."""
    handled = (found.get("status") or {}).get("lastHandledRequestAt")
    annotations = (found.get("metadata") or {}).get("annotations") or {}
    latest = annotations.get(ANNOTATION_REQUESTED_AT)
    return handled is not None and handled in {asked, latest}


def _outcome(what: str, resource: Resource, found: Mapping[str, Any]) -> str:
    """Return what came of it, in one line.

    Raises:
        CommandError: It is a GitSource that is not as its branch says.
    """
    status = found.get("status") or {}
    conditions: list[dict[str, Any]] = status.get("conditions") or []
    ready = next((each for each in conditions if each.get("type") == "Ready"), {})
    reason, message = printable(ready.get("reason") or ""), printable(ready.get("message") or "")
    said = f"{reason}: {message}" if message else reason
    if resource is not GIT_SOURCE:
        return f"{what} reconciled" + (f" ({said})" if said else "")
    if ready.get("status") != "True":
        raise CommandError(f"{what} was reconciled and is not ready: {said or 'nothing is known'}")
    files = status.get("files") or {}
    return (
        f"{what} reconciled: {printable(status.get('appliedCommit') or 'nothing')} applied, "
        f"{files.get('synced', 0)} of {files.get('total', 0)} files"
    )
