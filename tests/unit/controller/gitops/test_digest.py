"""The digest of what is applied does not depend on how it came to be."""

from hypothesis import given
from hypothesis import strategies as st

from controller.gitops.apply import Applied
from controller.gitops.digest import Digest
from controller.gitops.values import Identity

STATES = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz"))


@given(st.lists(STATES, max_size=6))
def test_a_digest_step_by_step_is_the_one_at_once(history: list[dict[str, str]]) -> None:
    steps = Digest()
    known: dict[str, dict[str, str]] = {}
    for state in history:
        rows = [
            Applied(Identity("Ticket", name), text, name, "b", "c", "u")
            for name, text in state.items()
        ]
        found = steps.of({row.identity: row for row in rows})
        assert found == Digest().of({row.identity: row for row in reversed(rows)})
        assert known.setdefault(found, state) == state
