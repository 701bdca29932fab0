from runner.link.pace import Pace


def test_a_few_go_at_once_and_many_only_so_fast() -> None:
    pace, now, sent = Pace(per_second=20.0, burst=6.0), 100.0, []
    while now < 102.0:
        wait = pace.wait_seconds(now)
        now += wait
        pace.spend(now)
        sent.append(now)
    assert sent[:6] == [100.0] * 6
    assert 40 <= len(sent) - 6 <= 42


def test_a_pause_makes_room_again_but_not_for_more_than_a_burst() -> None:
    pace = Pace(per_second=20.0, burst=6.0)
    for _ in range(6):
        pace.spend(100.0)
    assert pace.wait_seconds(100.0) > 0
    for _ in range(6):
        assert pace.wait_seconds(1000.0) == 0
        pace.spend(1000.0)
    assert pace.wait_seconds(1000.0) > 0
