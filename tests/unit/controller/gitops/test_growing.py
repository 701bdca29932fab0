"""A PodBinding in git whose scopes pods have made more: it cannot be taken back, and agrees."""

import pytest

from controller.gitops.apply import Applied, Live, agrees
from controller.gitops.bodies import manifest, patch
from controller.gitops.desired import Known
from controller.gitops.files.canonical import digest
from controller.gitops.values import Declared, Identity, Style
from schemas.names import ANNOTATION_CREATED_BY_UID, POD_BINDING
from schemas.podbinding import PodBinding, PodBindingSpec

READ, WRITE = "terminal:read", "terminal:write"
NAME = Identity("PodBinding", "one")


def declared(*scopes: str, target: str = "b", **labels: str) -> Declared:
    spec = PodBindingSpec.model_validate(
        {"initiator": "a", "target": target, "scopes": scopes, "approval": "Required"}
    ).manifest()
    sum_ = digest(NAME, spec, labels, {})
    return Declared(NAME, "one.yaml", "blob", Style.YAML, spec, sum_, labels=labels)


def live(file: Declared, *, by_pod: bool = True) -> Live:
    body = manifest(file, POD_BINDING, "acme", "plan")
    body["metadata"]["uid"] = "uid-one"
    if by_pod:
        body["metadata"]["annotations"][ANNOTATION_CREATED_BY_UID] = "uid-of-a"
    return Live(NAME, PodBinding.model_validate(body), "plan")


def applied(file: Declared) -> Applied:
    return Applied(NAME, file.digest, file.path, file.blob, "c" * 40, "uid-one")


def same(file: Declared, have: Live, before: Declared | None) -> bool:
    return agrees(Known.of(file), have, applied(before) if before is not None else None)


@pytest.mark.parametrize("asked", [(READ,), (WRITE,), (WRITE, READ)])
@pytest.mark.parametrize("remembered", [True, False])
def test_what_pods_asked_for_beside_the_file_is_no_drift(
    asked: tuple[str, ...], *, remembered: bool
) -> None:
    file, grown = declared(*asked), live(declared(READ, WRITE))
    assert same(file, grown, file if remembered else None)


def test_what_the_file_asks_for_and_it_has_not_is_brought_about() -> None:
    file, have = declared(READ, WRITE), live(declared(READ))
    assert not same(file, have, declared(READ))
    assert patch(file, have, None, "plan")["spec"] == {"scopes": [READ, WRITE]}


def test_other_fields_still_count() -> None:
    assert not same(declared(READ), live(declared(READ, WRITE, target="c")), None)


def test_a_label_is_changed_without_a_word_on_grown_scopes() -> None:
    file, grown = declared(READ, team="red"), live(declared(READ, WRITE))
    assert not same(file, grown, declared(READ))
    assert "spec" not in patch(file, grown, applied(declared(READ)), "plan")


@pytest.mark.parametrize("by_pod", [True, False])
def test_a_file_that_takes_a_scope_back_is_sent_and_so_refused_and_told(*, by_pod: bool) -> None:
    file, have = declared(READ), live(declared(READ, WRITE), by_pod=by_pod)
    before = declared(READ, WRITE)
    assert not same(file, have, before)
    assert patch(file, have, applied(before), "plan")["spec"] == {"scopes": [READ]}


def test_nobody_makes_more_of_what_no_pod_has_made() -> None:
    file = declared(READ)
    assert not same(file, live(declared(READ, WRITE), by_pod=False), file)
