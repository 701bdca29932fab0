"""The command line of AgentsMesh: ``agentsmesh``, and by kubectl ``kubectl mesh``.

Each command's code is imported when it is called, so that every command starts quickly.
"""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cli import (
    channel_arguments,
    plan_arguments,
    port_forward_arguments,
    prompt_arguments,
    reconcile_arguments,
    ticket_arguments,
    worktree_arguments,
)
from cli.errors import CommandError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in *argv* (default: the process's) and return its exit code."""
    arguments = parser().parse_args(argv)
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
    except CommandError as exc:
        print(f"agentsmesh: {exc}", file=sys.stderr)
        return exc.exit_code
    except BrokenPipeError:  # the reader has seen enough: `agentsmesh logs POD | head`
        _drop_output()
        return 0
    except OSError as exc:
        if exc.errno not in _FULL:
            raise
        _drop_output()
        what = exc.filename or "the output"
        print(f"agentsmesh: {what} cannot be written: {exc.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _drop_output() -> None:
    """Send what is still in buffers nowhere: Python would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    name = Path(sys.argv[0]).name
    top = argparse.ArgumentParser(
        prog="kubectl mesh" if name == "kubectl-mesh" else "agentsmesh",
        description="Runs and shows fleets of AI coding agents.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not allowed, "
        "5 unreachable.",
    )
    _cluster(top)  # as kubectl has them: also before the command
    top.set_defaults(namespace=None, kubeconfig=None, context=None, token_file=None, data_dir=None)
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _mesh_commands(commands)
    _pod_commands(commands)
    channel_arguments.add(commands, _cluster, _count)
    prompt_arguments.add(commands, _cluster)
    port_forward_arguments.add(commands, _cluster)
    worktree_arguments.add(commands, _cluster)
    plan_arguments.add(commands, _cluster)
    reconcile_arguments.add(commands, _cluster, _duration)
    ticket_arguments.add(commands, _cluster, _count)
    _enroll_command(commands)
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(run=_version)
    return top


def _mesh_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    up = commands.add_parser("up", help="start API server, controller and a runner on this machine")
    _data_dir(up)
    up.add_argument(
        "--port", type=_port, metavar="N", help="of the API server (6443); 0: any free ports"
    )
    up.add_argument("--detach", action="store_true", help="return once everything is ready")
    up.add_argument(
        "--kubeconfig",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="use this cluster instead of the embedded API server",
    )
    up.add_argument(
        "--allow-local-repositories",
        metavar="DIR",
        action="append",
        default=[],
        help="folder below which a Repository's url may be a path; repeatable",
    )
    up.add_argument(
        "--git-allow",
        metavar="NETWORK",
        action="append",
        default=[],
        help="let GitSources read repositories at this private address or network, such as "
        "10.0.0.0/8; repeatable",
    )
    up.add_argument(
        "--allow-no-isolation",
        action="store_true",
        help="let pods run without a sandbox: with all that your account can read and do",
    )
    up.add_argument(
        "--include-dir",
        metavar="DIR",
        help="files that a Repository's worktree.include names are in DIR/NAMESPACE/REPOSITORY",
    )
    up.add_argument("--max-pods", type=_positive, metavar="N", help="pods that the runner takes")
    up.add_argument(
        "--message-store-url-file",
        metavar="FILE",
        help="file with the postgresql:// URL of a database for messages of channels; without it "
        "they are in the data directory",
    )
    up.add_argument("--report-fd", type=int, help=argparse.SUPPRESS)
    up.set_defaults(run=_up)

    down = commands.add_parser("down", help="stop what up started; agents go on")
    _data_dir(down)
    down.set_defaults(run=_down)

    status = commands.add_parser("status", help="show what runs; exit code 3 if nothing does")
    _data_dir(status)
    status.add_argument("-o", "--output", choices=("table", "json"), default="table")
    status.set_defaults(run=_status)

    saved = commands.add_parser("saved", help="list the work that is kept of pods that are gone")
    _data_dir(saved)
    saved.set_defaults(run=_saved)


def _pod_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    attach = commands.add_parser("attach", help="see and use a pod's terminal")
    attach.add_argument("pod", metavar="POD")
    attach.add_argument("--read-only", action="store_true", help="look, type nothing")
    attach.add_argument(
        "--detach-keys", metavar="KEYS", default="ctrl-p,ctrl-q", help="leave with (ctrl-p,ctrl-q)"
    )
    _cluster(attach)
    attach.set_defaults(run=_attach)

    logs = commands.add_parser("logs", help="print what a pod's terminal has shown")
    logs.add_argument("pod", metavar="POD")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the agent ends")
    logs.add_argument("--tail", type=_count, metavar="N", help="only the last N lines")
    logs.add_argument("--raw", action="store_true", help="every byte, control sequences included")
    _cluster(logs)
    logs.set_defaults(run=_logs)

    record = commands.add_parser("record", help="write what a pod's terminal showed as asciicast")
    record.add_argument("pod", metavar="POD")
    record.add_argument(
        "-o", "--output", metavar="FILE", help="POD.cast without it; - is the standard output"
    )
    _cluster(record)
    record.set_defaults(run=_record)


def _enroll_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    enroll = commands.add_parser("enroll", help="let a runner in")
    _cluster(enroll)  # also before the verb
    verbs = enroll.add_subparsers(metavar="VERB", required=True)
    create = verbs.add_parser("create", help="make a join token; it is printed once")
    create.add_argument("--org", metavar="NS", help="namespace of the organization; as -n")
    create.add_argument("--name", metavar="NAME", required=True, help="of the runner")
    create.add_argument("--ttl", type=_duration, metavar="15m", default=900, help="valid so long")
    create.add_argument("--replace", action="store_true", help="the runner may exist already")
    _cluster(create)
    create.set_defaults(run=_enroll)


def _data_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data-dir",
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="where everything is kept ($AGENTSMESH_DATA_DIR, ~/.local/share/agentsmesh)",
    )


def _cluster(command: argparse.ArgumentParser) -> None:
    """Add what says which API server is meant, as kubectl names it."""
    for *names, metavar, text in (
        ("-n", "--namespace", "NS", "of the organization (the kubeconfig's)"),
        ("--kubeconfig", "FILE", "($KUBECONFIG, ~/.kube/config, the mesh's own)"),
        ("--context", "NAME", "of the kubeconfig"),
        ("--token-file", "FILE", "use the token in it"),
    ):
        # suppressed: what is not given here must not undo what was given before the command
        command.add_argument(*names, metavar=metavar, default=argparse.SUPPRESS, help=text)
    _data_dir(command)


def _port(text: str) -> int:
    number = _whole(text)
    if number is None or number > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: name one up to 65535, or 0")
    return number


def _positive(text: str) -> int:
    number = _whole(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, at least 1")
    return number


def _count(text: str) -> int:
    number = _whole(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, at least 0")
    return number


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _duration(text: str) -> int:
    """Return the seconds in ``90s``, ``15m`` or ``2h``."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdigit():
        raise argparse.ArgumentTypeError("must be a number with s, m or h, such as 15m")
    seconds = int(number) * units[unit]
    if not 1 <= seconds <= 86400:
        raise argparse.ArgumentTypeError("must be between 1s and 24h")
    return seconds


def _up(arguments: argparse.Namespace) -> int:
    from cli.up.command import up

    return up(arguments)


def _down(arguments: argparse.Namespace) -> int:
    from cli.down import down

    return down(arguments)


def _status(arguments: argparse.Namespace) -> int:
    from cli.status import status

    return status(arguments)


def _saved(arguments: argparse.Namespace) -> int:
    from cli.saved import saved

    return saved(arguments)


def _attach(arguments: argparse.Namespace) -> int:
    from cli.terminal.attach import attach

    return attach(arguments)


def _logs(arguments: argparse.Namespace) -> int:
    from cli.terminal.logs import logs

    return logs(arguments)


def _record(arguments: argparse.Namespace) -> int:
    from cli.terminal.record import record

    return record(arguments)


def _enroll(arguments: argparse.Namespace) -> int:
    from cli.enroll import create

    return create(arguments)


def _version(_: argparse.Namespace) -> int:
    from cli.version import current

    print(f"agentsmesh {current()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
