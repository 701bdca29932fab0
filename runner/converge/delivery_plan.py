"""Says what to do next about a prompt that is to be typed: pure.

Wait until the agent takes input; type the text; wait until it is seen; type the submit key,
apart; look whether the input let go of the text; if it did not, the key again, a few times. A
key is repeated only while the text is seen in the input: what was taken is not submitted twice.
"""

from dataclasses import dataclass, replace
from typing import Final

from runner.converge.delivery_screen import Look, Mark, Verdict, is_echoed, mark, verdict
from runner.converge.delivery_states import Delivery, Stage
from runner.converge.prompt import typed_text
from schemas.patterns import Pattern

NEVER: Final = float("inf")
QUIET_SECONDS: Final = 2.0
"""Without a sign to look for, an agent that was quiet for so long is taken to be ready."""

SIGN_SECONDS: Final = 0.15
"""A sign has to stand for so long: a screen is drawn in pieces."""

LISTED_SECONDS: Final = 0.3
"""Between the list of tools and the first prompt: measured."""

OTHERS_SECONDS: Final = 2.0
"""Whoever else types has to have paused for so long: no two inputs are mixed."""

PAUSE_SECONDS: Final = 0.3
"""Between the text, seen and quiet, and its submit key: measured with agents' programs."""

UNSEEN_SECONDS: Final = 3.0
"""After a text that nothing of the screen answers, the key is typed all the same."""

OTHERWISE_SECONDS: Final = 1.5
"""After a text that the screen answers with something else, so long quiet, likewise."""

SEEN_SECONDS: Final = 1.0
RESTLESS_SECONDS: Final = 10.0
"""The same, seen and not seen, for agents at work, whose screens are never quiet."""

TAKEN_SECONDS: Final = 0.3
WINDOWS: Final = (4.0, 5.0, 6.0, 8.0)
"""How long each submit key, once read, may take to show effect; there are as many attempts.

Where the shim is of an older runner, which does not tell what was read, a program that is
starved for so long gets a key too many: an empty input, submitted.
"""

UNREAD_SECONDS: Final = 10.0
"""What was typed may stay unread until the delivery's time is over, and for so long at least."""

UNREAD: Final = "The agent's program did not read what was typed: it may be taken later."
UNREAD_NOTE: Final = "The prompt is typed, but the agent's program does not read its terminal."

LINE_BYTES: Final = 4095
"""What a terminal in line mode takes as one line, with its end; the rest it drops."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How one knows that the agent takes input."""

    sign: Pattern | None = None
    timeout_seconds: float = 60.0
    is_first: bool = False
    """The first prompt is typed in the end, whatever is missing; others are given up."""
    lists_tools: bool = False
    """Whether the agent is expected to list its tools before its first prompt."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known besides the delivery and the screen; in memory only."""

    rule: Rule
    since: float
    """When waiting for the agent began."""
    give_up_at: float = NEVER
    listed_at: float | None = None
    """When the agent listed its tools."""
    stuck: Mark | None = None
    """A text of an earlier delivery that was never submitted."""
    typed_at: float | None = None
    """When the bytes of the present stage were typed; None when that is not known."""
    is_typed: bool = False
    """Whether the text is known to be the last that was typed by us, before a restart even."""
    before: Look | None = None
    """The screen before the text."""
    held: Mark | None = None
    """The text in the input, before the last submit key."""
    seen_at: float | None = None
    """Since when the text is seen in the input."""
    taken_at: float | None = None
    """Since when the text is seen to have been taken."""

    @property
    def late_at(self) -> float:
        """When the agent has taken longer than its class says that it may take to be ready."""
        return self.since + self.rule.timeout_seconds


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again when the screen has changed, or at *until*."""

    until: float
    seen_at: float | None = None
    taken_at: float | None = None
    """Both to be remembered in the scene."""
    note: str = ""
    """To be told about the pod."""


@dataclass(frozen=True, slots=True)
class Type:
    """Write down the stage (PASTED, or PRESSED with a number), then type what belongs to it."""

    stage: Stage
    attempt: int = 0
    note: str = ""
    """To be told about the pod."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The agent has it."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It cannot be brought to the agent."""

    reason: str
    message: str
    is_held: bool = False
    """Whether the text is in the input still."""


Step = Wait | Type | Submitted | Failed


def next_step(delivery: Delivery, scene: Scene, look: Look) -> Step:
    """Return what to do about an open delivery, given its run's screen."""
    match delivery.stage:
        case Stage.WAITING:
            return _waiting(delivery, scene, look)
        case Stage.PASTED:
            return _pasted(delivery, scene, look)
        case Stage.PRESSED:
            return _pressed(delivery, scene, look)


def with_mark(delivery: Delivery, scene: Scene, look: Look) -> Scene:
    """Return the scene with the text as it stands in the input now."""
    return replace(scene, held=mark(delivery.text, scene.before, look), taken_at=None)


# --- until the agent takes input ------------------------------------------------------------------


def _waiting(delivery: Delivery, scene: Scene, look: Look) -> Step:
    ready_at, lacking = _ready_at(scene, look)
    if ready_at <= look.at:
        return _too_long(delivery, look) or Type(Stage.PASTED, note=_omitted(scene))
    if scene.give_up_at <= look.at:
        return Failed("NotReady", f"The agent took no prompt in time: {lacking}.")
    late_at, note = scene.late_at, ""
    if scene.rule.is_first and late_at <= look.at:
        note = f"The prompt is not typed yet: {lacking}. Attach to see what the agent waits for."
    return Wait(min(ready_at, scene.give_up_at, late_at if late_at > look.at else NEVER), note=note)


def _too_long(delivery: Delivery, look: Look) -> Failed | None:
    """Refuse a text of which the terminal would drop a part."""
    length = len(typed_text(delivery.text, bracketed=False, line_mode=True))
    if not look.line_mode or length < LINE_BYTES:
        return None
    text = f"The agent's program reads lines, and its terminal takes at most {LINE_BYTES - 1} bytes"
    return Failed("NotSubmitted", f"{text} of one: the prompt is longer. Nothing was typed.")


def _omitted(scene: Scene) -> str:
    if not scene.rule.lists_tools or scene.listed_at is not None:
        return ""
    limit = f"{scene.rule.timeout_seconds:.0f} s"
    return f"The prompt was typed although the agent had not listed its MCP tools within {limit}."


def _ready_at(scene: Scene, look: Look) -> tuple[float, str]:
    """Return when the agent is taken to be ready if nothing changes, and what is lacking."""
    if look.is_unread:
        return NEVER, "its program does not read what is typed"
    if scene.stuck is not None and verdict(scene.stuck, look) is not Verdict.TAKEN:
        return NEVER, "an earlier prompt, which was not submitted, is in its input still"
    others_at = look.others_at + OTHERS_SECONDS
    tools_at, lacking = _tools_at(scene, look)
    if tools_at > look.at:
        return max(tools_at, others_at), lacking
    sign_at, lacking = _sign_at(scene, look)
    if others_at > look.at:
        lacking = "somebody types into its terminal"
    return max(sign_at, others_at), lacking


def _tools_at(scene: Scene, look: Look) -> tuple[float, str]:
    if not scene.rule.lists_tools:
        return look.at, ""
    late_at = scene.late_at
    listed_at = late_at if scene.listed_at is None else scene.listed_at + LISTED_SECONDS
    return min(listed_at, late_at), "the agent has not listed its MCP tools"


def _sign_at(scene: Scene, look: Look) -> tuple[float, str]:
    rule = scene.rule
    if rule.sign is not None:
        at = NEVER if look.sign_at is None else look.sign_at + SIGN_SECONDS
        return at, f"its terminal did not show readiness.regex ({rule.sign.text})"
    if rule.lists_tools and scene.listed_at is not None:
        return look.at, ""
    late_at = scene.late_at
    quiet_at = max(look.changed_at, scene.since) + QUIET_SECONDS
    if look.is_blank:  # it has not begun
        return late_at, "its terminal showed nothing"
    if rule.is_first:  # one that never rests gets its prompt all the same
        quiet_at = min(quiet_at, late_at)
    return quiet_at, f"its terminal was not quiet for {QUIET_SECONDS:.0f} s"


# --- until the text is in the input ---------------------------------------------------------------


def _pasted(delivery: Delivery, scene: Scene, look: Look) -> Step:
    if scene.typed_at is None:
        return _resumed_paste(delivery, scene, look)
    if look.is_unread:  # text and key would be read as one
        return _unread(scene, look)
    seen_at = None
    if look.offset > delivery.pasted_at and is_echoed(delivery.text, scene.before, look):
        seen_at = look.at if scene.seen_at is None else scene.seen_at
    key_at = max(_key_at(delivery, scene, look, seen_at), look.others_at + OTHERS_SECONDS)
    if key_at > look.at:
        return Wait(key_at, seen_at=seen_at)
    return Type(Stage.PRESSED, 1)


def _resumed_paste(delivery: Delivery, scene: Scene, look: Look) -> Step:
    """Decide after a restart of the runner: typing again is safe, but not into a menu."""
    changed = look.offset > delivery.pasted_at
    if scene.is_typed:
        return Type(Stage.PASTED)
    if changed and is_echoed(delivery.text, scene.before, look):
        return Type(Stage.PASTED)
    ready_at, lacking = _ready_at(scene, look)
    if ready_at <= look.at:
        return Type(Stage.PASTED)
    if scene.give_up_at <= look.at:
        text = "The runner was restarted while it typed, and then the agent took no prompt in time"
        return Failed("NotSubmitted", f"{text}: {lacking}. It may have been typed.")
    return Wait(min(ready_at, scene.give_up_at))


def _key_at(delivery: Delivery, scene: Scene, look: Look, seen_at: float | None) -> float:
    """Return when the text counts as being in the input if nothing changes."""
    typed_at = max(scene.typed_at or 0.0, look.unread_at)
    if look.offset <= delivery.pasted_at:
        return typed_at + UNSEEN_SECONDS
    if seen_at is None:
        return min(look.changed_at + OTHERWISE_SECONDS, typed_at + RESTLESS_SECONDS)
    quiet_at = min(look.changed_at + PAUSE_SECONDS, seen_at + SEEN_SECONDS)
    return max(quiet_at, typed_at + PAUSE_SECONDS)


# --- until it is taken ----------------------------------------------------------------------------


def _pressed(delivery: Delivery, scene: Scene, look: Look) -> Step:
    if look.is_unread and not look.line_mode:  # so that whatever is seen is not its effect
        return _unread(scene, look)
    held = scene.held
    found = Verdict.UNKNOWN if held is None else verdict(held, look)
    if found is Verdict.TAKEN and (scene.typed_at is not None or (held and held.needle)):
        taken_at = scene.taken_at if scene.taken_at is not None else look.at
        if look.at >= taken_at + TAKEN_SECONDS:
            return Submitted()
        return Wait(taken_at + TAKEN_SECONDS, taken_at=taken_at)
    if scene.typed_at is None:
        return Type(Stage.PRESSED, delivery.attempts)
    if look.is_unread:
        return _unread(scene, look)
    over_at = (
        max(scene.typed_at, look.unread_at) + WINDOWS[min(delivery.attempts, len(WINDOWS)) - 1]
    )
    if look.at < over_at:
        return Wait(over_at)
    if found is Verdict.UNKNOWN:
        text = "The prompt was typed and its submit key pressed, but the terminal shows no effect"
        return Failed("NotSubmitted", f"{text}: it may have been taken.")
    if delivery.attempts < len(WINDOWS):
        return Type(Stage.PRESSED, delivery.attempts + 1)
    text = f"The prompt is in the agent's input still, after {len(WINDOWS)} times its submit key"
    return Failed("NotSubmitted", f"{text}.", is_held=True)


def _unread(scene: Scene, look: Look) -> Step:
    """Wait for a program that reads nothing: a key more would only come on top."""
    typed_at = scene.since if scene.typed_at is None else scene.typed_at
    over_at = max(scene.give_up_at, typed_at + UNREAD_SECONDS)
    if look.at >= over_at:
        return Failed("NotSubmitted", UNREAD, is_held=True)
    if look.at < scene.late_at:  # it may be starting still
        return Wait(min(over_at, scene.late_at))
    return Wait(over_at, note=UNREAD_NOTE)
