"""A program that reads lines, as ``cat`` does: ``lines.py KIND FILE``; KIND is shown or hidden."""

import json
import os
import sys
import termios

KIND, FILE = sys.argv[1], sys.argv[2]


def hide() -> None:
    """Have the terminal not show what is typed."""
    attributes = termios.tcgetattr(0)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(0, termios.TCSANOW, attributes)


def main() -> None:
    """Record each line and answer it."""
    if KIND == "hidden":
        hide()
    sys.stdout.write("ready\n")
    for line in sys.stdin:
        fd = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, (json.dumps(line.rstrip("\n")) + "\n").encode())
        os.close(fd)
        sys.stdout.write("ok\n")


main()
