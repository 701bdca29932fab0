"""Four providers' APIs on loopback, with a model that does as it is told.

A user's text that has ``CALL <tool> name=value name=value`` makes the model ask for that tool,
once, and then repeat what the tool answered: ``ANSWER <text>``. ``SHELL <command>``, to the end of
the line, makes it ask for the agent's own shell, and ``WRITE <file> <text>`` answer with a whole
file, as models do that have no tools. Any other text is answered with ``SAID <text>``. What was
asked is recorded, so that a test sees what reached the model and in which shape. It speaks
Anthropic's messages, OpenAI's responses and chat completions, and Gemini's generateContent,
streamed.
"""

import contextlib
import itertools
import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_CALL = re.compile(r"CALL (\w+)((?: \w+=[^\s\"\\]+)*)")
_SHELL = re.compile(r"^SHELL (.+)$", re.MULTILINE)
_WRITE = re.compile(r"^WRITE (\S+) (.+)$", re.MULTILINE)
_SHELLS = {
    "Bash": "command",
    "bash": "command",
    "exec_command": "cmd",
    "run_shell_command": "command",
}
"""Names of agents' shells, and of their argument."""
_SERIAL = itertools.count(1)


@dataclass(frozen=True)
class Turn:
    """What a request to the model came down to."""

    text: str
    """The last text of the user."""
    tools: tuple[str, ...]
    """Names of the tools that the model was offered."""
    answer: str | None
    """What a tool answered, if that is what came last."""
    history: str = field(default="", repr=False)
    """The whole conversation that was sent, as JSON."""


@dataclass
class FakeModel:
    """The server. Start it with ``with``; ``url`` is where it is."""

    turns: list[Turn] = field(default_factory=list)

    def __enter__(self) -> "FakeModel":
        model = self

        class Handler(_Handler):
            turns = model.turns

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answers(self) -> list[str]:
        """Return what tools answered, in the order in which it reached the model."""
        return [turn.answer for turn in self.turns if turn.answer is not None]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    turns: list[Turn]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        self._json({"data": [], "models": [], "object": "list"})

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            asked = json.loads(body or b"{}")
        except ValueError:
            self._json({"error": "no JSON"}, 400)
            return
        path = self.path.partition("?")[0]
        if path.endswith(("/count_tokens", ":countTokens")):
            self._json({"input_tokens": 10, "totalTokens": 10})
        elif path.endswith("/messages"):
            self._anthropic(asked)
        elif path.endswith("/responses"):
            self._responses(asked)
        elif path.endswith("/chat/completions"):
            self._chat(asked)
        elif path.endswith(("enerateContent",)):
            self._gemini(asked, streamed="stream" in path)
        else:
            self._json({})

    # --- the answer, whatever the protocol ----------------------------------------------

    def _decide(self, turn: Turn) -> tuple[str, dict[str, Any]] | str:
        """Return the tool to call with its arguments, or the text to say."""
        self.turns.append(turn)
        if turn.answer is not None:
            return f"ANSWER {turn.answer[:200]}"
        shells = [name for name in turn.tools if name in _SHELLS]
        if shells and (command := _SHELL.search(turn.text)):
            return shells[0], {_SHELLS[shells[0]]: command[1], "description": "As told"}
        if not turn.tools and (file := _WRITE.search(turn.text)):
            return f"{file[1]}\n```\n{file[2]}\n```\n"
        found = _CALL.findall(turn.text)
        if found:
            tool, arguments = found[-1]
            offered = [name for name in turn.tools if name.endswith(tool)]
            if offered:
                return offered[0], dict(_argument(each) for each in arguments.split())
            return f"NO TOOL {tool}"
        return f"SAID {turn.text[-60:]}"

    # --- Anthropic ----------------------------------------------------------------------

    def _anthropic(self, asked: dict[str, Any]) -> None:
        said = [each["role"] == "assistant" for each in asked["messages"]]
        newest = asked["messages"][len(said) - [*reversed(said), True].index(True) :]
        blocks = [block for each in newest for block in _blocks(each["content"])]
        answer = next((_text(b["content"]) for b in blocks if b["type"] == "tool_result"), None)
        text = "\n".join(b["text"] for b in blocks if b["type"] == "text")
        tools = tuple(t["name"] for t in asked.get("tools", ()) if "name" in t)
        does = self._decide(Turn(text, tools, answer, _json(asked["messages"])))
        if isinstance(does, str):
            block, start = {"type": "text", "text": does}, {"type": "text", "text": ""}
            delta: dict[str, Any] = {"type": "text_delta", "text": does}
            reason = "end_turn"
        else:
            block = {"type": "tool_use", "id": _new("toolu"), "name": does[0], "input": does[1]}
            start = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(does[1])}
            reason = "tool_use"
        usage = {"input_tokens": 10, "output_tokens": 10}
        message = {
            "id": _new("msg"),
            "type": "message",
            "role": "assistant",
            "model": asked.get("model", "fake"),
            "content": [block],
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": usage,
        }
        if not asked.get("stream"):
            self._json(message)
            return
        opened = {**message, "content": [], "stop_reason": None}
        events = [
            {"type": "message_start", "message": opened},
            {"type": "content_block_start", "index": 0, "content_block": start},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": reason, "stop_sequence": None},
                "usage": usage,
            },
            {"type": "message_stop"},
        ]
        self._events((event["type"], event) for event in events)

    # --- OpenAI: responses --------------------------------------------------------------

    def _responses(self, asked: dict[str, Any]) -> None:
        items = asked["input"]
        items = [{"role": "user", "content": items}] if isinstance(items, str) else items
        last = items[-1]
        answer = None
        if last.get("type") in {"function_call_output", "mcp_tool_call_output"}:
            answer = _text(last["output"])
        texts = [_text(i["content"]) for i in items if i.get("role") == "user"]
        tools = tuple(_responses_tools(asked.get("tools", ())))
        does = self._decide(Turn(texts[-1] if texts else "", tools, answer, _json(items)))
        item: dict[str, Any]
        if isinstance(does, str):
            part = {"type": "output_text", "text": does, "annotations": []}
            item = {
                "type": "message",
                "id": _new("msg"),
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        else:
            namespace, _, name = does[0].rpartition("/")
            item = {
                "type": "function_call",
                "id": _new("fc"),
                "call_id": _new("call"),
                "name": name,
                "arguments": json.dumps(does[1]),
                "status": "completed",
            }
            if namespace:
                item["namespace"] = namespace
        usage = {
            "input_tokens": 10,
            "output_tokens": 10,
            "total_tokens": 20,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }
        made = {"id": _new("resp"), "object": "response", "model": "fake", "output": []}
        done = {**made, "status": "completed", "output": [item], "usage": usage}
        if not asked.get("stream"):
            self._json(done)
            return
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": {**made, "status": "in_progress"}},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
        ]
        if isinstance(does, str):
            about = {"item_id": item["id"], "output_index": 0, "content_index": 0}
            events.append({"type": "response.output_text.delta", "delta": does, **about})
        events += [
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": done},
        ]
        self._events((event["type"], event) for event in events)

    # --- OpenAI: chat completions -------------------------------------------------------

    def _chat(self, asked: dict[str, Any]) -> None:
        messages = asked["messages"]
        answer = _text(messages[-1]["content"]) if messages[-1]["role"] == "tool" else None
        texts = [_text(m["content"]) for m in messages if m["role"] == "user"]
        tools = tuple(t["function"]["name"] for t in asked.get("tools", ()))
        does = self._decide(Turn(texts[-1] if texts else "", tools, answer, _json(messages)))
        delta: dict[str, Any] = {"role": "assistant"}
        if isinstance(does, str):
            delta["content"], reason = does, "stop"
        else:
            called = {"name": does[0], "arguments": json.dumps(does[1])}
            call = {"index": 0, "id": _new("call"), "type": "function", "function": called}
            delta["tool_calls"], reason = [call], "tool_calls"
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
        made = {"id": _new("chat"), "created": 1, "model": "fake"}
        if not asked.get("stream"):
            choice = {"index": 0, "message": delta, "finish_reason": reason}
            self._json({**made, "object": "chat.completion", "choices": [choice], "usage": usage})
            return
        made["object"] = "chat.completion.chunk"
        chunks = [
            {**made, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {
                **made,
                "choices": [{"index": 0, "delta": {}, "finish_reason": reason}],
                "usage": usage,
            },
        ]
        self._events(((None, chunk) for chunk in chunks), end="data: [DONE]\n\n")

    # --- Gemini -------------------------------------------------------------------------

    def _gemini(self, asked: dict[str, Any], *, streamed: bool) -> None:
        contents = asked["contents"]
        parts = contents[-1]["parts"]
        answers = [p["functionResponse"]["response"] for p in parts if "functionResponse" in p]
        answer = json.dumps(answers[0]) if answers else None
        users = [c for c in contents if c.get("role", "user") == "user"]
        texts = [p["text"] for p in users[-1]["parts"] if "text" in p]
        tools = tuple(
            each["name"]
            for tool in asked.get("tools", ())
            for each in tool.get("functionDeclarations", ())
        )
        does = self._decide(Turn("\n".join(texts), tools, answer, _json(contents)))
        part: dict[str, Any]
        if isinstance(does, str):
            part = {"text": does}
        else:
            part = {"functionCall": {"name": does[0], "args": does[1]}}
        schema = (asked.get("generationConfig") or {}).get("responseJsonSchema")
        if schema is not None and isinstance(does, str):  # its router asks which model to take
            part = {"text": json.dumps(_sample(schema))}
        made = {
            "candidates": [
                {
                    "content": {"role": "model", "parts": [part]},
                    "finishReason": "STOP",
                    "index": 0,
                }
            ],
            "usageMetadata": {
                "promptTokenCount": 10,
                "candidatesTokenCount": 10,
                "totalTokenCount": 20,
            },
            "modelVersion": "fake",
        }
        if streamed:
            self._events([(None, made)])
        else:
            self._json(made)

    # --- HTTP ---------------------------------------------------------------------------

    def _json(self, value: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _events(self, events: Any, end: str = "") -> None:
        said = "".join(
            (f"event: {name}\n" if name else "") + f"data: {json.dumps(value)}\n\n"
            for name, value in events
        )
        data = (said + end).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _argument(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    with contextlib.suppress(ValueError):
        return name, json.loads(value)
    return name, value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _responses_tools(tools: Any) -> Iterator[str]:
    for tool in tools:
        if tool.get("type") == "namespace":
            yield from (f"{tool['name']}/{each['name']}" for each in tool.get("tools", ()))
        elif "name" in tool:
            yield tool["name"]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_text(each.get("text", "")) for each in content)
    return json.dumps(content)


def _sample(schema: dict[str, Any]) -> Any:
    """Return a value that fits a simple JSON schema."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: _sample(each) for name, each in schema.get("properties", {}).items()}
        case "array":
            return []
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case _:
            return "x"


def _new(kind: str) -> str:
    return f"{kind}_{next(_SERIAL)}"
