"""``agentsmesh version``."""

from importlib.metadata import PackageNotFoundError, version


def current() -> str:
    """Return the version of the installed package."""
    try:
        return version("agentsmesh")
    except PackageNotFoundError:
        return "unknown (not installed as a package)"
