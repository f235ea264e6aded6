"""What cannot be interrupted is waited for, or left alone."""

from __future__ import annotations

import threading

import pytest

from napari_dtn.beside import beside


def test_what_it_gives_is_returned_and_nothing_is_yielded_by_quick_work() -> None:
    work = beside(lambda: 7, "searching")
    with pytest.raises(StopIteration) as ended:
        next(work)
    assert ended.value.value == 7


def test_an_error_is_raised_where_it_is_waited_for() -> None:
    def fail() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        next(beside(fail, "searching"))


def test_whoever_waits_may_stop_and_the_next_work_has_its_turn() -> None:
    goes_on, made = threading.Event(), []
    slow = beside(lambda: made.append(goes_on.wait(10)), "searching", every=0.01)
    assert [next(slow), next(slow)] == ["searching"] * 2
    slow.close()
    left = beside(lambda: made.append("left"), "waiting", every=0.01)
    assert next(left) == "waiting"
    left.close()
    last = beside(lambda: made.append("last"), "waiting", every=0.01)
    assert next(last) == "waiting", "one at a time"
    goes_on.set()
    list(last)
    assert made == [True, "last"], "what was left before it began is not done"
