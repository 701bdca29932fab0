"""A view that gives the work of a pod that is gone, as a git bundle."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from meshwire.v1 import link_pb2

from gitaccess.command import GitRunError
from gitaccess.explain import explain
from runner.drivers.worktree_kept import Kept, KeptWork, NothingMissingError
from runner.terminals.wire import encoded

_CHUNK_BYTES: Final = 256 * 1024

Send = Callable[[link_pb2.TerminalUp | bytes], Awaitable[None]]
"""Takes a message, or its bytes."""


class RestoreView:
    """Serves one request. ``run`` does the work; ``credit`` only leaves word.

    The bundle is made when the first credit has come: others may have been asked, too.
    """

    def __init__(
        self, number: int, order: link_pb2.RestoreWork, works: KeptWork, send: Send
    ) -> None:
        self._number = number
        self._order = order
        self._works = works
        self._send = send
        self._credit = 0
        self._credited = asyncio.Event()

    def credit(self, bytes_more: int) -> None:
        """Allow so many more bytes of output."""
        self._credit += bytes_more
        self._credited.set()

    def take(self, message: Any) -> bool:  # noqa: ARG002 - of another kind of view
        """Take nothing: there is nothing to type into."""
        return True

    async def run(self) -> None:
        """Answer until everything is told, or until cancelled."""
        try:
            ended = await self._answer()
        except GitRunError as exc:
            text = f"The work is kept on this runner and cannot be read: {explain(exc).sentence}."
            ended = link_pb2.ViewEnded(reason="Failed", message=text)
        except OSError as exc:
            text = f"The runner's disk does not take the bundle: {exc.strerror}."
            ended = link_pb2.ViewEnded(reason="Failed", message=text)
        await self._send(link_pb2.TerminalUp(view=self._number, ended=ended))

    async def _answer(self) -> link_pb2.ViewEnded:
        order = self._order
        kept = await asyncio.to_thread(self._works.find, order.namespace, order.pod_uid, order.pod)
        if kept is None:
            return link_pb2.ViewEnded(reason="NotKept", message="Nothing is kept of it here.")
        if not kept.refs:
            text = f"its files are on the runner's machine: {kept.files}"
            return link_pb2.ViewEnded(reason="KeptAsFiles", message=text)
        try:
            known = await self._works.missing(kept, order.have)
        except NothingMissingError:
            await self._found(kept, bundled=False)
        else:
            await self._found(kept, bundled=True)
            await self._may_send()
            with self._works.room() as path:
                await self._works.bundle(kept, known, path)
                await self._stream(path)
        return link_pb2.ViewEnded(reason="EndOfWork")

    async def _found(self, kept: Kept, *, bundled: bool) -> None:
        work = link_pb2.WorkFound(
            pod_uid=kept.uid,
            pod=kept.pod,
            saved_ref=kept.ref,
            commit=kept.commit,
            branch=kept.branch,
            saved_unix_ms=kept.saved_ms,
            refs=[link_pb2.KeptRef(name=name, commit=commit) for name, commit in kept.refs],
            bundled=bundled,
            files=kept.files,
        )
        await self._send(link_pb2.TerminalUp(view=self._number, work=work))

    async def _stream(self, path: Path) -> None:
        offset = 0
        with path.open("rb") as file:
            while True:
                await self._may_send()
                size = min(_CHUNK_BYTES, self._credit)
                data = await asyncio.to_thread(file.read, size)
                if not data:
                    return
                self._credit -= len(data)
                await self._send(encoded(self._number, offset, memoryview(data)))
                offset += len(data)

    async def _may_send(self) -> None:
        while self._credit <= 0:
            self._credited.clear()
            await self._credited.wait()
