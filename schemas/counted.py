"""Says how many there are of something, as people say it."""


def counted(count: int, what: str) -> str:
    """Return ``1 file`` or ``2 files``. *what* is one of them, and takes an s for more."""
    return f"{count} {what}{'' if count == 1 else 's'}"
