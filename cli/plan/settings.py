"""Which GitSource's settings count for a commit. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cli.errors import NotFound, Usage
from controller.kernel.store import Store
from controller.placement.indexes import BY_NAMESPACE
from schemas.base import LocalReference, Metadata
from schemas.gitsource import GitSource, GitSourceSpec
from schemas.repository import Repository

NOBODY: Final = "(none)"
"""Name of the source that stands in where there is none: no GitSource can have it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings, and where they are from."""

    source: GitSource
    exists: bool
    """Whether there is such a GitSource; else it is what one would be without further words."""
    branch: str = ""
    """The branch that it syncs; empty: not known."""


def choose(
    store: Store, namespace: str, name: str | None, addresses: Iterable[str], branch: str
) -> Settings:
    """Return the settings of the source *name*; without one, of that which fits.

    *addresses*: under which the repository may be known; *branch*: the one that is meant, empty if
    it is none.

    Raises:
        NotFound: There is no source of that name.
        Usage: Several fit.
    """
    if name is not None:
        item = store.of(GitSource).get(namespace, name)
        if item is None:
            raise NotFound(f"--name: there is no GitSource {name} in namespace {namespace}")
        return Settings(item, exists=True, branch=_branch(store, item))
    wanted = {_plain(address) for address in addresses}
    fitting = [item for item in _all(store, namespace) if _plain(_url(store, item)) in wanted]
    if len(fitting) > 1 and branch:
        fitting = [item for item in fitting if _branch(store, item) == branch] or fitting
    if len(fitting) > 1:
        names = ", ".join(item.metadata.name for item in fitting)
        raise Usage(f"several GitSources read this repository: say which with --name: {names}")
    if fitting:
        return Settings(fitting[0], exists=True, branch=_branch(store, fitting[0]))
    return Settings(_default(namespace), exists=False)


def _all(store: Store, namespace: str) -> list[GitSource]:
    items = store.of(GitSource).indexed(BY_NAMESPACE, namespace)
    return sorted(items, key=lambda item: item.metadata.name)


def _repository(store: Store, item: GitSource) -> Repository | None:
    return store.of(Repository).get(item.metadata.namespace, item.spec.repository_ref.name)


def _url(store: Store, item: GitSource) -> str:
    repository = _repository(store, item)
    return repository.spec.url if repository is not None else ""


def _branch(store: Store, item: GitSource) -> str:
    repository = _repository(store, item)
    return item.spec.branch or (repository.spec.default_branch if repository else "") or ""


def _default(namespace: str) -> GitSource:
    return GitSource(
        metadata=Metadata(name=NOBODY, namespace=namespace),
        spec=GitSourceSpec(repository_ref=LocalReference(name="none")),
    )


def _plain(address: str) -> str:
    """Return the address without what does not tell repositories apart."""
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address.rstrip("/").removesuffix(".git")
    if scheme == "file":
        return rest.removeprefix("localhost").rstrip("/").removesuffix(".git")
    host, slash, path = rest.partition("/")
    return f"{host.rpartition('@')[2].lower()}{slash}{path}".rstrip("/").removesuffix(".git")
