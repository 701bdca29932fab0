"""The examples, applied as their pages say."""

import json
from pathlib import Path

import pytest

from tests.e2e.harness import PROGRAM, Mesh, run, until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def said(mesh: Mesh, channel: str) -> list[dict[str, str]]:
    """Return the messages of the channel, as the command line shows them."""
    where = ("-n", "default", "--kubeconfig", str(mesh.kubeconfig))
    out = run(PROGRAM, "channel", "read", channel, "-o", "json", *where)
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.timeout(180)
def test_two_pods_work_as_a_pair(mesh: Mesh) -> None:
    git = mesh.folder / "git"
    identity = ("-c", "user.name=Me", "-c", "user.email=me@example.invalid")
    run("git", "init", "-q", "-b", "main", str(git / "pair-seed"))
    begin = ("commit", "-q", "--allow-empty", "-m", "Begin")
    run("git", *identity, "-C", str(git / "pair-seed"), *begin)
    run("git", "clone", "-q", "--bare", str(git / "pair-seed"), str(git / "pair.git"))
    files = sorted(str(file) for file in (EXAMPLES / "pair-programming").glob("*.yaml"))
    mesh.kubectl("apply", "-f", "-", stdin=run("sed", f"s|/srv/git|{git}|", *files))
    mesh.phase("navigator", "Succeeded", seconds=120)

    log = mesh.logs("navigator")
    assert all(f"The driver has done: {each}" in log for each in ("Hello", "Good night")), log
    messages = said(mesh, "pairing")
    assert [each["sequence"] for each in messages] == [1, 2, 3, 4, 5]
    assert [each["sender_pod"] for each in messages] == [
        *("navigator", "driver", "driver", "driver", "navigator")
    ]
    binding = mesh.get("navigator-guides-driver", "podbinding")
    assert binding["status"]["state"] == "inactive", "it ended with the navigator"

    mine = ("-n", "default", "--kubeconfig", str(mesh.kubeconfig))
    run(PROGRAM, "channel", "send", "pairing", "Well done", "--mention", "driver", *mine)
    until(lambda: "Well done" in mesh.logs("driver"), what="the mention reached the driver")
    until(lambda: len(said(mesh, "pairing")) >= 7, what="the driver did what was typed")
    for pod in ("navigator", "driver"):
        mesh.delete(pod)
