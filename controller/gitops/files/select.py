"""Which files of a commit are read, and which never can be."""

from collections.abc import Iterable

from controller.gitops.values import Entry, Tree


class TooManyFilesError(ValueError):
    """The folder has more files than a source may have: none of them is read."""


def select(commit: str, entries: Iterable[Entry], folder: str) -> Tree:
    """Return the files below *folder* (``spec.path``) that are to be read, and those that cannot.

    Looked at: ``*.md``, ``*.yaml`` and ``*.yml``; no names that begin with a dot, no comments
    (``tickets/<id>/comments/``). Other files are no concern of ours.

    Raises:
        TooManyFilesError: There are more than ``MAX_FILES``.
    """
    raise NotImplementedError
