"""``agentsmesh up``, in the foreground or detached."""

import asyncio
import logging
import os
import shlex
import signal
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from cli.errors import CommandError
from cli.up import detached
from cli.up.logs import open_log, rotate
from cli.up.mesh import Mesh
from cli.up.ports import LOOPBACK, Ports
from cli.up.settings import Settings, settings

logger = logging.getLogger(__name__)

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(arguments: Namespace) -> int:
    """Run a mesh until a signal comes; with --detach return once it is ready."""
    wanted = settings(arguments)
    if arguments.report_fd is not None:
        return _report(wanted, detached.Reporter(arguments.report_fd))
    wanted.directory.prepare()
    if arguments.detach:
        ports = detached.start(wanted, _print)
        print(_how_to_go_on(wanted, ports), flush=True)
        return 0
    _log(wanted)
    asyncio.run(_run(wanted, _print, lambda ports: print(_how_to_go_on(wanted, ports), flush=True)))
    again = f"agentsmesh up{wanted.directory.option}"
    _print(f"stopped; agents go on, `{again}` finds them again")
    return 0


def _report(wanted: Settings, reporter: detached.Reporter) -> int:
    """Run as the detached process: everything is said through the reporter, until ready."""
    try:
        _log(wanted)
        asyncio.run(
            _run(wanted, reporter.say, lambda ports: reporter.finish({"ready": asdict(ports)}))
        )
    except CommandError as exc:
        logger.error("%s", exc)  # noqa: TRY400 - a sentence for people, no trace
        reporter.finish({"failed": str(exc)})
        return exc.exit_code
    logger.info("stopped")
    return 0


async def _run(
    wanted: Settings, say: Callable[[str], None], ready: Callable[[Ports], None]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)

    def tell(text: str) -> None:
        logger.info("%s", text)
        say(text)

    await Mesh(wanted, tell).run(stop, ready)


def _print(text: str) -> None:
    print(f"[up] {text}", flush=True)


def _log(wanted: Settings) -> None:
    """Send our own log to its file, readable by its owner alone."""
    path = wanted.directory.log("up")
    rotate(path)
    os.close(open_log(path))
    logging.basicConfig(
        filename=path, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )


def _how_to_go_on(wanted: Settings, ports: Ports) -> str:
    server = f"https://{LOOPBACK}:{ports.api}" if wanted.embedded else "the cluster of --kubeconfig"
    return (
        f"[up] the mesh is ready: {server}, data in {wanted.directory.root}\n"
        f"  export KUBECONFIG={shlex.quote(str(wanted.effective_kubeconfig))}\n"
        "  kubectl get agentpods -A       what runs\n"
        "  agentsmesh attach POD          its terminal\n"
        f"  {f'agentsmesh down{wanted.directory.option}':30} stop (agents go on)"
    )
