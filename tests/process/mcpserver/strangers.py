"""Programs without a token on the machine's network, in a process of their own: ``PORT HOW``."""

import asyncio
import contextlib
import resource
import sys
from typing import Final

HOST: Final = "Host: 127.0.0.1\r\n"
START: Final = b"POST /mcp HTTP/1.1\r\n"
WHOLE: Final = START + HOST.encode() + b"Content-Length: 0\r\n\r\n"
ENDLESS: Final = START + HOST.encode() + b"Content-Length: 1000000\r\n\r\nx"
REQUESTS_PER_SECOND: Final = 2000


async def hold(port: int, said: bytes) -> None:
    """Say it and wait until the connection is ended, again and again."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            while await reader.read(65536):
                pass
            writer.close()
        except OSError:
            await asyncio.sleep(0.02)


async def ask(port: int, share: int) -> None:
    """Send whole requests, this one's share of all."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(WHOLE)
            await reader.read(65536)
            writer.close()
        due = max(due + share / REQUESTS_PER_SECOND, loop.time() - 0.1)
        await asyncio.sleep(due - loop.time())


async def main(port: int, how: str) -> None:
    """Do not stop."""
    async with asyncio.TaskGroup() as tasks:
        for _ in range(1000 if how == "silence" else 200):
            match how:
                case "slow heads":
                    tasks.create_task(hold(port, START))
                case "slow bodies":
                    tasks.create_task(hold(port, ENDLESS))
                case "silence":
                    tasks.create_task(hold(port, b""))
                case _:
                    tasks.create_task(ask(port, 200))
        await asyncio.sleep(0.5)
        print("begun", flush=True)  # noqa: T201  the test waits for it


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
