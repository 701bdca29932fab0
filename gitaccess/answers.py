"""What a server said to git over HTTP: read from git's own trace, which it prints beside errors.

Git itself names neither the address that a server redirects to, nor that a page came where a
repository was to be; where a connection ends untidily not even the answer's number.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

TRACED: Final[Mapping[str, str]] = {"GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1"}
"""Environment of a call whose errors are to have what the server said: heads alone, and those that
show who we are without what they say. Source: git(1), GIT_TRACE_CURL, GIT_TRACE_REDACT."""

_TRACE: Final = re.compile(
    r"(?:^|(?<=\r))\d\d:\d\d:\d\d\.\d+ [\w./-]+:\d+ +([^\r\n]*)[\r\n]*", re.MULTILINE
)
_HEAD: Final = re.compile(r"<= Recv header: (?:HTTP/[\d.]+ (\d{3})|([\w-]+): *(.*))")
_NUMBER: Final = re.compile(r"The requested URL returned error: (\d{3})")
_ASKED: Final = re.compile(r"unable to access '([^']+)'")
_REFS: Final = "/info/refs"
_OF_GIT: Final = "application/x-git-"
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one call of git."""

    said: str
    """What git itself printed."""
    status: int | None = None
    """Of the last answer, None if there was none or none is known."""
    location: str = ""
    """The address that it names, as it stands there."""
    speaks_git: bool | None = None
    """Whether any answer was of git's kind, None if no answer was seen."""

    @property
    def is_page(self) -> bool:
        """Whether something else than a repository was answered, and as if all were well."""
        return self.speaks_git is False and self.status == 200  # noqa: PLR2004 - HTTP's OK

    @property
    def elsewhere(self) -> tuple[str, bool]:
        """Return the address that was named, and whether it is a repository's; "" if none is.

        Without user, password and query.
        """
        asked = _ASKED.search(self.said)
        try:
            parts = urlsplit(urljoin(asked[1] if asked else "", self.location))
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            return "", False
        if not self.location or parts.scheme not in {"http", "https"} or not parts.hostname:
            return "", False
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        address = f"{parts.scheme}://{host}{port}{parts.path}"
        if not address.isprintable() or len(address) > _LONGEST:
            return "", False
        return address.removesuffix(_REFS), address.endswith(_REFS)


def heard(stderr: str) -> Heard:
    """Return what git printed without the trace, and what the trace tells."""
    said = _TRACE.sub("", stderr)
    status, location, of_git = None, "", None
    for line in _TRACE.findall(stderr):
        if (head := _HEAD.match(line)) is None:
            continue
        number, name, value = head.groups()
        if number:
            status, location, of_git = int(number), "", bool(of_git)
        elif name.lower() == "location":
            location = value.strip()
        elif name.lower() == "content-type":
            of_git = of_git or value.lower().startswith(_OF_GIT)
    if status is None and (printed := _NUMBER.search(said)):
        status = int(printed[1])
    return Heard(said, status, location, of_git)
