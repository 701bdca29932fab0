"""Tools that look at and drive another pod's terminal."""

from typing import Annotated

from pydantic import Field

from schemas.names import Scope
from schemas.tools.base import Arguments, Category, Key, Result, Tool


class ObserveTerminal(Arguments):
    """Which terminal, and how much of it."""

    pod_key: Key
    """Name of the pod."""
    lines: Annotated[int, Field(ge=1, le=10_000)] = 50
    """How many of the last lines."""
    raw: bool = False
    """Keep colours and other escape sequences."""
    include_screen: bool = False
    """Also return the screen as it looks now."""


class Observation(Result):
    """What a terminal shows."""

    pod_key: str
    output: str
    """The last lines, joined by newlines."""
    screen: str | None = None
    """The visible screen, one row a line."""
    cursor_x: int
    """Column of the cursor, from 0."""
    cursor_y: int
    """Row of the cursor on the screen, from 0."""
    total_lines: int
    """Lines there are."""
    has_more: bool
    """Whether there are lines before these."""


class SendTerminalText(Arguments):
    """Which terminal, and what to type."""

    pod_key: Key
    """Name of the pod."""
    text: Annotated[str, Field(min_length=1, max_length=65_536)]
    """Typed exactly as it is, without a newline at its end: submit with send_terminal_key."""


class Typed(Result):
    """What the terminal took."""

    pod_key: str
    characters: int
    """Characters typed: all of them."""


class SendTerminalKey(Arguments):
    """Which terminal, and which keys."""

    pod_key: Key
    """Name of the pod."""
    keys: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=32)], ...],
        Field(min_length=1, max_length=64, strict=False),
    ]
    """enter escape tab shift+tab backspace delete insert up down left right home end pageup
    pagedown space, f1 to f12, ctrl+a to ctrl+z, alt+<key>, or a single character; in this order."""


class Pressed(Result):
    """What the terminal took."""

    pod_key: str
    keys: int
    """Keys pressed: all of them."""


TOOLS = (
    Tool(
        "observe_terminal",
        Category.TERMINAL,
        "Look at the terminal of a pod: its last lines and, if asked for, its screen.",
        ObserveTerminal,
        Observation,
        scope=Scope.TERMINAL_READ,
        read_only=True,
    ),
    Tool(
        "send_terminal_text",
        Category.TERMINAL,
        "Type text into the terminal of a pod. It is not submitted: press enter afterwards.",
        SendTerminalText,
        Typed,
        scope=Scope.TERMINAL_WRITE,
    ),
    Tool(
        "send_terminal_key",
        Category.TERMINAL,
        "Press keys in the terminal of a pod.",
        SendTerminalKey,
        Pressed,
        scope=Scope.TERMINAL_WRITE,
    ),
)
