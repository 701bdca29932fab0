"""Take out of a text what nobody may read: tokens, passwords, keys.

For texts that come from outside (runners, git, the API) before they enter a status, an Event or
the log. It errs on the side of taking out too much.
"""

import re
from typing import Final

_HIDDEN: Final = "[redacted]"

_PATTERNS: Final = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)",
        r"\bamjt_[a-z0-9.-]+\.[A-Za-z0-9_-]{8,}",  # join tokens
        r"(?<=://)[^/\s@:]*:[^/\s@]*(?=@)",  # user:password in an address
        r"(?<=bearer )[A-Za-z0-9._~+/=-]{8,}",
        r"(?<=basic )[A-Za-z0-9+/=]{8,}",
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",  # JSON web tokens
        r"\b(sk|pk|rk)-[A-Za-z0-9_-]{16,}",
        r"\b(gh[pousr]|github_pat|glpat|xox[abprs]|npm|hf)[_-][A-Za-z0-9_-]{16,}",
        r"\bAKIA[0-9A-Z]{16}\b",
        r"\bAIza[0-9A-Za-z_-]{30,}",
    )
)
_ASSIGNED: Final = re.compile(
    r"(?i)\b((?:password|passwd|secret|token|api[_-]?key)\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;]+)"
)


def redact(text: str, limit: int = 1024) -> str:
    """Return *text* as one clean line of at most *limit* characters, without secrets."""
    for pattern in _PATTERNS:
        text = pattern.sub(_HIDDEN, text)
    text = _ASSIGNED.sub(rf"\1{_HIDDEN}", text)
    text = text.encode("utf-8", errors="replace").decode("utf-8")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
