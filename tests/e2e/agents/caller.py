"""An agent that calls tools as it is told by files, with the official SDK's client.

A command is a file ``$HOME/commands/N.json``: ``{"tool": ..., "arguments": {...}}``; what came of
it is ``$HOME/answers/N.json``. What is typed into its terminal it repeats, a line at a time. One
session lasts as long as the process does.
"""

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

COMMANDS, ANSWERS = Path.home() / "commands", Path.home() / "answers"


def repeat_what_is_typed() -> None:
    for line in sys.stdin:
        print(f"typed: {line.rstrip()!r}", flush=True)


async def answer(client: Client, command: dict[str, Any]) -> dict[str, Any]:
    """Return what the tool gave, in JSON values."""
    began = time.perf_counter()
    try:
        result = await client.call_tool(command["tool"], command["arguments"])
    except Exception as exc:  # noqa: BLE001 - told to the test
        return {"raised": type(exc).__name__, "text": str(exc)}
    return {
        "failed": result.is_error,
        "structured": result.structured_content,
        "text": "".join(block.text for block in result.content if block.type == "text"),
        "ms": (time.perf_counter() - began) * 1000,
    }


async def carry_out(client: Client, file: Path) -> None:
    command = json.loads(file.read_text())
    file.unlink()
    given = json.dumps(await answer(client, command))
    draft = ANSWERS / f".{file.name}"
    draft.write_text(given)
    draft.rename(ANSWERS / file.name)


async def main() -> None:
    for folder in (COMMANDS, ANSWERS):
        folder.mkdir(exist_ok=True)
    threading.Thread(target=repeat_what_is_typed, daemon=True).start()
    headers = {"Authorization": f"Bearer {os.environ['AGENTSMESH_MCP_TOKEN']}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(
            streamable_http_client(os.environ["AGENTSMESH_MCP_URL"], http_client=http)
        ) as client,
        asyncio.TaskGroup() as tasks,
    ):
        print(f"{len((await client.list_tools()).tools)} tools", flush=True)
        seen: set[str] = set()
        while True:
            for file in sorted(COMMANDS.glob("[0-9]*.json")):
                if file.name not in seen:
                    seen.add(file.name)
                    tasks.create_task(carry_out(client, file))
            await asyncio.sleep(0.01)


asyncio.run(main())
