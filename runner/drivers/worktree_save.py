"""Keeps a pod's unpublished work in the cache before its worktree goes.

Kept are: the files as they were left (new ones too, ignored ones not), every branch, new tag and
stash that upstream does not have. What no commit can hold is named in the note.
"""

from typing import Final

from gitaccess.command import GitRunError
from gitaccess.explain import explain
from runner.drivers.worktree_files import PodFiles
from runner.drivers.worktree_inner import Inner
from runner.drivers.worktree_values import SavedRef
from runner.git.cache import OTHERS, SAVED, TAGS, UPSTREAM, Cache
from runner.git.errors import InvalidBranchError
from runner.git.layout import WORKTREE_DIR
from runner.git.names import check_branch
from runner.git.refs import UnreadableError, read_head, read_refs, read_stashes
from runner.git.view import View

_MOST_OTHERS: Final = 500
_MESSAGE: Final = """\
Work of {pod} as it was left

Kept by AgentsMesh when the pod {uid} was removed.
"""


class Keeper:
    """Moves the work of one pod into the cache."""

    def __init__(self, view: View, cache: Cache, uid: str, pod: str, inner: Inner) -> None:
        self._view = view
        self._cache = cache
        self._uid = uid
        self._pod = pod
        self._inner = inner

    async def keep(self, files: PodFiles) -> SavedRef | None:
        """Return where the work is kept; None when upstream has all of it.

        Raises:
            UnreadableError: The pod's repository is not what git writes.
            GitRunError: Git could not read or write what it must.
            CacheError: The cache is damaged.
        """
        have = self._cache.refs()
        upstream = {commit for ref, commit in have.items() if ref.startswith((UPSTREAM, TAGS))}
        refs = read_refs(files.repository)
        head = read_head(files.repository, WORKTREE_DIR, refs)
        self._view.point(head.commit)
        message = _MESSAGE.format(pod=self._pod, uid=self._uid)
        twin = have.get(SAVED + self._uid, "")
        if twin and not await self._follows(twin, head.commit):
            twin = ""
        wanted, unnamed = await self._others(files, refs, head.commit, upstream)
        others = tuple(sorted(wanted))
        main, commit = SAVED + self._uid, twin or head.commit
        if head.commit and not await self._published(head.commit, upstream):
            wanted[main] = commit
        await self._send(head.commit, wanted, have)  # what is committed needs no look at files
        left = []
        try:
            commit = await self._view.commit_files(files.worktree, head.commit, message, twin)
            left += await self._not_in_a_commit(files)
        except GitRunError as exc:
            left.append(f"the files could not be put into a commit ({explain(exc).sentence})")
        if commit and (main in wanted or commit != head.commit):
            wanted[main] = commit
        await self._send(head.commit, wanted, self._cache.refs())
        note = _note(left, unnamed)
        if not wanted and not note:
            return None
        ref = main if main in wanted else ""
        return SavedRef(ref, commit, others, note)

    async def _not_in_a_commit(self, files: PodFiles) -> list[str]:
        untouched = await self._inner.untouched()
        nested = tuple(n for n in await self._view.nested(files.worktree) if n not in untouched)
        found = []
        if nested:
            shown = ", ".join(nested[:5]) + (", …" if len(nested) > 5 else "")
            found.append(f"the worktree holds repositories of their own ({shown})")
        if self._inner.has_new_objects():
            found.append("there are files of Git LFS that upstream may not have")
        return found

    async def _send(self, head: str, wanted: dict[str, str], have: dict[str, str]) -> None:
        missing = {ref: commit for ref, commit in wanted.items() if have.get(ref) != commit}
        if not missing:
            return
        out = {self._view.out(number): commit for number, commit in enumerate(missing.values())}
        self._view.point(head, out)
        await self._cache.receive(self._view.path, dict(zip(out, missing, strict=True)))

    async def _others(
        self, files: PodFiles, refs: dict[str, str], main: str, upstream: set[str]
    ) -> tuple[dict[str, str], int]:
        """Return further refs to keep, and how many have names that none may have here."""
        found = {}
        unnamed = 0
        for ref, commit in refs.items():
            if not ref.startswith(("refs/heads/", "refs/tags/")) or commit in upstream | {main}:
                continue
            try:
                check_branch(ref)
            except InvalidBranchError:
                unnamed += 1
                continue
            if not await self._published(commit, {*upstream, main} - {""}):
                found[f"{OTHERS}{self._uid}/{ref.removeprefix('refs/')}"] = commit
            if len(found) > _MOST_OTHERS:
                raise UnreadableError(f"there are more than {_MOST_OTHERS} branches with work")
        for number, commit in enumerate(dict.fromkeys(read_stashes(files.repository))):
            found[f"{OTHERS}{self._uid}/stash/{number}"] = commit
        return found, unnamed

    async def _published(self, commit: str, upstream: set[str]) -> bool:
        return commit in upstream or await self._view.is_within(commit, upstream)

    async def _follows(self, twin: str, head: str) -> bool:
        """Tell whether an earlier save stands on the same HEAD, so that it may serve again."""
        return await self._view.parent(twin) == head


def _note(left: list[str], unnamed: int) -> str:
    if unnamed:
        left = [*left, f"{unnamed} branches have names that cannot be kept"]
    if not left:
        return ""
    return f"Not all fits into a commit: {' and '.join(left)}; the files are kept as they are."
