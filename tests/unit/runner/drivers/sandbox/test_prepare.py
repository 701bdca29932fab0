"""Which sandbox a pod gets, and when it gets none."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runner.drivers.sandbox.prepare import agent_exit, prepare
from runner.drivers.sandbox.values import (
    Capabilities,
    Isolation,
    Network,
    SandboxRefusedError,
    Want,
)
from tests.unit.runner.drivers.sandbox.conftest import Pod

NOTHING = Capabilities(why_not="bubblewrap is not installed, and the kernel has no Landlock")
BWRAP = Capabilities(Path("/usr/bin/bwrap"), 7, network_namespace=True)
LANDLOCK = Capabilities(None, 7, network_namespace=True)
ROOT_LANDLOCK = Capabilities(None, 7, network_namespace=True, root=True)
OLD_LANDLOCK = Capabilities(None, 5, network_namespace=True)
LANDLOCK_ONLINE = Capabilities(None, 7, why_not="Landlock alone cannot take the network away")


@pytest.mark.parametrize(
    ("want", "network", "have", "expected"),
    [
        pytest.param(Want.PREFERRED, Network.HOST, BWRAP, Isolation.BUBBLEWRAP, id="the best"),
        pytest.param(Want.REQUIRED, Network.NONE, BWRAP, Isolation.BUBBLEWRAP, id="offline"),
        pytest.param(Want.REQUIRED, Network.HOST, LANDLOCK, Isolation.LANDLOCK, id="the next"),
        pytest.param(Want.PREFERRED, Network.NONE, LANDLOCK, Isolation.LANDLOCK, id="offline too"),
        pytest.param(Want.PREFERRED, Network.HOST, ROOT_LANDLOCK, Isolation.LANDLOCK, id="root"),
        pytest.param(Want.PREFERRED, Network.HOST, OLD_LANDLOCK, Isolation.LANDLOCK, id="old"),
        pytest.param(Want.PREFERRED, Network.HOST, NOTHING, Isolation.NONE, id="none, stated"),
        pytest.param(Want.NONE, Network.HOST, BWRAP, Isolation.NONE, id="none, as asked"),
    ],
)
def test_a_pod_gets_the_strongest_isolation_that_is_here(
    pod: Pod, want: Want, network: Network, have: Capabilities, expected: Isolation
) -> None:
    request = replace(pod.request, isolation=want, network=network, none_allowed=True)
    prepared = prepare(request, have)
    assert (prepared.isolation, prepared.network) == (expected, network)
    assert (prepared.argv == request.argv) == (expected is Isolation.NONE)
    assert ("without a sandbox" in prepared.note) == (have is NOTHING)


@pytest.mark.parametrize(
    ("want", "network", "have", "why"),
    [
        pytest.param(Want.REQUIRED, Network.HOST, NOTHING, "bubblewrap is not installed", id="-"),
        pytest.param(Want.REQUIRED, Network.NONE, LANDLOCK_ONLINE, "network away", id="online"),
        pytest.param(Want.REQUIRED, Network.HOST, ROOT_LANDLOCK, "Landlock alone", id="root"),
        pytest.param(Want.REQUIRED, Network.HOST, OLD_LANDLOCK, "Landlock alone", id="old"),
        pytest.param(Want.PREFERRED, Network.NONE, NOTHING, "needs a sandbox", id="preferred"),
        pytest.param(Want.PREFERRED, Network.NONE, LANDLOCK_ONLINE, "network", id="no netns"),
        pytest.param(Want.NONE, Network.NONE, BWRAP, "cannot go with", id="contradiction"),
        pytest.param(Want.PREFERRED, Network.ALLOWLIST, BWRAP, "allowlist", id="allowlist"),
    ],
)
def test_what_cannot_be_had_is_refused_and_never_weakened(
    pod: Pod, want: Want, network: Network, have: Capabilities, why: str
) -> None:
    with pytest.raises(SandboxRefusedError, match=why) as caught:
        prepare(replace(pod.request, isolation=want, network=network, none_allowed=True), have)
    assert caught.value.reason == "SandboxRefused"
    assert caught.value.message.startswith("sandbox.")


@pytest.mark.parametrize(
    ("want", "have"),
    [
        pytest.param(Want.NONE, BWRAP, id="asked for"),
        pytest.param(Want.PREFERRED, NOTHING, id="fallen into"),
        pytest.param(Want.PREFERRED, LANDLOCK_ONLINE, id="fallen into for want of a network"),
    ],
)
def test_nothing_runs_without_a_sandbox_unless_the_operator_says_so(
    pod: Pod, want: Want, have: Capabilities
) -> None:
    network = Network.NONE if have is LANDLOCK_ONLINE else Network.HOST
    with pytest.raises(SandboxRefusedError) as caught:
        prepare(replace(pod.request, isolation=want, network=network), have)
    assert caught.value.message.startswith("sandbox.isolation ")
    assert "--allow-no-isolation" in caught.value.message
    assert "\n" not in caught.value.message


def test_the_runners_own_data_is_never_laid_open_by_an_installation(
    pod: Pod, data_dir: Path
) -> None:
    agent = data_dir.parent / "bin" / "agent"
    agent.parent.mkdir()
    agent.write_text("#!/bin/sh\n")
    with pytest.raises(SandboxRefusedError, match="installed in"):
        prepare(replace(pod.request, argv=(str(agent),)), BWRAP)
    with pytest.raises(SandboxRefusedError, match="narrower"):
        prepare(replace(pod.request, readable=(data_dir.parent,)), BWRAP)


@pytest.mark.parametrize(
    "path",
    ["/etc", "relative", "{allowed}/../data", "{allowed}/gone", "{allowed}/in", "{data}", "a\0b"],
)
def test_only_folders_that_the_operator_names_are_written(
    pod: Pod, tmp_path: Path, path: str
) -> None:
    allowed = tmp_path / "allowed"
    (allowed / "in").mkdir(parents=True)
    wish = (path.format(allowed=allowed, data=pod.data_dir),)
    folders = (allowed, tmp_path / "allowed/gone", pod.data_dir)
    request = replace(pod.request, extra_writable=wish, allowed_writable=folders)
    with pytest.raises(SandboxRefusedError, match=r"sandbox\.writablePaths"):
        prepare(request, BWRAP)


def test_a_folder_that_another_pod_could_replace_by_a_link_is_refused(
    pod: Pod, tmp_path: Path
) -> None:
    """Between the look and the mount, whoever writes the outer folder may swap what is in it."""
    outer = tmp_path / "outer"
    (outer / "inner").mkdir(parents=True)
    (tmp_path / "aside").mkdir()
    (outer / "link").symlink_to(tmp_path / "aside")
    for inner in (outer / "inner", outer / "link"):
        both = (outer, inner)
        request = replace(pod.request, extra_writable=(str(inner),), allowed_writable=both)
        with pytest.raises(SandboxRefusedError, match="another pod"):
            prepare(request, BWRAP)


def test_an_allowed_writable_path_is_written_and_a_link_out_of_it_is_not(
    pod: Pod, level: Capabilities, tmp_path: Path
) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "out").symlink_to("/etc")
    good = {"extra_writable": (str(allowed),), "allowed_writable": (allowed,)}
    pod.run(level, "/bin/sh", "-c", f"echo x > '{allowed}/file'", **good)
    assert (allowed / "file").exists()
    with pytest.raises(SandboxRefusedError):
        pod.prepared(
            level, "/bin/sh", extra_writable=(str(allowed / "out"),), allowed_writable=(allowed,)
        )


def test_what_the_operator_lets_pods_read_is_read_only(
    pod: Pod, level: Capabilities, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "file").write_text("shared")
    script = f"cat '{shared}/file'; echo x > '{shared}/file'"
    done = pod.run(level, "/bin/sh", "-c", script, readable=(shared,))
    assert done.stdout == "shared"
    assert (shared / "file").read_text() == "shared"


def test_an_agent_in_a_folder_of_its_own_starts_with_all_that_it_needs(
    pod: Pod, level: Capabilities, tmp_path: Path
) -> None:
    """As with nvm, pyenv, pipx: a link in bin, to a script elsewhere, with its own interpreter."""
    tool = tmp_path / "tools" / "node-20"
    for name in ("bin", "lib"):
        (tool / name).mkdir(parents=True)
    (tool / "bin/interpreter").symlink_to("/bin/sh")
    (tool / "lib/message").write_text("from lib")
    (tool / "lib/cli").write_text(f"#!/usr/bin/env interpreter\ncat '{tool}/lib/message'\n")
    (tool / "lib/cli").chmod(0o755)
    shims = tmp_path / "shims" / "bin"
    shims.mkdir(parents=True)
    (tool / "bin/agent").symlink_to("../lib/cli")
    (shims / "agent").symlink_to(tool / "bin/agent")
    where = (tool / "bin", Path("/usr/bin"), Path("/bin"))
    environment = {"PATH": f"{tool}/bin:/usr/bin:/bin"}
    agent = str(shims / "agent")
    done = pod.run(level, agent, search_path=where, environment=environment)
    assert done.stdout == "from lib", done.stderr


def test_a_virtual_environment_starts(pod: Pod, level: Capabilities) -> None:
    """The tests' own Python is one, wherever its base is installed."""
    done = pod.run(level, sys.executable, "-c", "import pytest, ssl, sqlite3; print('fine')")
    assert done.stdout == "fine\n", done.stderr


@pytest.mark.parametrize(
    ("isolation", "seen", "expected"),
    [
        (Isolation.BUBBLEWRAP, (0, None), (0, None)),
        (Isolation.BUBBLEWRAP, (143, None), (None, 15)),
        (Isolation.BUBBLEWRAP, (128, None), (128, None)),
        (Isolation.BUBBLEWRAP, (255, None), (255, None)),
        (Isolation.BUBBLEWRAP, (None, 9), (None, 9)),
        (Isolation.LANDLOCK, (143, None), (143, None)),
        (Isolation.NONE, (None, 15), (None, 15)),
    ],
)
def test_exit_codes_are_translated_where_bubblewrap_changed_them(
    isolation: Isolation,
    seen: tuple[int | None, int | None],
    expected: tuple[int | None, int | None],
) -> None:
    assert agent_exit(isolation, *seen) == expected
