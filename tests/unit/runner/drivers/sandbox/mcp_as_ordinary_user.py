"""Starts pods without network, with an MCP server inside, as an account that is nobody.

    python3 -I mcp_as_ordinary_user.py DIRECTORY

DIRECTORY holds copies of the packages ``runner`` and ``ptyprocess``, and is writable. Prints the
sandboxes in which it worked.
"""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(sys.argv[1])
sys.path.insert(0, str(ROOT))

from runner.drivers.sandbox.prepare import prepare  # noqa: E402  found by the line above
from runner.drivers.sandbox.probe import probe  # noqa: E402  likewise
from runner.drivers.sandbox.values import (  # noqa: E402  likewise
    Capabilities,
    Network,
    SandboxRequest,
)
from runner.drivers.terminal_mcp import mcp_socket  # noqa: E402  likewise
from runner.drivers.terminal_values import Launch, McpLaunch  # noqa: E402  likewise
from runner.drivers.terminal_zygote import Zygote  # noqa: E402  likewise

ROUNDS = 5
"""The program of a sandbox is at another place each time when it is looked at."""

CLIENT = """
import os, socket
with socket.create_connection(("127.0.0.1", 19000)) as sock:
    sock.sendall(b"hello from %d" % os.getuid())
    sock.recv(1)
"""


async def serve(zygote: Zygote, machine: Capabilities, number: int) -> str:
    folder = ROOT / f"pod-{number}"
    for name in ("home", "tmp"):
        (folder / name).mkdir(parents=True)
    request = SandboxRequest(
        ("/usr/bin/python3", "-c", CLIENT),
        folder / "home",
        folder / "home",
        folder / "tmp",
        folder / "private",
        search_path=(Path("/usr/bin"),),
        network=Network.NONE,
        environment={"PATH": "/usr/bin:/bin"},
        mcp=True,
    )
    made = prepare(request, machine)
    assert made.inside is not None
    launch = Launch(
        uid=f"pod-{number}",
        epoch=1,
        restart=0,
        run_dir=folder / "runs" / "1-0",
        transcript_dir=folder / "transcript",
        argv=made.argv,
        environment=made.environment,
        contents=made.contents,
        scoped=made.scoped,
        wrapper=bool(made.wrapper),
        cwd=folder / "home",
        mcp=McpLaunch("ab", made.inside),
    )
    await zygote.launch(launch)
    loop = asyncio.get_running_loop()
    found = await mcp_socket(launch.run_dir)
    with found.socket:
        async with asyncio.timeout(20):
            sock, _ = await loop.sock_accept(found.socket)
            with sock:
                said = await loop.sock_recv(sock, 100)
                sock.send(b"!")
    assert said.startswith(b"hello from "), said
    return str(made.isolation)


async def main() -> None:
    machine = probe()
    zygote = Zygote()
    for number in range(ROUNDS):
        print(await serve(zygote, machine, 2 * number))
        print(await serve(zygote, replace(machine, bubblewrap=None), 2 * number + 1))
    await zygote.close()


asyncio.run(main())
