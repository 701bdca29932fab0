"""What is wrong with a Repository, beside what its schema refuses. Pure."""

from collections.abc import Callable

from controller.kernel.reconciler import Finding
from controller.reconcilers.repository.snapshot import RepositorySnapshot

Check = Callable[[RepositorySnapshot], Finding | None]


def local_refused(snapshot: RepositorySnapshot) -> Finding | None:
    """A path on the runner's machine, and the controller does not let paths through."""
    url = snapshot.subject.spec.url
    if snapshot.local_allowed or not url.startswith(("/", "file:")):
        return None
    return Finding(
        "RepositoryNotAllowed",
        "url: paths on the runner's machine are refused here; use https:// or ssh://, or start "
        "with agentsmesh up --allow-local-repositories DIR",
        stalled=True,
    )


def secret_missing(snapshot: RepositorySnapshot) -> Finding | None:
    """The Secret does not exist (yet)."""
    reference = snapshot.subject.spec.auth_secret_ref
    if reference is None or snapshot.secret_keys is not None:
        return None
    namespace = snapshot.subject.metadata.namespace
    return Finding(
        "SecretNotFound",
        f"authSecretRef.name: there is no Secret {reference.name!r} in namespace {namespace}: "
        "create it",
    )


def secret_unusable(snapshot: RepositorySnapshot) -> Finding | None:
    """The Secret has none of the keys that the address needs."""
    reference, keys = snapshot.subject.spec.auth_secret_ref, snapshot.secret_keys
    if reference is None or keys is None:
        return None
    url = snapshot.subject.spec.url
    if url.startswith("ssh://"):
        usable, needs = "ssh-privatekey" in keys, "ssh-privatekey"
    elif url.startswith("https://"):
        usable, needs = bool(keys & {"password", "token"}), "password (with username) or token"
    else:
        return None
    if usable:
        return None
    return Finding(
        "SecretUnusable",
        f"authSecretRef.name: Secret {reference.name!r} has no key {needs}: add it",
    )


CHECKS: tuple[Check, ...] = (local_refused, secret_missing, secret_unusable)


def first(snapshot: RepositorySnapshot) -> Finding | None:
    """Return the first thing that is wrong, None if nothing is."""
    return next((found for check in CHECKS if (found := check(snapshot)) is not None), None)
