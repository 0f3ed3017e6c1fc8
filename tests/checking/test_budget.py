"""The work that a verdict may take: a part is never longer than the whole, and longer where there is more to do."""

import pytest

from symbackprop.checking import budget
from symbackprop.checking.budget import LEAST, SHARES, Budget, Share


@pytest.fixture
def clock(monkeypatch):
    """The time that was worked, as the test says."""
    now = [100.0]
    monkeypatch.setattr(budget, "worked", lambda: now[0])
    monkeypatch.setitem(SHARES, "task", Share(2.0, 0.5))
    return now


def test_part_is_what_the_table_says_and_more_for_each_line(clock):
    whole = Budget.of(60)
    assert whole.part("task").left == 2.0
    assert whole.part("task", lines=8).left == 6.0


def test_part_is_never_longer_than_the_budget(clock):
    whole = Budget.of(3)
    assert whole.part("task", lines=100).end == whole.end
    clock[0] += 2.5
    assert whole.part("task").end == whole.end
    assert whole.part("task").part("task").end <= whole.end


def test_half_is_half_of_what_is_left(clock):
    whole = Budget.of(10)
    clock[0] += 4
    assert whole.half().left == 3.0


def test_a_spent_budget_begins_nothing_more_but_lets_a_task_look(clock):
    whole = Budget.of(1)
    assert not whole.spent
    clock[0] += 1.5
    assert whole.spent and whole.left == LEAST and whole.part("task").spent


def test_a_busy_machine_leaves_as_much_as_it_would_do_while_somebody_waits(clock, monkeypatch):
    wall = [7.0]
    monkeypatch.setattr(budget.time, "monotonic", lambda: wall[0])
    awaited, own = Budget.awaited(60), Budget.of(60)
    clock[0], wall[0] = clock[0] + 10, wall[0] + 10  # alone on the machine
    assert awaited.left == own.left == 50
    wall[0] += 30  # in which nothing was done: a quarter of the time is worked
    assert awaited.left == pytest.approx(5, rel=0.01) and own.left == 50
    assert awaited.part("task").left == 2.0 and awaited.half().left == pytest.approx(2.5, rel=0.01)
    wall[0] += 20.1
    assert awaited.spent and awaited.part("task").spent and not own.spent


def test_every_share_is_positive():
    assert all(share.seconds > 0 and share.a_line >= 0 for share in SHARES.values())
