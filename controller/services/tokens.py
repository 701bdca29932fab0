"""Join tokens: ``amjt_<enrollment>.<43 characters of base64url>``. Only their hash is stored."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_TOKEN: Final = re.compile(rf"amjt_(?P<enrollment>{_LABEL})\.[A-Za-z0-9_-]{{43}}")
_NAME: Final = re.compile(_LABEL)
_PART: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = re.compile(rf"{_PART}(?:\.{_PART})*")
_LONGEST_NAME: Final = 253


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A token of the right form. Whether it is valid, its enrolment knows."""

    enrollment: str
    """Name of the RunnerEnrollment."""
    text: str = field(repr=False)

    def matches(self, token_hash: str | None) -> bool:
        """Whether the hash is this token's; takes the same time whatever the answer is."""
        own = hashlib.sha256(self.text.encode()).hexdigest()
        return hmac.compare_digest(own, token_hash or "0" * len(own))


def read_token(text: str) -> JoinToken | None:
    """Return the token, or None if it has not the form of one."""
    found = _TOKEN.fullmatch(text)
    return JoinToken(found["enrollment"], text) if found else None


def is_name(text: str) -> bool:
    """Whether the text can be the name of a Runner or a namespace (DNS-1123 label)."""
    return _NAME.fullmatch(text) is not None


def is_object_name(text: str) -> bool:
    """Whether the text can be the name of an object such as an AgentPod (DNS-1123 subdomain)."""
    return len(text) <= _LONGEST_NAME and _SUBDOMAIN.fullmatch(text) is not None
