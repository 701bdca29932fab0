"""``$(NAME)`` in the texts of a class. Pure.

It is expanded once: what was put in is not looked at again, ``$$`` is a dollar, unknown names stay
as they are. Two names are left to the runner, which alone knows them, ``$(WORKTREE)`` and
``$(HOME)``. The runner expands all of these texts once more, so every other dollar in them is
doubled on the wire.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

_REFERENCE: Final = re.compile(r"\$(?:(\$)|\(([A-Za-z_][A-Za-z0-9_]*)\))")
_OF_THE_RUNNER: Final = frozenset({"WORKTREE", "HOME"})


def literal(text: str) -> str:
    """Return *text* such that the runner's expansion gives it back."""
    return text.replace("$", "$$")


def expand(text: str, names: Mapping[str, str]) -> str:
    """Return *text* for the runner: ``$(NAME)`` replaced, all that is not the runner's literal.

    *names* have values that are for the runner, too: a variable's may hold ``$(HOME)``.
    Source: Kubernetes, dependent variables.
    """
    parts: list[str] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        parts.append(literal(text[end : match.start()]))
        parts.append(literal("$") if match[1] else _named(match[2], names))
        end = match.end()
    parts.append(literal(text[end:]))
    return "".join(parts)


def _named(name: str, names: Mapping[str, str]) -> str:
    reference = f"$({name})"
    if name in names:
        return names[name]
    return reference if name in _OF_THE_RUNNER else literal(reference)


def references(text: str) -> Iterator[str]:
    """Give the names that *text* refers to."""
    return (match[2] for match in _REFERENCE.finditer(text) if match[2])
