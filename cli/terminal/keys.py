"""The keys that leave a terminal, picked out of what is typed."""

from cli.errors import Usage

_NAMED = {"[": 0x1B, "\\": 0x1C, "]": 0x1D, "^": 0x1E, "_": 0x1F, "@": 0x00}


def parse(text: str) -> bytes:
    """Return the bytes of ``ctrl-p,ctrl-q``, ``ctrl-]`` or ``a,b``; empty for an empty text.

    Raises:
        Usage: A key is not known.
    """
    return bytes(_key(name.strip()) for name in text.split(",")) if text else b""


def _key(name: str) -> int:
    if len(name) == 1 and 0x20 <= ord(name) < 0x7F:
        return ord(name)
    modifier, _, letter = name.lower().partition("-")
    if modifier in {"ctrl", "c"} and len(letter) == 1:
        if "a" <= letter <= "z":
            return ord(letter) - ord("a") + 1
        if letter in _NAMED:
            return _NAMED[letter]
    raise Usage(f"--detach-keys: {name!r} is no key; write them like ctrl-p,ctrl-q or ctrl-]")


class DetachKeys:
    """Holds back what may be the beginning of the keys, until it is known to be or not to be."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    @property
    def holding(self) -> bool:
        """Whether something is held back."""
        return self._matched > 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Return what to pass on of *data*, and whether the keys came; what follows is lost."""
        if not self._keys:
            return data, False
        passed = bytearray()
        for byte in data:
            while self._matched and byte != self._keys[self._matched]:
                # The longest end of what was held that is a beginning again stays held.
                kept = self._border(self._matched)
                passed += self._keys[: self._matched - kept]
                self._matched = kept
            if byte == self._keys[self._matched]:
                self._matched += 1
            else:
                passed.append(byte)
            if self._matched == len(self._keys):
                self._matched = 0
                return bytes(passed), True
        return bytes(passed), False

    def release(self) -> bytes:
        """Return what is held back: it was meant for the agent, the rest did not come."""
        held = self._keys[: self._matched]
        self._matched = 0
        return held

    def _border(self, length: int) -> int:
        held = self._keys[:length]
        return next(n for n in range(length - 1, -1, -1) if held[length - n :] == held[:n])
