"""The command line of ``agentsmesh channel``. Imports nothing heavy: it is built every time."""

import argparse
from collections.abc import Callable


def add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    cluster: Callable[[argparse.ArgumentParser], None],
    count: Callable[[str], int],
) -> None:
    """Add the command; *cluster* adds what says which API server is meant."""
    channel = commands.add_parser("channel", help="see and say what is said in channels")
    cluster(channel)  # also before the verb
    verbs = channel.add_subparsers(metavar="VERB", required=True)

    found = verbs.add_parser("list", help="list the channels of an organization")
    found.add_argument("-o", "--output", choices=("table", "json"), default="table")
    cluster(found)
    found.set_defaults(run=_list)

    read = verbs.add_parser("read", help="print the messages of a channel")
    read.add_argument("channel", metavar="CHANNEL")
    read.add_argument("-f", "--follow", action="store_true", help="go on with those to come")
    read.add_argument("--last", type=count, metavar="N", help="only the last N of those there are")
    read.add_argument("-o", "--output", choices=("text", "json"), default="text")
    cluster(read)
    read.set_defaults(run=_read)

    send = verbs.add_parser("send", help="send a message to a channel")
    send.add_argument("channel", metavar="CHANNEL")
    send.add_argument("text", metavar="TEXT", help="-: what is on standard input")
    send.add_argument(
        "--mention",
        metavar="POD",
        action="append",
        default=[],
        help="give it to this pod as a prompt; repeatable",
    )
    send.add_argument("--reply-to", metavar="ID", default="", help="the message it answers")
    send.add_argument("-o", "--output", choices=("text", "json"), default="text")
    cluster(send)
    send.set_defaults(run=_send)


def _list(arguments: argparse.Namespace) -> int:
    from cli.channel_list import list_channels

    return list_channels(arguments)


def _read(arguments: argparse.Namespace) -> int:
    from cli.channel import read

    return read(arguments)


def _send(arguments: argparse.Namespace) -> int:
    from cli.channel import send

    return send(arguments)
