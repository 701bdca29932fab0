"""How much a person may send into a forwarded connection, and in which pieces it goes on.

The client begins with a window and is given so much again as the pod's side has taken. So nobody
waits in the middle: credit for the other direction, which comes on the same stream, always passes.
"""

from collections import deque
from typing import Final

import grpc
from meshwire.v1 import link_pb2

from controller.rpc.refusal import refuse

WINDOW_BYTES: Final = 256 * 1024
"""On its way to the pod, at most. Less than a view takes: to type never waits."""

_MAX_PIECES: Final = 1024
"""On their way; a client that sends single bytes waits for what it has sent."""

_STEP: Final = WINDOW_BYTES // 4


class Sending:
    """The window of one connection towards the pod."""

    def __init__(self) -> None:
        self._allowed = WINDOW_BYTES
        self._under_way: deque[tuple[int, int]] = deque()
        self._number = 0
        self._owed = 0
        self._ended = False

    def piece(self, data: bytes) -> link_pb2.Input:
        """Return what the runner is sent for *data*.

        Raises:
            Refusal: It is more than was allowed, or comes behind the end.
        """
        if self._ended:
            refuse(grpc.StatusCode.INVALID_ARGUMENT, "data came behind the end")
        self._allowed -= len(data)
        if self._allowed < 0 or len(self._under_way) >= _MAX_PIECES:
            refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "more data than there was credit for")
        self._number += 1
        self._under_way.append((self._number, len(data)))
        return link_pb2.Input(seq=self._number, data=data)

    def end(self) -> bool:
        """Note that nothing more comes; False when that was said before."""
        said, self._ended = self._ended, True
        return not said

    def taken(self, seq: int) -> int:
        """Return the credit to give now that the pod's side took all up to *seq*; 0: none yet."""
        while self._under_way and self._under_way[0][0] <= seq:
            self._owed += self._under_way.popleft()[1]
        if self._owed < _STEP and (self._under_way or not self._owed):
            return 0
        credit, self._owed = self._owed, 0
        self._allowed += credit
        return credit
