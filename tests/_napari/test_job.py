"""Jobs: every step and every error arrives, what is outdated does not, and cancelling cleans up."""

from __future__ import annotations

import logging
import os
import sys
import threading

import pytest
from qtpy.QtCore import QEvent, QThread
from qtpy.QtWidgets import QApplication
from superqt.utils import WorkerBase

from napari_dtn._napari import job as job_room
from napari_dtn._napari.job import Job, Lane, in_plain_words, show_logged_warnings, stop_all_jobs


class Listener:
    def __init__(self, lane: Lane) -> None:
        self.steps: list[object] = []
        self.ends = 0
        lane.stepped.connect(self.steps.append)
        lane.ended.connect(self._end)

    def _end(self) -> None:
        self.ends += 1


@pytest.fixture
def lane(qtbot):
    lane = Lane()
    yield lane
    lane.cancel()
    stop_all_jobs()


def test_steps_come_in_order_then_the_end(qtbot, lane) -> None:
    listener, threads = Listener(lane), []

    def steps():
        threads.append(threading.get_ident())
        yield from range(5)

    with qtbot.waitSignal(lane.ended):
        lane.start("Counting", steps)
        assert lane.busy
    assert listener.steps == [0, 1, 2, 3, 4]
    assert lane.outcome == "done"
    assert not lane.busy
    assert threads != [threading.get_ident()]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Expected 1 channel, got 3"),
        MemoryError(),
        ValueError("x is 1; give 2."),
        KeyError("z"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_is_one_plain_notification(qtbot, lane, told, error) -> None:
    listener = Listener(lane)

    def steps():
        yield 1
        raise error

    with qtbot.waitSignal(lane.ended):
        lane.start("Counting", steps)
    assert listener.steps == [1]
    assert lane.outcome == "failed"
    assert [note.message for note in told] == [in_plain_words(error, "Counting")]
    assert told[0].severity.value == "error"
    assert not hasattr(told[0], "exception")


def test_an_error_before_the_first_step_arrives_too(qtbot, lane, told) -> None:
    def steps():
        raise RuntimeError("no kernel")

    with qtbot.waitSignal(lane.ended):
        lane.start("Counting", steps)
    assert "Counting failed: no kernel (RuntimeError)." in told[0].message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("overlap is 9; choose 0 to 8."), "overlap is 9; choose 0 to 8."),
        (FileNotFoundError("No model 'a'."), "No model 'a'."),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nstack"), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."), "not enough memory"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("first line\nsecond line"), "Predicting failed: first line (RuntimeError)."),
        (KeyError(), "Predicting failed: no reason given (KeyError)."),
    ],
)
def test_plain_words(error, words) -> None:
    said = in_plain_words(error, "Predicting")
    assert words in said
    assert "\n" not in said
    assert "Traceback" not in said


def test_cancel_closes_the_generator_in_its_own_thread(qtbot, lane) -> None:
    listener, started, closed, go = Listener(lane), threading.Event(), [], threading.Event()

    def steps():
        mine = threading.get_ident()
        try:
            for number in range(1000):
                yield number
                started.set()
                go.wait(5)
        finally:
            closed.append(threading.get_ident() == mine)

    lane.start("Counting", steps)
    qtbot.waitUntil(lambda: listener.steps == [0])
    started.wait(5)
    with qtbot.waitSignal(lane.ended):
        lane.cancel()
        assert lane.cancelled
        go.set()
    assert closed == [True]
    assert listener.steps == [0]
    assert lane.outcome == "cancelled"


def test_the_newest_request_wins(qtbot, lane) -> None:
    listener, go, ran = Listener(lane), threading.Event(), []

    def steps(name, wait):
        ran.append(name)
        if wait:
            go.wait(5)
        yield name

    lane.start("Old", lambda: steps("old", True))
    qtbot.waitUntil(lambda: ran == ["old"])
    lane.start("Never", lambda: steps("never", False))
    lane.start("New", lambda: steps("new", False))
    with qtbot.waitSignal(lane.ended):
        go.set()
    assert ran == ["old", "new"]
    assert listener.steps == ["new"]
    assert listener.ends == 1


def test_an_outdated_error_is_not_shown(qtbot, lane, told) -> None:
    go, started = threading.Event(), threading.Event()

    def fails():
        started.set()
        go.wait(5)
        yield 0
        raise RuntimeError("late")

    lane.start("Old", fails)
    started.wait(5)
    lane.start("New", lambda: (number for number in [1]))
    with qtbot.waitSignal(lane.ended):
        go.set()
    assert told == []


def test_a_lane_may_go_while_its_job_runs(qtbot) -> None:
    lane, started, go, closed = Lane(), threading.Event(), threading.Event(), threading.Event()

    def steps():
        try:
            yield 0
            started.set()
            go.wait(5)
            yield 1
        finally:
            closed.set()

    lane.start("Counting", steps)
    assert started.wait(5)
    lane.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    go.set()
    stop_all_jobs()
    assert closed.is_set()
    qtbot.waitUntil(lambda: not any(isinstance(one, Job) for one in WorkerBase._worker_set))


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of single threads are Linux's")
def test_the_job_steps_back_and_the_window_does_not(qtbot, lane) -> None:
    listener = Listener(lane)

    def steps():
        yield os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    with qtbot.waitSignal(lane.ended):
        lane.start("Looking", steps)
    assert listener.steps[0] > before
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of single threads are Linux's")
def test_a_job_of_a_program_that_is_nice_stays_as_nice() -> None:
    found = []

    def nice() -> None:
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, 10)
        job_room._step_back()
        found.append(os.getpriority(os.PRIO_PROCESS, thread))

    thread = threading.Thread(target=nice)
    thread.start()
    thread.join()
    assert found == [10]


def test_steps_arrive_in_the_windows_thread(qtbot, lane) -> None:
    seen = []
    lane.stepped.connect(lambda _: seen.append(QThread.currentThread() is QApplication.instance().thread()))
    with qtbot.waitSignal(lane.ended):
        lane.start("Counting", lambda: (number for number in range(3)))
    assert seen == [True] * 3


def test_the_cores_warnings_become_notifications(qtbot, told) -> None:
    show_logged_warnings()
    show_logged_warnings()
    logging.getLogger("napari_dtn.predict").warning("%s has odd voxels.", "a.tif")
    assert [note.message for note in told] == ["a.tif has odd voxels."]


def test_a_warning_is_told_once_and_the_rest_goes_to_the_programs_log(qtbot, told, monkeypatch) -> None:
    records: list[logging.LogRecord] = []
    root = logging.Handler()
    monkeypatch.setattr(root, "emit", records.append)
    monkeypatch.setattr(logging.getLogger(), "handlers", [root])
    logger = logging.getLogger("napari_dtn.predict")
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    show_logged_warnings()
    for words in ("far voxels", "far voxels", "a chunk", "far voxels"):
        logger.warning(words)
    logger.debug("a traceback")
    assert [one.message for one in told] == ["far voxels", "a chunk", "far voxels"]
    assert [one.getMessage() for one in records] == ["a traceback"]
    show_logged_warnings()
    logger.warning("far voxels")
    assert len(told) == 4, "a panel that opens hears it again"
