"""The waiting dialog: result, error, cancel, and an event loop that keeps turning meanwhile."""

from __future__ import annotations

import threading
import time

import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QProgressDialog, QPushButton

from napari_dtn._napari.waiting import CancelledError, Progress, run_while_waiting


def find_dialog():
    found = [w for w in QApplication.topLevelWidgets() if isinstance(w, QProgressDialog) and w.isVisible()]
    return found[0] if found else None


def count_to(steps: int, pause: float):
    def work(progress: Progress) -> str:
        progress.total = steps
        for _ in range(steps):
            time.sleep(pause)
            progress.update(1)
        return "counted"

    return work


def test_the_result_comes_back_and_the_window_stays_alive(qapp):
    ticks, values = [], []
    timer = QTimer()

    def tick():
        ticks.append(time.perf_counter())
        dialog = find_dialog()
        values.extend([dialog.value()] if dialog else [])

    timer.timeout.connect(tick)
    timer.start(10)
    assert run_while_waiting("Counting", count_to(20, 0.03)) == "counted"
    timer.stop()
    assert len(ticks) > 15, "the event loop stood still"
    assert values == sorted(values)
    assert 0 < values[-1] <= 1000
    assert find_dialog() is None


def test_the_work_runs_in_another_thread(qapp):
    assert run_while_waiting("Where", lambda _: threading.current_thread()) is not threading.main_thread()


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), OSError("no network"), KeyError("x")])
def test_an_error_of_the_work_is_raised_to_the_caller(qapp, error):
    def work(_):
        raise error

    with pytest.raises(type(error)) as caught:
        run_while_waiting("Failing", work)
    assert caught.value is error


def test_cancel_returns_at_once_and_stops_the_work(qapp):
    stopped = threading.Event()

    def work(progress):
        try:
            count_to(10_000, 0.01)(progress)
        except CancelledError:
            stopped.set()
            raise

    def press():
        find_dialog().findChild(QPushButton, "napari-dtn cancel").click()

    QTimer.singleShot(200, press)
    start = time.perf_counter()
    with pytest.raises(CancelledError, match="Cancelled"):
        run_while_waiting("Counting", work)
    assert time.perf_counter() - start < 2
    assert stopped.wait(2)


def test_a_thread_that_does_not_notice_the_cancel_does_not_hold_the_window(qapp):
    release = threading.Event()
    QTimer.singleShot(100, lambda: find_dialog().close())
    with pytest.raises(CancelledError):
        run_while_waiting("Deaf", lambda _: release.wait(20))
    assert not release.is_set()
    release.set()


def test_away_from_the_main_thread_no_dialog_is_made(qapp):
    results = []
    thread = threading.Thread(target=lambda: results.append(run_while_waiting("Counting", count_to(3, 0))))
    thread.start()
    thread.join(10)
    assert results == ["counted"]


def test_share_is_unknown_until_there_is_a_total():
    progress = Progress()
    assert progress.share is None
    progress.total = 8
    progress.update(2)
    assert progress.share == 0.25
    progress.update(100)
    assert progress.share == 1
    progress.reset()
    assert progress.share == 0
