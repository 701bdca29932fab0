"""A runner that applies what it is told has what it shall have."""

from hypothesis import given
from hypothesis import strategies as st
from meshwire.v1 import link_pb2

from controller.rpc.desired import CHUNK_BYTES, Told

Pods = dict[tuple[str, int], int]

sets = st.dictionaries(
    st.tuples(st.sampled_from("abcdef"), st.integers(1, 2)), st.integers(1, 3), max_size=8
)


def _messages(pods: Pods) -> list[link_pb2.PodDesired]:
    return [
        link_pb2.PodDesired(ref=link_pb2.PodRef(pod_uid=uid, epoch=epoch), generation=generation)
        for (uid, epoch), generation in pods.items()
    ]


class Runner:
    """Applies messages as the protocol says."""

    def __init__(self) -> None:
        self.pods: Pods = {}
        self.revision = 0

    def snapshot(self, parts: list[link_pb2.Snapshot]) -> None:
        assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
        assert len({part.revision for part in parts}) == 1
        assert parts[0].revision > self.revision
        self.revision = parts[0].revision
        self.pods = {}
        for part in parts:
            self._upsert(part.pods)

    def delta(self, delta: link_pb2.Delta) -> None:
        assert delta.base_revision == self.revision
        assert delta.revision > self.revision
        self.revision = delta.revision
        self._upsert(delta.upserts)
        for ref in delta.removals:
            del self.pods[(ref.pod_uid, ref.epoch)]

    def _upsert(self, pods: list[link_pb2.PodDesired]) -> None:
        for pod in pods:
            self.pods[(pod.ref.pod_uid, pod.ref.epoch)] = pod.generation


@given(sets, st.lists(sets, max_size=6))
def test_snapshot_and_deltas_lead_to_the_desired_set(first: Pods, later: list[Pods]) -> None:
    told, runner = Told(5), Runner()
    runner.snapshot(told.snapshot(_messages(first), allow_empty=True))
    assert runner.pods == first
    for pods in later:
        for delta in told.delta(_messages(pods)):
            runner.delta(delta)
        assert runner.pods == pods
        assert told.anything == bool(pods)
        assert told.delta(_messages(pods)) == []


def test_large_sets_are_cut_between_pods() -> None:
    pods = _messages({(str(number), 1): 1 for number in range(50)})
    for pod in pods:
        pod.spec.prompt = "x" * 20_000
    told, runner = Told(0), Runner()
    parts = told.snapshot(pods, allow_empty=True)
    assert len(parts) > 3
    assert all(part.ByteSize() < CHUNK_BYTES + 30_000 for part in parts)
    runner.snapshot(parts)
    for pod in (changed := [link_pb2.PodDesired.FromString(p.SerializeToString()) for p in pods]):
        pod.generation = 2
    deltas = told.delta(changed)
    assert len(deltas) > 3
    for delta in deltas:
        runner.delta(delta)
    assert set(runner.pods.values()) == {2}


def test_only_an_empty_set_is_marked_as_meant() -> None:
    (empty,) = Told(0).snapshot([], allow_empty=True)
    (unsure,) = Told(0).snapshot([], allow_empty=False)
    (full,) = Told(0).snapshot(_messages({("a", 1): 1}), allow_empty=True)
    assert (empty.allow_empty, unsure.allow_empty, full.allow_empty) == (True, False, False)
