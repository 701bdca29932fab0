"""Adds to a new worktree what a checkout does not bring: submodules, LFS, files of the owner."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gitaccess.command import Git, Limits
from gitaccess.places import Location
from runner.drivers.worktree_branches import not_as_asked
from runner.drivers.worktree_files import PodFiles, Record, write_through
from runner.drivers.worktree_include import Included, Includer
from runner.drivers.worktree_lfs import Lfs, LfsPlace, lfs_findings
from runner.drivers.worktree_submodules import Outcome, Submodules
from runner.drivers.worktree_values import Finding, WorktreeRequest
from runner.git.cache import Cache
from runner.git.layout import WORKTREE_DIR

CacheOf = Callable[[Location, WorktreeRequest], Cache]
"""Gives the cache of a repository, for the credentials and depth of the request."""

_LONGEST: Final = 1000
"""Characters of one condition's message."""


@dataclass(frozen=True, slots=True)
class Extras:
    """Completes worktrees that no agent has seen yet."""

    git: Git
    fetch: Limits
    local: Limits
    cache_of: CacheOf
    allow_local: Sequence[Path] = ()
    include_dir: Path | None = None

    async def complete(
        self, files: PodFiles, location: Location, request: WorktreeRequest, record: Record
    ) -> Record:
        """Put in what does not come with a checkout; note what is to be said of it.

        Raises:
            GitError: Trying again may help.
            GitRunError: Git cannot read what was just checked out.
            OSError: The runner's disk cannot be written.
        """
        findings = list(not_as_asked(request))
        outcome = Outcome()
        if request.submodules:
            inner = Submodules(
                self.git, self.local, lambda at: self.cache_of(at, request), self.allow_local
            )
            outcome = await inner.check_out(files, location, record.commit, request)
            findings += outcome.findings()
        lfs = False
        if request.lfs:
            places = self._lfs_places(files, location, request, record, outcome)
            said, lfs = await self._fetched(places, request)
            findings += said
        findings += await self._included(files, request)
        if not findings and not outcome.made and not lfs:
            return record
        done = replace(record, findings=_merged(findings), submodules=tuple(outcome.made), lfs=lfs)
        await asyncio.to_thread(write_through, files.building / "worktree.json", done)
        return done

    async def _fetched(
        self, places: Iterable[LfsPlace], request: WorktreeRequest
    ) -> tuple[tuple[Finding, ...], bool]:
        lfs = Lfs(self.git, self.fetch, self.local)
        texts = []
        used = False
        for place in places:
            text, here = await lfs.put(place, request.credentials)
            used |= here
            texts += [text] if text else []
        return lfs_findings(texts), used

    def _lfs_places(
        self,
        files: PodFiles,
        location: Location,
        request: WorktreeRequest,
        record: Record,
        outcome: Outcome,
    ) -> list[LfsPlace]:
        repository, tree = files.building / "repo.git", files.building / "worktree"
        main = self.cache_of(location, request)
        found = [
            LfsPlace(repository / WORKTREE_DIR, repository, tree, record.commit, location, main)
        ]
        for each in outcome.made:
            git_dir, at = repository / each.git_dir, outcome.locations[each.path]
            cache = self.cache_of(at, request)
            found.append(
                LfsPlace(git_dir, git_dir, tree / each.path, each.commit, at, cache, each.path)
            )
        return found

    async def _included(self, files: PodFiles, request: WorktreeRequest) -> tuple[Finding, ...]:
        if not request.include:
            return ()
        if self.include_dir is None:
            text = "The runner has no folder of files to put in: start it with --include-dir."
            return (Finding("WorktreeAsAsked", "IncludeSkipped", text),)
        source = self.include_dir / request.namespace / request.repository
        git_dir = files.building / "repo.git" / WORKTREE_DIR
        return await Includer(self.git, self.local).include(
            Included(source, request.include), git_dir, files.building / "worktree"
        )


def _merged(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return one finding for each condition: the first one's reason, and all sentences."""
    found: dict[str, Finding] = {}
    for each in findings:
        first = found.get(each.kind)
        text = f"{first.message} {each.message}" if first else each.message
        reason = first.reason if first else each.reason
        found[each.kind] = Finding(each.kind, reason, text[:_LONGEST])
    return tuple(found.values())
