"""Between Python's values and the databases': times, ids, and texts that both can hold."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

from controller.store.errors import TextError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

MAX_INTEGER: Final = 2**63 - 1
"""The largest that both databases hold."""


def micros(moment: datetime) -> int:
    """Return the time as microseconds since 1970. It must be aware."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(microseconds: int) -> datetime:
    """Return the time of so many microseconds since 1970, in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def new_id(now_micros: int) -> str:
    """Return a ULID: 48 bits of milliseconds, then 80 random bits, in 26 characters."""
    number = ((now_micros // 1000) & (2**48 - 1)) << 80 | secrets.randbits(80)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def storable(text: str) -> bool:
    """Return whether both databases give the text back as it is: no NUL, valid Unicode."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_texts(**texts: str) -> None:
    """Refuse texts that cannot be stored, by the name that each is given.

    Raises:
        TextError: One of them cannot.
    """
    for name, text in texts.items():
        if not storable(text):
            raise TextError(
                f"the {name.replace('_', ' ')} holds a NUL or half a surrogate pair,"
                " which cannot be stored: leave that character out"
            )


def cleaned(text: str) -> str:
    """Return the text with what cannot be stored replaced, for reports that must not be lost."""
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode(errors="replace").decode()


def integer(number: int) -> int:
    """Return the number, or the nearest that both databases hold."""
    return max(-MAX_INTEGER, min(number, MAX_INTEGER))
