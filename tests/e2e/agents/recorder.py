"""An agent that records how it was started and what is typed into its terminal.

It lists its tools, shows the text of a variable once it takes a prompt, asks for marked pastes, and
takes a prompt at Enter outside of a paste. All is in files of its home.
"""

import asyncio
import json
import os
import sys
import termios
import tty
from pathlib import Path

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

HOME = Path(os.environ["HOME"])
READY = os.environ["RECORDER_READY"]
BEGIN, END = b"\x1b[200~", b"\x1b[201~"


def seen() -> dict[str, object]:
    files = [path for path in HOME.rglob("*") if path.is_file()]
    return {
        "argv": sys.argv[1:],
        "environment": dict(os.environ),
        "home": {str(path.relative_to(HOME)): path.read_text() for path in files},
        "worktree": sorted(str(path) for path in Path.cwd().rglob("*")),
    }


def keep(name: str, value: object) -> None:
    new = HOME / f"{name}.new"
    new.write_text(json.dumps(value))
    new.rename(HOME / name)


async def list_tools() -> None:
    headers = {"Authorization": f"Bearer {os.environ['AGENTSMESH_MCP_TOKEN']}"}
    url = os.environ["AGENTSMESH_MCP_URL"]
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        await client.list_tools()


def show() -> None:
    os.write(1, f"\x1b[2J\x1b[H\x1b[?2004h{READY}\r\n> ".encode())


def main() -> None:
    keep("seen.json", seen())
    asyncio.run(list_tools())
    tty.setraw(0, termios.TCSANOW)
    show()
    prompts: list[str] = []
    typed = b""
    while True:
        typed += os.read(0, 65536)
        outside = typed.rpartition(END)[2] if END in typed else typed
        if BEGIN in outside or not outside.endswith(b"\r"):
            if END in typed:
                os.write(1, b"\r\x1b[K> [a paste]")
            continue
        text = typed.removesuffix(b"\r").replace(BEGIN, b"").replace(END, b"")
        prompts.append(text.decode())
        keep("prompts.json", prompts)
        typed = b""
        show()


main()
