"""Turns what git said into one sentence for the user."""

import re
from typing import Final, NamedTuple

from gitaccess.answers import Heard, heard
from gitaccess.command import OVERWORKED, GitRunError
from gitaccess.credentials import Credentials, redact


class Failure(NamedTuple):
    """Why git failed, for people; and what that means for us."""

    sentence: str
    """Without subject and full stop, to follow "could not be fetched:"."""
    unreachable: bool = False
    """The other side could not be asked: what is here already may serve."""
    damaged: bool = False
    """Our own copy is broken."""
    reason: str = ""
    """CamelCase word for conditions; empty: what the caller calls it."""
    transient: bool = False
    """It was reached and broke off: at once it may go better."""


DISK_FULL: Final = "DiskFull"
TOO_LARGE: Final = "RepositoryTooLarge"
NO_REPOSITORY: Final = Failure(
    "what answers at that url is no git repository, but a page or something else: check the "
    "Repository's url",
    reason="NotAGitRepository",
)

_UNREACHABLE: Final = "RemoteUnreachable"
_MOVED: Final = "RepositoryMoved"
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PASSING: Final = frozenset({500, 502, 503, 504})
"""A moment later it is often better."""
_TOO_OFTEN: Final = 429

_KNOWN: Final[tuple[tuple[str, Failure], ...]] = (
    (
        r"died of signal 25|File too large",
        Failure("it is larger than what is taken here at once", reason=TOO_LARGE),
    ),
    (
        r"Out of memory|out of memory|died of signal 9\b",
        Failure("it holds more than git can unpack in its memory here", reason=TOO_LARGE),
    ),
    (
        r"Host key verification failed|No \w+ host key is known|REMOTE HOST IDENTIFICATION",
        Failure(
            "its ssh host key is not known: add known_hosts to the Secret of authSecretRef",
            reason="HostKeyUnknown",
        ),
    ),
    (
        (
            r"Permission denied|Authentication failed|could not read (Username|Password)|"
            r"error: 40[13]|Invalid username|terminal prompts disabled|Load key"
        ),
        Failure(
            "the server refused the credentials: check the Repository's authSecretRef",
            reason="AuthenticationFailed",
        ),
    ),
    (
        r"certificate problem|certificate verif|SSL peer certificate|self.signed|SSL_ERROR",
        Failure(
            "the server's certificate is not trusted: add its ca.crt to the Secret of "
            "authSecretRef",
            reason="CertificateUntrusted",
        ),
    ),
    (
        r"unable to update url base from redirection",
        Failure("the server redirects elsewhere: set the repository's present url", reason=_MOVED),
    ),
    (
        (
            r"is this a git repository\?|protocol error: bad line length character|"
            r"invalid server response; got|git-http-push failed"
        ),
        NO_REPOSITORY,
    ),
    (
        (
            r"[Rr]epository.*not found|does not appear to be a git repository|error: 404|"
            r"does not exist|not found: did you run|no such repository"
        ),
        Failure(
            "there is no repository at that url, or the credentials do not open it",
            reason="RemoteNotFound",
        ),
    ),
    (
        r"mismatched algorithms|unsupported object format|object-format",
        Failure("it uses another object format than SHA-1, which is not read yet"),
    ),
    (
        r"No space left on device|Disk quota exceeded",
        Failure("the disk is full", reason=DISK_FULL),
    ),
    (
        (
            r"Could not resolve host|Couldn't resolve|Name or service not known|"
            r"Temporary failure in name"
        ),
        Failure("its host name is not known here", unreachable=True, reason=_UNREACHABLE),
    ),
    (
        r"Operation too slow",
        Failure("the server sends too slowly", unreachable=True, reason="RemoteSlow"),
    ),
    (
        (
            r"Connection reset|Empty reply from server|hung up unexpectedly|"
            r"early EOF|Connection closed by|kex_exchange"
        ),
        Failure(
            "the server breaks the connection off",
            unreachable=True,
            reason=_UNREACHABLE,
            transient=True,
        ),
    ),
    (
        (
            r"Connection refused|Failed to connect|Couldn't connect|[Cc]onnection timed out|"
            r"unreachable|No route to host|Operation timed out|"
            r"GnuTLS|gnutls_|TLS connection|OpenSSL SSL_|SSL_connect"
        ),
        Failure("the server cannot be reached", unreachable=True, reason=_UNREACHABLE),
    ),
    (
        r"fsck error|error: object [0-9a-f]{40}: \w+:|fatal: fsck",
        Failure("it holds an object that git's checks refuse as malformed"),
    ),
    (
        (
            r"loose object|object file .* is empty|bad object|unable to read (tree|sha1)|"
            r"unable to read [0-9a-f]{40}|"
            r"inflate: data|packfile .* (cannot|does not|is)|missing (blob|tree|commit)|"
            r"not a git repository: '|bad config (line|file)|index-pack failed|reference broken|"
            r"could not parse|Could not read [0-9a-f]{40}|invalid object|unresolved deltas|"
            r"invalid sha1 pointer|bad tree|object directory|did not send all necessary"
        ),
        Failure("the copy of it here is damaged", damaged=True),
    ),
)


_TELLING: Final = re.compile(r"^(?:fatal|error): .*", re.MULTILINE)
_SILENT_END: Final = ["fatal: fetch-pack: invalid index-pack output"]
"""All that git says of an index-pack that was ended: no program had a word to say before."""
_WITH_A_SERVER: Final = frozenset({"fetch", "ls-remote", "lfs", "push"})


def explain(error: GitRunError, credentials: Credentials | None = None) -> Failure:
    """Return why git failed, in words that say what to do; without secrets."""
    if error.verb in _WITH_A_SERVER and _is_too_much(error.stderr):
        return Failure("it takes more work to unpack than is done here", reason=TOO_LARGE)
    if error.code is None and error.verb not in _WITH_A_SERVER:
        return Failure(f"git {error.verb} took too long")
    if error.code is None:
        return Failure("the server does not answer", unreachable=True, reason="RemoteSlow")
    answer = heard(error.stderr)
    if (failure := _answered(answer, credentials)) is not None:
        return failure
    for pattern, failure in _KNOWN:
        if re.search(pattern, answer.said):
            return failure
    lines = [line.strip() for line in re.split(r"[\r\n]+", answer.said) if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))] or lines
    said = redact(telling[-1], credentials) if telling else f"git ended with {error.code}"
    printable = "".join(char if char.isprintable() else " " for char in said)
    return Failure(f"git says {printable[:300]!r}")


def _answered(answer: Heard, credentials: Credentials | None) -> Failure | None:
    """Return what the answer's number says of itself, None where git's words say more."""
    status = answer.status
    if status is None:
        return None
    if answer.is_page and "find remote ref" in answer.said:
        return NO_REPOSITORY
    if status in _REDIRECTS:
        return Failure(_redirected(answer, credentials), reason=_MOVED)
    if status == _TOO_OFTEN:
        text = f"the server answers with HTTP {status}: it is asked too often"
        return Failure(text, unreachable=True, reason=_UNREACHABLE)
    if status // 100 == 5:  # noqa: PLR2004 - a fault of the server's own
        text, passing = f"the server answers with HTTP {status}", status in _PASSING
        return Failure(text, unreachable=True, reason=_UNREACHABLE, transient=passing)
    return None


def _redirected(answer: Heard, credentials: Credentials | None) -> str:
    address, is_repository = answer.elsewhere
    address = redact(address, credentials)
    if not address:
        return "the server redirects elsewhere: set the repository's present url"
    if is_repository:
        return (
            f"the server redirects to {address}: the repository has moved, set that as the "
            "Repository's url"
        )
    return (
        f"the server redirects to {address}, where no repository is: check the Repository's url "
        "and authSecretRef"
    )


def _is_too_much(said: str) -> bool:
    """Whether git, or the one that unpacks, was ended for its work (or memory, by the machine)."""
    return OVERWORKED in said or _TELLING.findall(said.replace("\r", "\n")) == _SILENT_END
