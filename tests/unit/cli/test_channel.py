"""Channels at the command line: what is printed, what is asked for, and broken connections."""

import datetime as dt
import ipaddress
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from meshwire.v1 import link_pb2, link_pb2_grpc

from cli import channel_text
from cli.main import main
from tests.unit.cli.served import Served, serve

CHANNELS = "/apis/agentsmesh.io/v1alpha1/namespaces/acme/channels"
BUNDLE = "/api/v1/namespaces/acme/configmaps/agentsmesh-trust-bundle"


def message(sequence: int, content: str = "", **fields: Any) -> link_pb2.ChannelMessage:
    values = {"sender_pod": "lead", "message_type": "text", "created_at": "2027-01-15T08:00:00Z"}
    return link_pb2.ChannelMessage(
        message_id=f"id-{sequence}",
        sequence=sequence,
        content=content or str(sequence),
        **(values | fields),
    )


@dataclass
class Controller(link_pb2_grpc.ChannelsServicer):
    """The controller's door, with answers laid out beforehand."""

    sent: list[link_pb2.ChannelSend] = field(default_factory=list)
    read: list[link_pb2.ChannelRead] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    failures: list[grpc.StatusCode] = field(default_factory=list)
    """How the next calls end, one each."""
    messages: list[link_pb2.ChannelMessage] = field(default_factory=list)
    breaks_after: list[int] = field(default_factory=list)
    """The next readings break after so many messages."""
    undeliverable: tuple[str, ...] = ()

    def Send(self, request: Any, context: Any) -> Any:  # noqa: N802 - the RPC's name
        self._enter(context)
        self.sent.append(request)
        if self.failures:
            context.abort(self.failures.pop(0), "as laid out")
        return message(
            len({one.idempotency_key for one in self.sent}),
            request.content,
            undeliverable=self.undeliverable,
        )

    def Read(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802 - the RPC's name
        self._enter(context)
        self.read.append(request)
        if self.failures:
            context.abort(self.failures.pop(0), "as laid out")
        found = [one for one in self.messages if one.sequence > request.after_sequence]
        if request.limit:
            found = found[-request.limit :] if request.newest else found[: request.limit]
        cut = self.breaks_after.pop(0) if self.breaks_after else None
        yield from found[:cut]
        if cut is not None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the controller goes")
        if request.follow:
            context.abort(grpc.StatusCode.NOT_FOUND, "channel design was deleted")

    def _enter(self, context: Any) -> None:
        self.tokens |= {v for k, v in context.invocation_metadata() if k == "authorization"}


@dataclass
class Door:
    api: Served
    controller: Controller
    kubeconfig: Path

    def run(self, *words: str) -> int:
        return main(["-n", "acme", "--kubeconfig", str(self.kubeconfig), "channel", *words])


def identity() -> tuple[bytes, bytes]:
    """Return the key and the certificate of a server on loopback."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "controller")])
    now = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=36500))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, secret = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return (
        key.private_bytes(encoding, secret, serialization.NoEncryption()),
        certificate.public_bytes(encoding),
    )


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    controller, (key, certificate) = Controller(), identity()
    server = grpc.server(ThreadPoolExecutor(4))
    link_pb2_grpc.add_ChannelsServicer_to_server(controller, server)
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    kubeconfig = tmp_path / "kubeconfig"
    with serve() as api:
        endpoint = f"127.0.0.1:{port}"
        data = {
            "ca.crt": certificate.decode(),
            "publicEndpoint": endpoint,
            "runnerEndpoint": endpoint,
        }
        api.answers[BUNDLE] = (200, {"data": data})
        kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "clusters": [{"name": "c", "cluster": {"server": api.address}}],
                    "users": [{"name": "ada", "user": {"token": "ada-token"}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "ada"}}],
                }
            )
        )
        yield Door(api, controller, kubeconfig)
    server.stop(0).wait()


Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Return what was printed to standard output since the last time."""
    return lambda: capsys.readouterr().out


# --- list -----------------------------------------------------------------------------------------


def channel(name: str, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec, "status": status or {}}


def test_channels_are_listed_by_name(door: Door, said: Said) -> None:
    numbers = {"memberCount": 3, "messageCount": 12, "lastMessageAt": "2027-01-15T08:00:00Z"}
    items = [
        channel("zoo", archived=True),
        channel("chan-1", numbers, displayName="Design \x9b[2Jreview", visibility="private"),
    ]
    door.api.answers[CHANNELS] = (200, {"items": items})
    assert door.run("list") == 0
    assert said().splitlines() == [
        "CHANNEL  NAME               VISIBILITY  MEMBERS  MESSAGES  LAST                  ARCHIVED",
        "chan-1   Design \ufffd[2Jreview  private     3        12        2027-01-15T08:00:00Z  no",
        "zoo      zoo                public      0        0         -                     yes",
    ]


def test_channels_are_listed_for_scripts(door: Door, said: Said) -> None:
    door.api.answers[CHANNELS] = (200, {"items": [channel("zoo", {"messageCount": 2})]})
    assert door.run("list", "-o", "json") == 0
    assert json.loads(said()) == [
        {
            "channel": "zoo",
            "name": "zoo",
            "description": "",
            "visibility": "public",
            "archived": False,
            "members": 0,
            "messages": 2,
            "lastSequence": 0,
            "lastMessageAt": None,
        }
    ]


def test_no_channels_are_said_to_be_none(door: Door, said: Said) -> None:
    door.api.answers[CHANNELS] = (200, {"items": []})
    assert door.run("list") == 0
    assert said() == "there are no channels in namespace acme\n"
    assert door.run("list", "-o", "json") == 0
    assert json.loads(said()) == []


# --- read -----------------------------------------------------------------------------------------


def test_messages_are_printed(door: Door, said: Said) -> None:
    door.controller.messages = [
        message(1, "two\r\nlines \x1b[31m\t!", mentions=["fix", "ada"]),
        message(2, "naïve 🦊", sender_pod="", sender_user="ada@acme", message_type="system"),
    ]
    assert door.run("read", "design") == 0
    assert said().splitlines() == [
        "#1 2027-01-15T08:00:00Z pod lead to fix, ada",
        "    two",
        "    lines \ufffd[31m !",
        "#2 2027-01-15T08:00:00Z ada@acme (system)",
        "    naïve 🦊",
    ]
    assert door.controller.tokens == {"Bearer ada-token"}
    (request,) = door.controller.read
    assert (request.namespace, request.channel, request.follow) == ("acme", "design", False)


def test_messages_are_printed_for_scripts(door: Door, said: Said) -> None:
    door.controller.messages = [message(1, "a\x9b31m\n\x1b", reply_to="id-0", mentions=["fix"])]
    assert door.run("read", "design", "-o", "json") == 0
    (line,) = said().splitlines()
    assert line.isprintable()
    assert json.loads(line) == {
        "message_id": "id-1",
        "sequence": 1,
        "sender_pod": "lead",
        "content": "a\x9b31m\n\x1b",
        "message_type": "text",
        "mentions": ["fix"],
        "reply_to": "id-0",
        "created_at": "2027-01-15T08:00:00Z",
    }


@pytest.mark.parametrize(("last", "found"), [("2", [4, 5]), ("9", [1, 2, 3, 4, 5]), ("0", [])])
def test_only_the_last_messages_are_printed(
    door: Door, said: Said, last: str, found: list[int]
) -> None:
    door.controller.messages = [message(number) for number in range(1, 6)]
    assert door.run("read", "design", "--last", last, "-o", "json") == 0
    assert [json.loads(line)["sequence"] for line in said().splitlines()] == found


def test_a_broken_reading_goes_on_where_it_was(door: Door, said: Said) -> None:
    door.controller.messages = [message(number) for number in range(1, 8)]
    door.controller.breaks_after = [2, 0, 3]
    assert door.run("read", "design", "-o", "json") == 0
    assert [json.loads(line)["sequence"] for line in said().splitlines()] == list(range(1, 8))
    assert [request.after_sequence for request in door.controller.read] == [0, 2, 2, 5]


def test_a_follower_goes_on_until_the_channel_goes(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    door.controller.messages = [message(number) for number in range(1, 5)]
    door.controller.breaks_after = [1, 1]
    assert door.run("read", "design", "--follow", "-o", "json", "--last", "3") == 3
    printed = capsys.readouterr()
    assert [json.loads(line)["sequence"] for line in printed.out.splitlines()] == [2, 3, 4]
    assert printed.err == "agentsmesh: channel design was deleted\n"


def test_a_follower_of_nothing_old_sees_what_comes(door: Door, said: Said) -> None:
    door.controller.messages = [message(1), message(2)]
    assert door.run("read", "design", "-f", "--last", "0") == 3
    assert said() == ""
    assert [(one.follow, one.after_sequence) for one in door.controller.read] == [
        (False, 0),
        (True, 2),
    ]


# --- send -----------------------------------------------------------------------------------------


def test_a_message_is_sent(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    door.controller.undeliverable = ("gone",)
    words = ("--mention", "fix", "--mention", "gone", "--reply-to", "id-0")
    assert door.run("send", "design", "look at this", *words) == 0
    (request,) = door.controller.sent
    assert (request.namespace, request.channel, request.content) == (
        "acme",
        "design",
        "look at this",
    )
    assert (list(request.mentions), request.reply_to) == (["fix", "gone"], "id-0")
    printed = capsys.readouterr()
    assert printed.out == "message 1 sent to design\n"
    assert printed.err == "agentsmesh: pod gone gets no prompt: it has ended or takes none\n"


def test_what_was_sent_is_told_to_scripts(door: Door, said: Said) -> None:
    assert door.run("send", "design", "hello", "-o", "json") == 0
    assert json.loads(said())["message_id"] == "id-1"


def test_a_repeat_after_a_lost_answer_has_the_same_key(door: Door, said: Said) -> None:
    door.controller.failures = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE]
    assert door.run("send", "design", "once") == 0
    assert len(door.controller.sent) == 3
    assert len({request.idempotency_key for request in door.controller.sent}) == 1
    assert said() == "message 1 sent to design\n"


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (grpc.StatusCode.NOT_FOUND, 3),
        (grpc.StatusCode.PERMISSION_DENIED, 4),
        (grpc.StatusCode.UNAUTHENTICATED, 4),
        (grpc.StatusCode.INVALID_ARGUMENT, 1),
        (grpc.StatusCode.FAILED_PRECONDITION, 1),
        (grpc.StatusCode.UNIMPLEMENTED, 1),
    ],
)
def test_each_refusal_has_its_exit_code(
    door: Door, code: grpc.StatusCode, exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("send", "design", "hello"), ("read", "design"), ("read", "design", "-f")):
        door.controller.failures = [code]
        assert door.run(*words) == exit_code
        assert capsys.readouterr().err.startswith("agentsmesh: ")


@pytest.mark.parametrize("text", ["", "x" * 32_769])
def test_too_little_and_too_much_is_not_sent(door: Door, text: str) -> None:
    assert door.run("send", "design", text) == 1
    assert door.controller.sent == []


def test_the_text_may_come_from_standard_input(
    door: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "in").write_text("a\nb\n")
    with (tmp_path / "in").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert door.run("send", "design", "-") == 0
    assert door.controller.sent[0].content == "a\nb\n"


def test_nothing_in_a_message_moves_the_cursor() -> None:
    everything = "".join(map(chr, range(0x300))) + "\u202e\u2066\u2028"
    shown = channel_text.text(message(1, everything, sender_pod=everything))
    assert all(line.replace("\u200d", "").isprintable() for line in shown.splitlines())
