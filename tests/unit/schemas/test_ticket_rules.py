"""The rules of a Ticket in Python are those of its CRD."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from apiserver.schema.compiled import CompiledSchema
from schemas import crdgen
from schemas.ticket import OWN_PARENT, Ticket, broken_rule

SCHEMA = CompiledSchema(crdgen.schema(Ticket))
NAMES = st.sampled_from(["tk-a", "tk-b", "tk-c"])


@given(
    spec=st.fixed_dictionaries(
        {},
        optional={
            "parent": NAMES,
            "dependsOn": st.lists(NAMES, unique=True),
            "body": st.sampled_from([0, 1, 32_767, 32_768]),
        },
    )
)
@example(spec={"parent": "tk-a", "dependsOn": ["tk-b", "tk-a"]})
def test_what_breaks_a_rule_is_refused_by_the_api_server_with_the_rules_sentence(
    spec: dict[str, Any],
) -> None:
    whole = {"title": "x", **spec}
    if "body" in spec:
        whole["body"] = "xx" + "é" * spec["body"]
    manifest: dict[str, Any] = {"metadata": {"name": "tk-x", "namespace": "acme"}, "spec": whole}
    SCHEMA.default(manifest)
    said = [error.detail for error in SCHEMA.validate(manifest)]
    found = broken_rule(whole)
    assert bool(said) == (found is not None)
    assert found is None or found.message in said


def test_every_rule_is_known() -> None:
    rules = Ticket.definition.spec_rules
    broken = [
        broken_rule({"parent": "tk-a", "dependsOn": ["tk-a"]}),
        broken_rule({"body": "é" * 40_000}),
    ]
    assert list(rules) == broken
    assert rules[0] is OWN_PARENT
