"""A program with an input line, as agents have them: ``tui.py KIND FILE``.

What is submitted goes as a line of JSON to FILE. KIND says what is peculiar about it:

    plain   nothing: newlines submit, everything typed is shown
    drops   the first Enter has no effect
    menu    for three seconds there is a menu, in which Enter chooses to exit
    late    draws what was typed a second later
    chunk   an Enter within 50 ms of other characters belongs to them: a newline
    paste   asks for marked pastes, shows long ones as a note; unmarked text is not accepted
    deaf    asks for marked pastes and ignores every Enter
    busy    is quiet and ready, then works with a moving spinner, and takes input meanwhile
    slow    reads little at a time
    stalls  having shown a text, reads nothing for longer than a key may take

Ctrl-U empties the input.
"""

import json
import os
import select
import sys
import termios
import time
import tty

KIND, FILE = sys.argv[1], sys.argv[2]
MARKED = KIND in {"paste", "deaf"}
BEGIN, END = "\x1b[200~", "\x1b[201~"
MENU_SECONDS = 3.0
LATE_SECONDS = 1.0
FAST_SECONDS = 0.05
STALL_SECONDS = 6.0


def record(text: str) -> None:
    """Append a submitted text to the file, in one write."""
    line = json.dumps(text) + "\n"
    fd = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, line.encode())
    os.close(fd)


class Tui:
    """The program."""

    def __init__(self) -> None:
        self.said = ["welcome"]
        self.text = ""
        self.in_paste = False
        self.keys = b""
        self.dropped = KIND != "drops"
        self.began = time.monotonic()
        self.typed_at = 0.0
        self.draw_at: float | None = self.began
        self.turns = 0

    def run(self) -> None:
        """Serve until the terminal closes."""
        while True:
            ready, _, _ = select.select([0], [], [], self.wait())
            if ready:
                data = os.read(0, 128 if KIND == "slow" else 65536)
                if not data:
                    return
                self.take(data)
                delay = LATE_SECONDS if KIND == "late" else 0.0
                self.draw_at = time.monotonic() + delay
                if KIND == "slow":
                    time.sleep(0.002)
            if self.draw_at is not None and time.monotonic() >= self.draw_at:
                self.draw_at = None
                self.draw()
                if KIND == "stalls" and self.text:
                    time.sleep(STALL_SECONDS)

    def wait(self) -> float | None:
        """Return how long nothing happens unless something is typed."""
        if KIND == "busy" and self.turns:
            self.draw_at = time.monotonic() + 0.1
            return 0.1
        if self.in_menu:
            self.draw_at = self.began + MENU_SECONDS
        return None if self.draw_at is None else max(0.0, self.draw_at - time.monotonic())

    @property
    def in_menu(self) -> bool:
        """Whether a menu stands where the input will be."""
        return KIND == "menu" and time.monotonic() < self.began + MENU_SECONDS

    def take(self, data: bytes) -> None:
        """Take what was typed."""
        if self.in_menu:
            if b"\r" in data:
                record("CHOSEN: exit")
                sys.exit(1)
            return
        self.keys += data
        try:
            typed = self.keys.decode()
        except UnicodeDecodeError:
            return  # a letter whose end has not come
        self.keys = b""
        if any(typed.endswith(mark[:n]) for mark in (BEGIN, END) for n in range(1, len(mark))):
            self.keys = typed[typed.rindex("\x1b") :].encode()
            typed = typed[: typed.rindex("\x1b")]
        fast = time.monotonic() - self.typed_at < FAST_SECONDS or len(typed) > 1
        while typed:
            if MARKED and typed.startswith(BEGIN):
                self.in_paste, typed = True, typed[len(BEGIN) :]
            elif MARKED and typed.startswith(END):
                self.in_paste, typed = False, typed[len(END) :]
            else:
                self.key(typed[0], fast=fast)
                typed = typed[1:]
        self.typed_at = time.monotonic()

    def key(self, key: str, *, fast: bool) -> None:
        """Take one character."""
        if self.in_paste:
            self.text += "\n" if key == "\r" else key
        elif key == "\x15":
            self.text = ""
        elif key != "\r":
            self.text += "" if MARKED else key
        elif KIND == "chunk" and fast:
            self.text += "\n"
        elif not self.dropped:
            self.dropped = True
        elif KIND != "deaf":
            record(self.text)
            self.said += [f"you: {line}" for line in self.text[:400].split("\n")] + ["agent: ok"]
            self.text = ""
            self.turns += 1

    def draw(self) -> None:
        """Draw everything anew, in two pieces as programs do."""
        lines = self.said[-10:]
        if self.in_menu:
            lines = [*lines, "Do you trust this folder?", "* 1. No, exit", "  2. Yes"]
            os.write(1, ("\x1b[H\x1b[2J" + "\r\n".join(lines)).encode())
            return
        shown = self.text
        if MARKED and len(shown) > 1000:
            shown = f"[Pasted text #1 +{shown.count(chr(10))} lines]"
        if KIND == "busy" and self.turns:
            lines = [*lines, f"working {'|/-.'[int(time.monotonic() * 10) % 4]}"]
        rows = shown.split("\n")
        wide = [row[at : at + 100] for row in rows for at in range(0, max(1, len(row)), 100)][-20:]
        frame = "\u2500" * 104
        os.write(1, ("\x1b[H\x1b[2J" + "\r\n".join([*lines, frame])).encode())
        box = "\r\n".join(("> " if n == 0 else "  ") + row for n, row in enumerate(wide))
        os.write(1, ("\r\n" + box + "\x1b7\r\n" + frame + "\x1b8").encode())


def main() -> None:
    """Run on a raw terminal."""
    tty.setraw(0, termios.TCSANOW)
    if MARKED:
        os.write(1, b"\x1b[?2004h")
    Tui().run()


main()
