"""What the message store promises, held against both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.store.errors import (
    ChannelGoneError,
    KeyConflictError,
    NotFoundError,
    RevisionConflictError,
    TextError,
    UnavailableError,
)
from controller.store.messages import MessageStore
from controller.store.records import (
    MOVES,
    ChannelRef,
    Counts,
    DeliveryKind,
    DeliveryState,
    Member,
    MessageType,
    NewDelivery,
    Query,
    Sender,
    SenderKind,
)
from tests.unit.controller.store.conftest import Place
from tests.unit.controller.store.examples import (
    ANNA,
    BUILDER,
    BY_ANNA,
    BY_LEAD,
    CHANNEL,
    ELSEWHERE,
    LEAD,
    OTHER,
    START,
    TESTER,
    prompt,
    said,
)

pytestmark = pytest.mark.anyio


async def _contents(store: MessageStore, query: Query, channel: str = CHANNEL.uid) -> list[str]:
    return [message.content for message in await store.read(channel, query)]


async def test_a_message_comes_back_as_it_was_sent(store: MessageStore, place: Place) -> None:
    place.clock.at = START.timestamp()
    first = await store.append(CHANNEL, said("hello", ANNA))
    sent = said(
        "  Grüße,\r\n\tπ \N{GRINNING FACE}\x1b[31m  ",
        message_type=MessageType.SYSTEM,
        mentions=(TESTER, BUILDER),
        reply_to=first.message.message_id,
        idempotency_key="k",
    )
    answer = await store.append(CHANNEL, sent)
    assert answer.created
    message = answer.message
    assert (await store.read(CHANNEL.uid, Query())) == (first.message, message)
    assert await store.by_id(CHANNEL.uid, message.message_id) == message
    assert message.content == sent.content
    assert message.sender == LEAD
    assert message.message_type is MessageType.SYSTEM
    assert message.mentions == (TESTER, BUILDER)
    assert message.reply_to == first.message.message_id
    assert message.idempotency_key == "k"
    assert message.created_at == START
    assert (message.channel_uid, message.sequence) == (CHANNEL.uid, 2)
    assert first.message.sender == ANNA


async def test_many_writers_get_gapless_sequences_from_one(store: MessageStore) -> None:
    async def write(writer: int) -> list[int]:
        sender = Sender(SenderKind.POD, f"pod-{writer}", f"uid-{writer}")
        return [
            (await store.append(CHANNEL, said(f"{writer}/{n}", sender))).message.sequence
            for n in range(10)
        ]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(write(writer)) for writer in range(8)]
    given_out = [task.result() for task in tasks]
    assert sorted(chain.from_iterable(given_out)) == list(range(1, 81))
    assert all(own == sorted(own) for own in given_out)
    stored = await store.read(CHANNEL.uid, Query(limit=1000))
    assert [message.sequence for message in stored] == list(range(1, 81))
    assert len({message.message_id for message in stored}) == 80


async def test_channels_count_for_themselves(store: MessageStore) -> None:
    for channel in (CHANNEL, OTHER, CHANNEL):
        await store.append(channel, said("x"))
    assert [m.sequence for m in await store.read(CHANNEL.uid, Query())] == [1, 2]
    assert [m.sequence for m in await store.read(OTHER.uid, Query())] == [1]


async def test_a_repeated_key_is_stored_once_also_after_reopening(place: Place) -> None:
    store = await place.open()
    message = said("once", idempotency_key="k", mentions=(BUILDER,))
    first = await store.append(CHANNEL, message, [prompt(BUILDER, "you are mentioned")])
    await store.append(CHANNEL, said("between"))
    await store.close()
    store = await place.open()
    repeat = await store.append(CHANNEL, message, [prompt(BUILDER, "you are mentioned")])
    assert repeat.message == first.message
    assert (first.created, repeat.created) == (True, False)
    assert repeat.deliveries == first.deliveries
    assert await store.open_deliveries() == first.deliveries
    assert await _contents(store, Query()) == ["once", "between"]
    await store.close()


async def test_repeats_at_the_same_time_are_stored_once(store: MessageStore) -> None:
    message = said("once", idempotency_key="k")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(store.append(CHANNEL, message)) for _ in range(10)]
    answers = [task.result() for task in tasks]
    assert len({answer.message.message_id for answer in answers}) == 1
    assert [answer.created for answer in answers].count(True) == 1
    assert await _contents(store, Query()) == ["once"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"content": "changed"}, id="other content"),
        pytest.param({"mentions": (TESTER,)}, id="other mentions"),
        pytest.param({"message_type": MessageType.SYSTEM}, id="another type"),
        pytest.param({"reply_to": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, id="a reply"),
    ],
)
async def test_a_key_used_for_something_else_is_a_conflict(
    store: MessageStore, other: dict[str, object]
) -> None:
    fields = {"content": "x", "mentions": (BUILDER,), "idempotency_key": "k"}
    first = await store.append(CHANNEL, said(**fields))  # type: ignore[arg-type]
    with pytest.raises(KeyConflictError, match="was used for message 1 with other") as caught:
        await store.append(CHANNEL, said(**fields | other))  # type: ignore[arg-type]
    assert caught.value.first == first.message
    assert (await store.counts([CHANNEL.uid]))[CHANNEL.uid].messages == 1


async def test_a_mentioned_pod_made_anew_is_no_conflict(store: MessageStore) -> None:
    message = said("x", mentions=(BUILDER,), idempotency_key="k")
    await store.append(CHANNEL, message)
    anew = said("x", mentions=(type(BUILDER)("builder", "uid-2"),), idempotency_key="k")
    assert not (await store.append(CHANNEL, anew)).created


@pytest.mark.parametrize(
    ("channel", "sender"),
    [
        pytest.param(OTHER, LEAD, id="another channel"),
        pytest.param(CHANNEL, ANNA, id="another sender"),
        pytest.param(
            CHANNEL, Sender(SenderKind.POD, "lead", "uid-new"), id="a new pod of the old name"
        ),
        pytest.param(
            CHANNEL, Sender(SenderKind.USER, "uid-lead"), id="a person named like the pod's uid"
        ),
    ],
)
async def test_keys_belong_to_a_channel_and_a_sender(
    store: MessageStore, channel: ChannelRef, sender: Sender
) -> None:
    await store.append(CHANNEL, said("first", idempotency_key="k"))
    assert (await store.append(channel, said("second", sender, idempotency_key="k"))).created


async def test_messages_without_a_key_are_never_taken_for_repeats(store: MessageStore) -> None:
    for _ in range(2):
        assert (await store.append(CHANNEL, said("same"))).created


@pytest.mark.parametrize(
    "reply_to", ["no-such-id", "\0", "\ud800", "in another channel"], ids=ascii
)
async def test_a_reply_to_what_is_not_there_is_refused(store: MessageStore, reply_to: str) -> None:
    if reply_to == "in another channel":
        reply_to = (await store.append(OTHER, said("x"))).message.message_id
    with pytest.raises(NotFoundError, match="not in this channel"):
        await store.append(CHANNEL, said("x", reply_to=reply_to))
    assert await _contents(store, Query()) == []


async def test_one_refused_message_leaves_its_neighbours_alone(store: MessageStore) -> None:
    """They share a transaction, and the sequence of the refused one is not lost."""
    await store.append(CHANNEL, said("0", idempotency_key="taken"))

    async def write(number: int) -> bool:
        key = "taken" if number % 3 == 0 else ""
        try:
            await store.append(CHANNEL, said(f"{number}", idempotency_key=key))
        except KeyConflictError:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(write(number)) for number in range(1, 31)]
    assert [task.result() for task in tasks] == [number % 3 != 0 for number in range(1, 31)]
    stored = await store.read(CHANNEL.uid, Query(limit=1000))
    assert [message.sequence for message in stored] == list(range(1, 22))


@pytest.mark.parametrize("text", ["a\0b", "\ud83d"], ids=ascii)
async def test_texts_that_cannot_be_kept_are_refused_by_name(
    store: MessageStore, text: str
) -> None:
    with pytest.raises(TextError, match="the content holds"):
        await store.append(CHANNEL, said(text))
    with pytest.raises(TextError, match="the idempotency key holds"):
        await store.append(CHANNEL, said("x", idempotency_key=text))
    with pytest.raises(TextError, match="the prompt holds"):
        await store.append(CHANNEL, said("x"), [prompt(BUILDER, text)])
    with pytest.raises(TextError, match="the document holds"):
        await store.put_document(CHANNEL, text, BY_LEAD)
    assert await store.by_id(CHANNEL.uid, text) is None
    assert await store.delivery(text) is None
    assert await store.deliveries_of(text) == ()
    assert await _contents(store, Query()) == []


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
async def test_any_other_text_is_kept_character_by_character(
    store: MessageStore, text: str
) -> None:
    answer = await store.append(CHANNEL, said(text))
    found = await store.by_id(CHANNEL.uid, answer.message.message_id)
    assert found is not None
    assert found.content == text
    await store.put_document(CHANNEL, text, BY_LEAD)
    assert (await store.document(CHANNEL.uid)).text == text


@pytest.mark.parametrize(
    ("query", "want"),
    [
        pytest.param(Query(), "abcdef", id="everything"),
        pytest.param(Query(limit=2), "ab", id="the first two"),
        pytest.param(Query(limit=2, newest=True), "ef", id="the last two, in order"),
        pytest.param(Query(after_sequence=2), "cdef", id="after a sequence"),
        pytest.param(Query(after_sequence=2, limit=2, newest=True), "ef", id="last after one"),
        pytest.param(Query(before_sequence=3), "ab", id="before a sequence"),
        pytest.param(Query(after_time=START + timedelta(minutes=2)), "def", id="later than"),
        pytest.param(Query(before_time=START + timedelta(minutes=2)), "ab", id="earlier than"),
        pytest.param(Query(mentioned_pod_uid="uid-builder"), "be", id="that mention a pod"),
        pytest.param(
            Query(mentioned_pod_uid="uid-builder", after_sequence=2), "e", id="both conditions"
        ),
        pytest.param(Query(mentioned_pod_uid="uid-nobody"), "", id="a pod nobody mentions"),
        pytest.param(Query(after_sequence=6), "", id="after the last"),
        pytest.param(Query(after_sequence=2**80), "", id="after more than a database holds"),
        pytest.param(Query(before_sequence=-(2**80)), "", id="before less than that"),
        pytest.param(Query(after_sequence=-5), "abcdef", id="after less than nothing"),
    ],
)
async def test_queries_find_what_they_ask_for(
    store: MessageStore, place: Place, query: Query, want: str
) -> None:
    await store.append(OTHER, said("elsewhere", mentions=(BUILDER,)))
    for number, letter in enumerate("abcdef"):
        place.clock.at = (START + timedelta(minutes=number)).timestamp()
        mentions = (BUILDER, TESTER) if letter in "be" else (TESTER,)
        await store.append(CHANNEL, said(letter, mentions=mentions))
    assert "".join(await _contents(store, query)) == want


async def test_a_message_is_found_in_its_own_channel_only(store: MessageStore) -> None:
    message_id = (await store.append(CHANNEL, said("x"))).message.message_id
    assert await store.by_id(OTHER.uid, message_id) is None


async def test_counts_answer_for_many_channels_at_once(store: MessageStore, place: Place) -> None:
    place.clock.at = START.timestamp()
    for _ in range(3):
        await store.append(CHANNEL, said("x"))
    await store.join(CHANNEL, "uid-lead", "lead")
    await store.join(OTHER, "uid-lead", "lead")
    await store.join(OTHER, "uid-builder", "builder")
    many = [f"nobody-knows-{number}" for number in range(1000)]
    found = await store.counts([CHANNEL.uid, OTHER.uid, *many])
    assert len(found) == 1002
    assert found[CHANNEL.uid] == Counts(3, 1, 3, START, members=1)
    assert found[OTHER.uid] == Counts(members=2)
    assert found["nobody-knows-7"] == Counts()


async def test_retention_deletes_the_beginning_and_never_reuses_a_sequence(
    store: MessageStore, place: Place
) -> None:
    for day in range(5):
        place.clock.at = (START + timedelta(days=day)).timestamp()
        await store.append(CHANNEL, said(f"{day}", idempotency_key=f"{day}"))
    assert await store.retain(CHANNEL.uid, START + timedelta(days=3)) == 3
    assert await _contents(store, Query()) == ["3", "4"]
    assert (await store.counts([CHANNEL.uid]))[CHANNEL.uid] == Counts(
        2, 4, 5, START + timedelta(days=4)
    )
    assert await store.retain(CHANNEL.uid, START + timedelta(days=3)) == 0
    assert await store.retain(CHANNEL.uid, START + timedelta(days=30)) == 2
    numbers = (await store.counts([CHANNEL.uid]))[CHANNEL.uid]
    assert numbers == Counts(0, 6, 5, START + timedelta(days=4))
    assert (await store.append(CHANNEL, said("next"))).message.sequence == 6
    assert (await store.append(CHANNEL, said("again", idempotency_key="0"))).created


async def test_retention_leaves_no_gap_where_a_clock_went_back(
    store: MessageStore, place: Place
) -> None:
    for content, day in (("old", 0), ("new", 10), ("wrong clock", 1), ("newer", 11)):
        place.clock.at = (START + timedelta(days=day)).timestamp()
        await store.append(CHANNEL, said(content))
    assert await store.retain(CHANNEL.uid, START + timedelta(days=5)) == 1
    assert await _contents(store, Query()) == ["new", "wrong clock", "newer"]


async def test_retention_of_many_messages_goes_in_pieces(store: MessageStore, place: Place) -> None:
    place.clock.at = START.timestamp()
    async with asyncio.TaskGroup() as group:
        for _ in range(501):
            group.create_task(store.append(CHANNEL, said("x", mentions=(BUILDER,))))
    assert await store.retain(CHANNEL.uid, START + timedelta(days=1)) == 501
    assert await store.read(CHANNEL.uid, Query(mentioned_pod_uid=BUILDER.pod_uid)) == ()
    assert await store.retain("nobody-knows", START) == 0


async def test_a_listener_hears_of_its_channel_and_of_nothing_else(store: MessageStore) -> None:
    with store.changes(CHANNEL.uid) as mine, store.changes(OTHER.uid) as other:
        await store.append(CHANNEL, said("x"))
        await asyncio.wait_for(mine.wait(), 5)
        await store.put_document(CHANNEL, "text", BY_LEAD)
        await asyncio.wait_for(mine.wait(), 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(other.wait(), 0.01)


async def test_a_write_whose_caller_left_is_told_to_listeners(store: MessageStore) -> None:
    with store.changes(CHANNEL.uid) as changes:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(store.append(CHANNEL, said("x")))
            await asyncio.sleep(0)  # it hands its message over
            task.cancel()
        await asyncio.wait_for(changes.wait(), 5)
    assert await _contents(store, Query()) == ["x"]


async def test_a_document_grows_by_one_revision_at_a_time(
    store: MessageStore, place: Place
) -> None:
    place.clock.at = START.timestamp()
    empty = await store.document(CHANNEL.uid)
    assert (empty.text, empty.revision, empty.updated_by, empty.updated_at) == ("", 0, None, None)
    first = await store.put_document(CHANNEL, "one", BY_LEAD, based_on=0)
    assert (first.document.revision, first.replaced_revision) == (1, 0)
    second = await store.put_document(CHANNEL, "two", BY_ANNA, based_on=1)
    assert (second.document.revision, second.replaced_revision) == (2, 1)
    found = await store.document(CHANNEL.uid)
    assert found == second.document
    assert (found.text, found.updated_by, found.updated_at) == ("two", BY_ANNA, START)
    assert (await store.document(OTHER.uid)).revision == 0


@pytest.mark.parametrize("based_on", [0, 1, 3, 2**80])
async def test_another_revision_is_a_conflict_that_shows_the_current_one(
    store: MessageStore, based_on: int
) -> None:
    for text in ("one", "two"):
        await store.put_document(CHANNEL, text, BY_LEAD)
    with pytest.raises(RevisionConflictError, match="is at revision 2") as caught:
        await store.put_document(CHANNEL, "three", BY_ANNA, based_on)
    assert caught.value.current == await store.document(CHANNEL.uid)
    assert caught.value.current.text == "two"


async def test_without_a_revision_the_last_writer_wins_and_learns_what_it_replaced(
    store: MessageStore,
) -> None:
    for number in range(15):
        put = await store.put_document(CHANNEL, f"{number}", BY_LEAD)
        assert put.replaced_revision == number
    assert (await store.document(CHANNEL.uid)).text == "14"


async def test_of_many_changes_to_one_revision_one_wins(store: MessageStore) -> None:
    async def change(number: int) -> bool:
        try:
            await store.put_document(CHANNEL, f"{number}", BY_LEAD, based_on=0)
        except RevisionConflictError:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(change(number)) for number in range(10)]
    won = [number for number, task in enumerate(tasks) if task.result()]
    assert len(won) == 1
    assert (await store.document(CHANNEL.uid)).text == str(won[0])


async def test_pods_join_and_leave(store: MessageStore, place: Place) -> None:
    place.clock.at = START.timestamp()
    assert await store.join(CHANNEL, "uid-lead", "lead")
    place.clock.at += 60
    assert await store.join(CHANNEL, "uid-builder", "builder")
    place.clock.at += 60
    assert not await store.join(CHANNEL, "uid-lead", "lead")
    assert await store.join(OTHER, "uid-lead", "lead")
    assert await store.members(CHANNEL.uid) == (
        Member("uid-lead", "lead", START),
        Member("uid-builder", "builder", START + timedelta(minutes=1)),
    )
    assert await store.channels_of("uid-lead") == {CHANNEL.uid, OTHER.uid}
    assert await store.leave(CHANNEL.uid, "uid-lead")
    assert not await store.leave(CHANNEL.uid, "uid-lead")
    assert await store.channels_of("uid-lead") == {OTHER.uid}


async def test_a_message_brings_its_deliveries_with_it(store: MessageStore, place: Place) -> None:
    place.clock.at = START.timestamp()
    prompts = [prompt(TESTER, "to the tester"), prompt(BUILDER, "to the builder", "given")]
    with store.delivery_changes() as changes:
        answer = await store.append(CHANNEL, said("x"), prompts)
        await asyncio.wait_for(changes.wait(), 5)
    one, two = answer.deliveries
    assert (one.pod_uid, one.pod_name, one.text) == ("uid-tester", "tester", "to the tester")
    assert one.kind is DeliveryKind.MENTION
    assert (one.namespace, one.channel_uid) == (CHANNEL.namespace, CHANNEL.uid)
    assert one.message_id == answer.message.message_id
    assert (one.state, one.reason, one.message) == (DeliveryState.QUEUED, "", "")
    assert one.give_up_at == START + timedelta(hours=1)
    assert one.created_at == one.changed_at == START
    assert two.delivery_id == "given"
    assert await store.deliveries_of(answer.message.message_id) == (one, two)
    assert await store.open_deliveries() == (one, two)
    assert await store.delivery(one.delivery_id) == one


async def test_a_refused_message_brings_no_delivery(store: MessageStore) -> None:
    with pytest.raises(NotFoundError):
        await store.append(CHANNEL, said("x", reply_to="none"), [prompt(BUILDER, "x")])
    assert await store.open_deliveries() == ()


async def test_a_standalone_delivery_with_a_known_id_changes_nothing(store: MessageStore) -> None:
    asked = NewDelivery("uid-b", "b", "bind?", START, DeliveryKind.BINDING, "binding-1")
    with store.delivery_changes() as changes:
        first = await store.add_delivery("team-a", asked)
        await asyncio.wait_for(changes.wait(), 5)
    assert (first.namespace, first.channel_uid, first.message_id) == ("team-a", "", "")
    assert first.kind is DeliveryKind.BINDING
    await store.mark("binding-1", DeliveryState.SUBMITTED)
    repeat = await store.add_delivery("team-a", prompt(BUILDER, "other", "binding-1"))
    assert (repeat.text, repeat.state) == ("bind?", DeliveryState.SUBMITTED)
    assert await store.open_deliveries() == ()


async def test_open_deliveries_are_listed_by_namespace_pod_and_time(store: MessageStore) -> None:
    late = prompt(BUILDER, "late", "late")
    soon = NewDelivery(BUILDER.pod_uid, "builder", "soon", START, delivery_id="soon")
    for namespace, new in (
        ("team-a", late),
        ("team-a", soon),
        ("team-b", prompt(TESTER, "b", "b")),
    ):
        await store.add_delivery(namespace, new)

    async def ids(**which: object) -> list[str]:
        return [d.delivery_id for d in await store.open_deliveries(**which)]  # type: ignore[arg-type]

    assert await ids() == ["late", "soon", "b"]
    assert await ids(namespace="team-a") == ["late", "soon"]
    assert await ids(pod_uid=TESTER.pod_uid) == ["b"]
    assert await ids(give_up_by=START) == ["soon"]
    assert await ids(namespace="team-b", pod_uid=BUILDER.pod_uid) == []


@pytest.mark.parametrize("target", DeliveryState)
@pytest.mark.parametrize("source", DeliveryState)
async def test_a_delivery_moves_as_the_table_says_and_not_otherwise(
    store: MessageStore, source: DeliveryState, target: DeliveryState
) -> None:
    await store.add_delivery("team-a", prompt(BUILDER, "x", "d"))
    if source is not DeliveryState.QUEUED:
        assert (await store.mark("d", source, "First", "the first")).moved
    before = await store.delivery("d")
    marked = await store.mark("d", target, "Second", "the second")
    assert marked.moved == (target in MOVES[source])
    if marked.moved:
        assert marked.delivery.state is target
        assert (marked.delivery.reason, marked.delivery.message) == ("Second", "the second")
    else:
        assert marked.delivery == before
    assert marked.delivery == await store.delivery("d")
    assert marked.delivery.settled == (not MOVES[marked.delivery.state])


async def test_a_report_about_an_unknown_delivery_is_refused(store: MessageStore) -> None:
    with pytest.raises(NotFoundError, match="no delivery"):
        await store.mark("none", DeliveryState.ACCEPTED)


async def test_a_report_is_kept_even_with_characters_that_are_not(store: MessageStore) -> None:
    await store.add_delivery("team-a", prompt(BUILDER, "x", "d"))
    marked = await store.mark("d", DeliveryState.FAILED, "NotReady", "screen \0 \ud800")
    assert marked.delivery.message == "screen \N{REPLACEMENT CHARACTER} ?"


async def test_settled_deliveries_are_purged_and_open_ones_stay(
    store: MessageStore, place: Place
) -> None:
    place.clock.at = START.timestamp()
    for name in ("done", "open"):
        await store.add_delivery("team-a", prompt(BUILDER, name, name))
    await store.mark("done", DeliveryState.SUBMITTED)
    assert await store.purge_deliveries(START) == 0
    assert await store.purge_deliveries(START + timedelta(days=1)) == 1
    assert await store.delivery("done") is None
    assert await store.delivery("open") is not None


async def test_a_forgotten_channel_is_empty_and_takes_nothing(store: MessageStore) -> None:
    for channel in (CHANNEL, OTHER):
        await store.append(channel, said("x", mentions=(BUILDER,)), [prompt(BUILDER, "x")])
        await store.put_document(channel, "text", BY_LEAD)
        await store.join(channel, "uid-lead", "lead")
    with store.changes(CHANNEL.uid) as changes:
        await store.forget_channel(CHANNEL)
        await asyncio.wait_for(changes.wait(), 5)
    assert await _contents(store, Query()) == []
    assert (await store.document(CHANNEL.uid)).revision == 0
    assert await store.members(CHANNEL.uid) == ()
    assert await store.channels_of("uid-lead") == {OTHER.uid}
    assert [d.channel_uid for d in await store.open_deliveries()] == [OTHER.uid]
    for write in (
        store.append(CHANNEL, said("x")),
        store.put_document(CHANNEL, "x", BY_LEAD),
        store.join(CHANNEL, "uid-lead", "lead"),
    ):
        with pytest.raises(ChannelGoneError, match="was deleted"):
            await write
    await store.forget_channel(CHANNEL)
    await store.forget_channel(ChannelRef("never-written", "team-a"))
    assert await _contents(store, Query(), OTHER.uid) == ["x"]


async def test_deliveries_of_a_forgotten_channel_fail_with_a_reason(store: MessageStore) -> None:
    answer = await store.append(CHANNEL, said("x"), [prompt(BUILDER, "x"), prompt(TESTER, "x")])
    await store.mark(answer.deliveries[1].delivery_id, DeliveryState.SUBMITTED)
    await store.forget_channel(CHANNEL)
    states = [(d.state, d.reason) for d in await store.deliveries_of(answer.message.message_id)]
    assert states == [(DeliveryState.FAILED, "ChannelDeleted"), (DeliveryState.SUBMITTED, "")]


async def test_the_trace_of_a_forgotten_channel_goes_after_a_day(
    store: MessageStore, place: Place
) -> None:
    place.clock.at = START.timestamp()
    await store.append(CHANNEL, said("x"))
    await store.forget_channel(CHANNEL)
    place.clock.at += 25 * 3600
    await store.forget_channel(OTHER)
    assert (await store.append(CHANNEL, said("as if new"))).message.sequence == 1


async def test_a_forgotten_pod_leaves_its_messages(store: MessageStore) -> None:
    await store.join(CHANNEL, BUILDER.pod_uid, "builder")
    await store.join(CHANNEL, "uid-lead", "lead")
    builder = Sender(SenderKind.POD, "builder", BUILDER.pod_uid)
    await store.append(CHANNEL, said("mine", builder))
    sent = await store.append(CHANNEL, said("x"), [prompt(BUILDER, "1"), prompt(TESTER, "2")])
    done = await store.add_delivery("team-a", prompt(BUILDER, "3", "done"))
    await store.mark("done", DeliveryState.SUBMITTED)
    failed = await store.forget_pod(BUILDER.pod_uid)
    assert [(d.delivery_id, d.state, d.reason) for d in failed] == [
        (sent.deliveries[0].delivery_id, DeliveryState.FAILED, "AgentEnded")
    ]
    assert await store.delivery(failed[0].delivery_id) == failed[0]
    assert await store.open_deliveries() == (sent.deliveries[1],)
    assert (await store.delivery(done.delivery_id)) is not None
    assert [m.pod_name for m in await store.members(CHANNEL.uid)] == ["lead"]
    assert await _contents(store, Query()) == ["mine", "x"]
    assert await store.forget_pod(BUILDER.pod_uid) == ()


async def test_a_forgotten_namespace_takes_nothing_of_others_along(store: MessageStore) -> None:
    for channel in (CHANNEL, OTHER, ELSEWHERE):
        await store.append(channel, said("x"), [prompt(BUILDER, "x")])
    await store.add_delivery("team-a", prompt(BUILDER, "x"))
    await store.forget_namespace("team-a")
    counts = await store.counts([CHANNEL.uid, OTHER.uid, ELSEWHERE.uid])
    assert await _contents(store, Query()) == await _contents(store, Query(), OTHER.uid) == []
    assert counts[ELSEWHERE.uid].messages == 1
    assert [d.namespace for d in await store.open_deliveries()] == ["team-b"]


async def test_everything_is_there_after_reopening(place: Place) -> None:
    store = await place.open()
    sent = await store.append(CHANNEL, said("x"), [prompt(BUILDER, "x")])
    put = await store.put_document(CHANNEL, "text", BY_LEAD)
    await store.join(CHANNEL, "uid-lead", "lead")
    members = await store.members(CHANNEL.uid)
    await store.close()
    store = await place.open()
    assert await store.read(CHANNEL.uid, Query()) == (sent.message,)
    assert await store.open_deliveries() == sent.deliveries
    assert await store.document(CHANNEL.uid) == put.document
    assert await store.members(CHANNEL.uid) == members
    assert (await store.append(CHANNEL, said("y"))).message.sequence == 2
    await store.close()


async def test_two_stores_on_one_database_share_one_order(place: Place) -> None:
    """As when a controller takes over from one that is not quite gone."""
    stores = [await place.open() for _ in range(2)]

    async def write(writer: int) -> None:
        for number in range(15):
            await stores[writer % 2].append(CHANNEL, said(f"{writer}/{number}"))

    async with asyncio.TaskGroup() as group:
        for writer in range(6):
            group.create_task(write(writer))
    messages = await stores[0].read(CHANNEL.uid, Query(limit=100))
    assert [message.sequence for message in messages] == list(range(1, 91))
    assert len({message.content for message in messages}) == 90
    for store in stores:
        await store.close()


async def test_a_closed_store_refuses_and_closes_twice(store: MessageStore) -> None:
    await store.close()
    await store.close()
    with pytest.raises(UnavailableError, match="closed"):
        await store.append(CHANNEL, said("x"))
    with pytest.raises(UnavailableError, match="closed"):
        await store.read(CHANNEL.uid, Query())


async def test_what_waits_while_the_store_closes_is_stored_or_refused(place: Place) -> None:
    store = await place.open()

    async def write(number: int) -> str:
        try:
            await store.append(CHANNEL, said(f"{number}"))
        except UnavailableError:
            return ""
        return f"{number}"

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(write(number)) for number in range(300)]
        await asyncio.sleep(0)
        group.create_task(store.close())
    stored = {answer for task in tasks if (answer := task.result())}
    store = await place.open()
    assert set(await _contents(store, Query(limit=1000))) == stored
    await store.close()
