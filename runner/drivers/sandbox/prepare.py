"""Chooses the sandbox of a pod and puts it around the agent's command line."""

from runner.drivers.sandbox.values import Capabilities, Isolation, Prepared, SandboxRequest


def prepare(request: SandboxRequest, capabilities: Capabilities) -> Prepared:
    """Return the command line with the strongest sandbox that this machine has.

    Raises:
        SandboxRefusedError: What was asked for cannot be had, or may not be.
    """
    raise NotImplementedError


def agent_exit(
    isolation: Isolation, exit_code: int | None, signal: int | None
) -> tuple[int | None, int | None]:
    """Return exit code and signal of the agent from those of the process that was started.

    bubblewrap ends with 128+n when signal n ended the agent, and so does a shell that saw a
    signal end its child: both are reported as that signal.
    """
    raise NotImplementedError
