"""What every test shares: the event loop's backend, and signals as a terminal leaves them."""

import signal

import pytest

# A shell that starts the tests in the background has them ignore some signals, and whatever they
# start would inherit that: job control and Ctrl-C could not be tested.
for _number in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(_number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the loop that the product runs on."""
    return "asyncio"
