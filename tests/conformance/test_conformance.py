"""The embedded API server answers what a real one answers.

Each scenario is played on the embedded server and compared with the real server's recorded answers.
Where ``KUBEBUILDER_ASSETS`` names a folder with the real servers, it is played on them too, so that
a recording that is out of date is found.
"""

import json
from collections.abc import Iterator

import pytest

from tests.conformance.differences import DIFFERENCES
from tests.conformance.record import FOLDER
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.world import World, embedded, has_real, play, real

_SERVERS = ["embedded", *(["real"] if has_real() else [])]


@pytest.fixture(scope="module", params=_SERVERS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with embedded() if request.param == "embedded" else real() as started:
        yield started


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_server_answers_as_recorded(world: World, scenario: str):
    recorded = json.loads((FOLDER / f"{scenario}.json").read_text(encoding="utf-8"))
    played = json.loads(json.dumps(play(scenario, world)))
    assert [entry["label"] for entry in played] == [entry["label"] for entry in recorded]
    stated = {label for name, label in DIFFERENCES if name == scenario}
    if world[0] is not world[1]:  # the real servers differ in nothing from what they said
        stated = set()
    wrong = [
        f"{theirs['label']}:\n  real {json.dumps(theirs, ensure_ascii=False, sort_keys=True)}\n"
        f"  here {json.dumps(ours, ensure_ascii=False, sort_keys=True)}"
        for ours, theirs in zip(played, recorded, strict=True)
        if ours != theirs and theirs["label"] not in stated
    ]
    assert not wrong, "\n".join(wrong)
    differs = {
        theirs["label"] for ours, theirs in zip(played, recorded, strict=True) if ours != theirs
    }
    assert stated <= differs, f"no longer different: {stated - differs}"


def test_stated_differences_are_about_scenarios_that_exist():
    assert {scenario for scenario, _ in DIFFERENCES} <= set(SCENARIOS)


def test_every_recording_belongs_to_a_scenario():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(SCENARIOS)
