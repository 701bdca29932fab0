"""``agentsmesh worktree restore``: the work of a pod that is gone, as a branch of one's clone."""

import asyncio
import tempfile
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import grpc
from meshwire.v1 import link_pb2, link_pb2_grpc

from cli.channel_text import printable
from cli.clone import Clone
from cli.datadir import locate
from cli.door import door, metadata, refused
from cli.errors import CommandError, NotFound, Unreachable
from cli.kept import SAVED, kept_files, of_pod, runner_directory
from cli.terminal.address import Desk

_KEPT: Final = "refs/agentsmesh/"


@dataclass(frozen=True, slots=True)
class Found:
    """What is kept, and by now is in the clone."""

    uid: str
    pod: str
    commit: str
    """Empty where only other refs have work."""
    refs: Mapping[str, str]
    where: str
    """For people: on which runner, and since when."""
    files: str = ""
    """Folder on the runner's machine with files that no commit could hold."""


def restore(arguments: Namespace) -> int:
    """Make a branch of the pod's work, and refs of its other branches, tags and stashes.

    Raises:
        CommandError: It cannot be had, or the branch is there and is another one.
    """
    clone = Clone(Path(arguments.clone))
    branch = arguments.branch or f"saved/{arguments.pod}"
    clone.check_branch(branch)
    if arguments.local:
        found = _from_disk(arguments, clone)
    else:
        try:
            found = asyncio.run(_from_runner(arguments, clone))
        except Unreachable as exc:
            if not of_pod(_directory(arguments), arguments.pod):
                raise
            raise Unreachable(f"{exc}; --local reads the runner's copy on this machine") from exc
    _put(clone, branch, found)
    _tell(branch, found)
    return 0


def _put(clone: Clone, branch: str, found: Found) -> None:
    ref = f"refs/heads/{branch}"
    there = clone.commit_of(ref)
    if found.commit and there and there != found.commit:
        raise CommandError(
            f"branch {printable(branch)} is there already and is something else: name another with "
            "--branch"
        )
    for name, commit in found.refs.items():
        if name.startswith(_KEPT) and not name.startswith(SAVED):
            clone.create(name, commit)
    if found.commit:
        clone.create(ref, found.commit)


def _tell(branch: str, found: Found) -> None:
    others = sorted(name for name in found.refs if not name.startswith(SAVED))
    if found.commit:
        print(printable(f"branch {branch} has the work of pod {found.pod} ({found.where})"))
        print(printable(f"  git log -p {branch}"))
    else:
        print(printable(f"pod {found.pod} left work on other branches only ({found.where})"))
    if found.files:
        print(
            printable(f"files that no commit could hold are on the runner's machine: {found.files}")
        )
    for name in others:
        stash = "/stash/" in name
        print(printable(f"  git {'stash apply' if stash else 'log -p'} {name}"))


def _directory(arguments: Namespace) -> Path:
    return runner_directory(locate(arguments.data_dir))


def _from_disk(arguments: Namespace, clone: Clone) -> Found:
    """Take the work from the data directory of a runner on this machine. Raises CommandError."""
    directory = _directory(arguments)
    mine = of_pod(directory, arguments.pod)
    if not mine:
        folders = [each for each in kept_files(directory) if each.is_of(arguments.pod)]
        if folders:
            latest = max(folders, key=lambda each: each.saved_ms)
            raise NotFound(
                f"no ref keeps work of pod {arguments.pod}: its files are in {latest.folder}"
            )
        raise NotFound(f"nothing is kept of a pod {arguments.pod} below {directory}")
    for repository in {entry.repository for entry in mine}:
        clone.fetch(repository, [entry.ref for entry in mine if entry.repository == repository])
    main = [entry for entry in mine if entry.ref.startswith(SAVED)]
    return Found(
        uid=mine[0].owner,
        pod=mine[0].pod or arguments.pod,
        commit=main[0].commit if main else "",
        refs={entry.ref: entry.commit for entry in mine},
        where=f"uid {mine[0].owner}, from {directory}",
        files=next(
            (str(each.folder) for each in kept_files(directory) if each.uid == mine[0].owner), ""
        ),
    )


async def _from_runner(arguments: Namespace, clone: Clone) -> Found:
    """Have the work sent by the runner that keeps it. Raises CommandError."""
    address = await asyncio.to_thread(Desk(arguments).address)
    request = link_pb2.RestoreRequest(
        namespace=address.namespace,
        pod=arguments.pod,
        have=await asyncio.to_thread(clone.have),
    )
    with tempfile.TemporaryDirectory(prefix="agentsmesh-") as folder:
        bundle = Path(folder) / "work.bundle"
        try:
            async with door(address) as channel:
                stub = link_pb2_grpc.WorktreesStub(channel)  # type: ignore[no-untyped-call] # generated
                call = stub.Restore(request, metadata=metadata(address))
                first = await call.read()
                if first is grpc.aio.EOF:
                    raise Unreachable("the controller closed the connection")
                with bundle.open("wb") as file:
                    while (chunk := await call.read()) is not grpc.aio.EOF:
                        file.write(chunk.data)
        except grpc.aio.AioRpcError as exc:
            raise refused(exc, "saved work") from exc
        if first.found.bundled:
            await asyncio.to_thread(clone.unbundle, bundle)
    return _found(first)


def _found(first: link_pb2.RestoreChunk) -> Found:
    work = first.found
    kept_at = datetime.fromtimestamp(work.saved_unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Found(
        uid=work.pod_uid,
        pod=work.pod,
        commit=work.commit if work.saved_ref else "",
        refs={each.name: each.commit for each in work.refs},
        where=f"uid {work.pod_uid}, kept on runner {first.runner} since {kept_at}",
        files=work.files,
    )
