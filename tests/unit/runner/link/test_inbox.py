from meshwire.v1 import link_pb2

from runner.link.inbox import Gap, Inbox, Wanted


def pod(uid: str, epoch: int = 1) -> link_pb2.PodDesired:
    return link_pb2.PodDesired(ref=link_pb2.PodRef(pod_uid=uid, epoch=epoch))


def uids(wanted: Wanted | Gap | None) -> list[str]:
    assert isinstance(wanted, Wanted)
    return [each.ref.pod_uid for each in wanted.pods]


def snapshot(revision: int, *pods: str, last: bool = True) -> link_pb2.Snapshot:
    return link_pb2.Snapshot(revision=revision, pods=[pod(each) for each in pods], last=last)


def delta(base: int, revision: int, *upserts: str, gone: tuple[str, ...] = ()) -> link_pb2.Delta:
    refs = [link_pb2.PodRef(pod_uid=each, epoch=1) for each in gone]
    upserted = [pod(each) for each in upserts]
    return link_pb2.Delta(base_revision=base, revision=revision, upserts=upserted, removals=refs)


def test_a_snapshot_in_pieces_counts_with_its_last_piece() -> None:
    inbox = Inbox()
    assert inbox.snapshot(1, snapshot(5, "a", last=False)) is None
    assert uids(inbox.snapshot(1, snapshot(5, "b"))) == ["a", "b"]


def test_pieces_of_a_snapshot_that_was_given_up_do_not_count() -> None:
    inbox = Inbox()
    inbox.snapshot(1, snapshot(5, "a", last=False))
    assert uids(inbox.snapshot(1, snapshot(6, "b"))) == ["b"]


def test_a_change_is_laid_over_the_state_it_was_made_for() -> None:
    inbox = Inbox()
    inbox.snapshot(1, snapshot(5, "a", "b"))
    assert uids(inbox.delta(1, delta(5, 6, "c", gone=("a",)))) == ["b", "c"]


def test_a_change_that_comes_twice_is_old_news() -> None:
    inbox = Inbox()
    inbox.snapshot(1, snapshot(5, "a"))
    inbox.delta(1, delta(5, 6, gone=("a",)))
    assert inbox.delta(1, delta(5, 6, "a")) is None


def test_a_missed_change_is_noticed_once_and_nothing_is_acted_on_until_all_is_told() -> None:
    inbox = Inbox()
    inbox.snapshot(1, snapshot(5, "a"))
    assert isinstance(inbox.delta(1, delta(6, 7, "b")), Gap)
    assert inbox.delta(1, delta(7, 8, "c")) is None
    assert uids(inbox.snapshot(1, snapshot(9, "a", "b", "c"))) == ["a", "b", "c"]


def test_a_change_before_the_first_snapshot_is_a_gap() -> None:
    assert isinstance(Inbox().delta(1, delta(0, 1, "a")), Gap)


def test_removal_of_an_earlier_epoch_does_not_remove_a_later_one() -> None:
    inbox = Inbox()
    later = link_pb2.Snapshot(revision=1, pods=[pod("a", epoch=2)], last=True)
    inbox.snapshot(1, later)
    assert uids(inbox.delta(1, delta(1, 2, gone=("a",)))) == ["a"]
