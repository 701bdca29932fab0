"""Input that is typed once, whoever is killed on the way: the shim remembers its key."""

from pathlib import Path
from typing import Final

from runner.drivers.terminal_client import Channel
from runner.drivers.terminal_observe import protocol_of
from runner.drivers.terminal_values import NotOffered, TerminalError
from runner.shim.frames import MAX_KEY, MAX_ONCE, OFFSET, Kind

_PROTOCOL: Final = 2


def request(key: str, data: bytes) -> bytes:
    """Return the payload that asks for it.

    Raises:
        ValueError: Key or data are too long, or the key is empty.
    """
    name = key.encode()
    if not 0 < len(name) <= MAX_KEY:
        raise ValueError(f"a key has 1 to {MAX_KEY} bytes, not {len(name)}")
    if len(data) > MAX_ONCE:
        raise ValueError(f"at most {MAX_ONCE} bytes are typed at once, not {len(data)}")
    return bytes((len(name),)) + name + data


async def typed(channel: Channel, run_dir: Path, payload: bytes) -> bool:
    """Ask for it; return whether it was typed now, as soon as the terminal has it.

    Raises:
        NotRunning: The shim ended meanwhile.
        NotOffered: It is of an older runner.
        TerminalError: Too much waits for the program already.
    """
    if protocol_of(run_dir) < _PROTOCOL:
        raise NotOffered("the pod was started by an older runner, which cannot type once")
    await channel.send(Kind.INPUT_ONCE, payload)
    kind, answer = await channel.receive()
    if kind == Kind.REFUSED:
        raise TerminalError(answer.decode(errors="replace"))
    return bool(OFFSET.unpack(answer)[0])
