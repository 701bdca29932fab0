"""Finds out what this machine can isolate with, by trying it."""

from runner.drivers.sandbox.values import Capabilities


def probe() -> Capabilities:
    """Return what works here.

    Starts a few processes and blocks for some milliseconds: call it once, in a thread.
    """
    raise NotImplementedError
