"""A terminal to attach to, and the program that attaches."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.process.cli.doubles import Controller, Terminal, api_server, write_kubeconfig


@dataclass
class Site:
    """A pod's terminal behind a controller and an API server."""

    terminal: Terminal
    controller: Controller
    server: str
    folder: Path
    kubeconfig: Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    terminal = Terminal()
    controller = Controller(terminal)
    controller.start()
    try:
        with api_server(controller) as server:
            kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", server, {"token": "good"})
            yield Site(terminal, controller, server, tmp_path, kubeconfig)
    finally:
        controller.stop()
