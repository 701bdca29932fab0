from runner.converge.activity import EXECUTING, UNKNOWN, Activity


def test_output_means_executing_and_a_long_quiet_means_nothing_known() -> None:
    activity = Activity()
    assert not activity.look("p", 10, now=100.0)
    assert activity.look("p", 20, now=102.5)
    assert activity.word("p") == EXECUTING
    assert not activity.look("p", 20, now=120.0)
    assert activity.look("p", 20, now=133.0)
    assert activity.word("p") == UNKNOWN


def test_changes_are_told_at_most_once_in_five_seconds() -> None:
    activity = Activity()
    activity.look("p", 0, now=0.0)
    told = [activity.look("p", size, now=5.0 + size / 10) for size in range(1, 400)]
    assert told.count(True) == 1


def test_an_agent_that_was_never_heard_is_not_called_anything() -> None:
    activity = Activity()
    assert not any(activity.look("p", 0, now=float(at)) for at in range(100))
    assert activity.word("p") == UNKNOWN


def test_pods_that_are_gone_are_forgotten() -> None:
    activity = Activity()
    activity.look("p", 0, now=0.0)
    activity.look("p", 9, now=9.0)
    activity.keep(set())
    assert activity.word("p") == UNKNOWN
