"""What the command line understands, and what it says of what it does not."""

import pytest

from cli.main import parser


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("-n acme --kubeconfig f --data-dir d logs pod", id="ahead"),
        pytest.param("logs pod -n acme --kubeconfig f --data-dir d", id="behind"),
        pytest.param("-n other --kubeconfig f logs -n acme --data-dir d pod", id="the later one"),
    ],
)
def test_where_may_be_said_before_and_after_the_command(words: str):
    found = parser().parse_args(words.split())
    assert (found.namespace, found.kubeconfig, found.data_dir) == ("acme", "f", "d")
    assert (found.context, found.token_file) == (None, None)


def test_a_cluster_for_up_may_be_named_before_it():
    assert parser().parse_args(["--kubeconfig", "f", "up"]).kubeconfig == "f"
    assert parser().parse_args(["up"]).kubeconfig is None


def test_a_tail_may_be_empty():
    assert parser().parse_args(["logs", "pod", "--tail", "0"]).tail == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("up --port http", "'http' is no port: name one up to 65535, or 0"),
        ("up --port 65536", "'65536' is no port"),
        ("up --max-pods 0", "'0' must be a whole number, at least 1"),
        ("logs pod --tail -1", "'-1' must be a whole number, at least 0"),
    ],
)
def test_a_wrong_number_is_told_in_words(words: str, said: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words.split())
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
