"""What users read when git failed."""

import pytest

from gitaccess.command import GitRunError
from gitaccess.credentials import Credentials, redact
from gitaccess.explain import explain


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        ("fatal: unable to access 'x': Could not resolve host: nowhere", "host name is not known"),
        ("Host key verification failed.\nfatal: Could not read from remote", "host key"),
        ("git@x: Permission denied (publickey).", "authSecretRef"),
        ("fatal: could not read Username for 'https://x': terminal prompts", "authSecretRef"),
        ("fatal: unable to access: The requested URL returned error: 403", "authSecretRef"),
        ("fatal: unable to access: server certificate verification failed.", "ca.crt"),
        ("fatal: repository 'https://x/' not found", "no repository"),
        ("fatal: unable to access: The requested URL returned error: 301", "redirects"),
        ("fatal: write error: No space left on device", "disk is full"),
        ("error: inflate: data stream error", "copy of it here is damaged"),
    ],
)
def test_known_failures_say_what_to_do(stderr: str, expected: str) -> None:
    assert expected in explain(GitRunError("fetch", 128, stderr)).sentence


def test_unknown_failures_are_quoted_short_and_without_secrets() -> None:
    credentials = Credentials(password="hunter2 secret/+")
    stderr = (
        f"progress\rfatal: odd {credentials.basic()} hunter2%20secret%2F%2B \x1b[31m{'x' * 999}"
    )
    said = explain(GitRunError("fetch", 128, stderr), credentials).sentence
    assert "hunter2" not in said
    assert credentials.basic() not in said
    assert "\x1b" not in said
    assert len(said) < 350


def test_only_an_unreachable_server_is_called_so() -> None:
    assert explain(GitRunError("fetch", None, "")).unreachable
    assert explain(GitRunError("fetch", 128, "Connection refused")).unreachable
    assert not explain(GitRunError("fetch", 128, "Permission denied (publickey)")).unreachable


def test_credentials_do_not_show_themselves() -> None:
    key = "-----BEGIN KEY-----\nabcdefghijklmnop\n-----END KEY-----\n"
    credentials = Credentials("ada", "hunter2secret", key)
    assert "hunter2secret" not in repr(credentials) + str(credentials) + f"{credentials}"
    text = (
        f"a hunter2secret abcdefghijklmnop https://ada:hunter2secret@host/x {credentials.basic()}"
    )
    assert redact(text, credentials) == (
        "a [redacted] [redacted] https://[redacted]@host/x [redacted]"
    )
