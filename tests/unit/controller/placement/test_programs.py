"""What runners are asked to look for, and what of their answers is taken."""

from typing import Any

import pytest
from meshwire.v1 import link_pb2

from controller.placement.links import About, Links
from controller.placement.programs import NOTHING, Programs, catalogue, programs, why_not_found
from schemas.agentclass import AgentClass


def agent(name: str, *, ready: bool = True, **spec: Any) -> AgentClass:
    ended = {"type": "Ready", "status": "True" if ready else "False", "reason": "Any"}
    moment = {"lastTransitionTime": "2027-01-01T00:00:00Z"}
    return AgentClass.model_validate(
        {
            "metadata": {"name": name},
            "spec": {"executable": name, **spec},
            "status": {"conditions": [ended | moment]},
        }
    )


def answer(name: str, *args: str, **fields: str) -> link_pb2.AgentFound:
    asked = link_pb2.AgentProgram(name=name, executable=name, version_args=args)
    return link_pb2.AgentFound(looked_for=asked, **fields)


def test_all_agents_that_can_be_used_are_looked_for_by_name() -> None:
    classes = [
        agent("b", versionCommand=["--version"]),
        agent("a", executable="/opt/a"),
        agent("broken", ready=False),
        agent("long", versionCommand=["x" * 2000]),
    ]
    assert [
        (each.name, each.executable, list(each.version_args)) for each in catalogue(classes).agents
    ] == [("a", "/opt/a", []), ("b", "b", ["--version"]), ("long", "long", [])]


def test_what_a_runner_says_is_taken_as_far_as_it_was_asked_and_made_safe() -> None:
    asked = catalogue([agent("a", versionCommand=["-V"]), agent("b"), agent("c"), agent("d")])
    found = programs(
        link_pb2.AgentsFound(
            agents=[
                answer("a", "-V", path="/bin/a", version="1\x1b[0m" + "x" * 500),
                answer("b", problem="not\nthere " + "y" * 5000),
                answer("c", "-V", path="/bin/c", version="of another command"),
                answer("d"),
                answer("unasked", path="/bin/unasked"),
            ]
        ),
        asked,
    )
    assert found.problems.keys() == {"a", "b", "d"}
    assert found.lacks(agent("a")) == ""
    assert found.lacks(agent("b")).startswith("not there yyy")
    assert len(found.lacks(agent("b"))) == 1024
    assert found.lacks(agent("d")) == "it was not found"
    version = found.version(agent("a", versionCommand=["-V"]))
    assert version is not None
    assert version.startswith("1 [0mxxx")
    assert len(version) == 128
    assert found.version(agent("a")) is None
    assert found.lacks(agent("a", executable="other")) == ""


def test_what_was_found_counts_over_a_new_session_of_a_runner_that_looks() -> None:
    links = Links()
    about = About("1", "linux", "x", "host", (), None, 1, looks=True)
    found = Programs({"a": "gone"})
    assert not links.found("u", found)
    links.connected("u", about)
    assert links.found("u", found)
    assert not links.found("u", Programs({"a": "gone"}))
    links.disconnected("u")
    links.connected("u", about)
    assert _programs(links) == found
    links.connected("u", About("0", "linux", "x", "host", (), None, 1))
    assert _programs(links) == NOTHING


def _programs(links: Links) -> Programs:
    about = links.about("u")
    assert about is not None
    return about.programs


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        pytest.param("2.1.330 (Claude Code)", "", id="newer"),
        pytest.param("2.1.197", "", id="the same"),
        pytest.param("claude 2.1", "older than 2.1.197", id="older, and shorter"),
        pytest.param("2.1.96-beta", "older than 2.1.197", id="older"),
        pytest.param("", "", id="not known"),
    ],
)
def test_a_program_that_is_too_old_is_not_there(version: str, problem: str) -> None:
    claude = agent("claude", versionCommand=["--version"], minimumVersion="2.1.197")
    asked = catalogue([claude])
    (looked_for,) = asked.agents
    answered = link_pb2.AgentFound(looked_for=looked_for, path="/bin/claude", version=version)
    found = programs(link_pb2.AgentsFound(agents=[answered]), asked)
    assert problem in found.lacks(claude)
    assert bool(found.lacks(claude)) is bool(problem)
    assert why_not_found(found.lacks(claude)) == ("VersionTooOld" if problem else "AgentNotFound")
