"""``agentsmesh channel list``: the Channel resources of an organization."""

import json
from argparse import Namespace
from typing import Any, Final

from cli.api import Api
from cli.channel_text import printable
from cli.datadir import locate
from cli.kubeconfig import load, paths
from schemas.channel import Channel
from schemas.names import CHANNEL

_HEADER: Final = ("CHANNEL", "NAME", "VISIBILITY", "MEMBERS", "MESSAGES", "LAST", "ARCHIVED")


def list_channels(arguments: Namespace) -> int:
    """Print the channels; their numbers may lag by a minute."""
    target = load(
        paths(arguments.kubeconfig, locate(arguments.data_dir)),
        context=arguments.context,
        token_file=arguments.token_file,
    )
    namespace = arguments.namespace or target.namespace
    found = [Channel.model_validate(item) for item in Api(target).list(CHANNEL, namespace)]
    found.sort(key=lambda channel: (channel.title.casefold(), channel.metadata.name))
    if arguments.output == "json":
        print(json.dumps([_document(channel) for channel in found], indent=2))
    elif found:
        print(_table([_HEADER, *(_row(channel) for channel in found)]))
    else:
        print(f"there are no channels in namespace {namespace}")
    return 0


def _document(channel: Channel) -> dict[str, Any]:
    """Return the JSON document that scripts read."""
    spec, status = channel.spec, channel.status
    return {
        "channel": channel.metadata.name,
        "name": channel.title,
        "description": spec.description or "",
        "visibility": str(spec.visibility),
        "archived": spec.archived,
        "members": status.member_count or 0,
        "messages": status.message_count or 0,
        "lastSequence": status.last_sequence or 0,
        "lastMessageAt": status.last_message_at,
    }


def _row(channel: Channel) -> tuple[str, ...]:
    status = channel.status
    return (
        channel.metadata.name,
        printable(channel.title),
        str(channel.spec.visibility),
        str(status.member_count or 0),
        str(status.message_count or 0),
        status.last_message_at or "-",
        "yes" if channel.spec.archived else "no",
    )


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
