"""Long work beside the window: a generator in a thread of its own, its steps and its errors in the window."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import wraps
from typing import Any, ClassVar, Concatenate, Literal, ParamSpec, TypeVar

from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QCoreApplication, QObject, QThread, QThreadPool, Signal
from superqt.utils import WorkerBase
from superqt.utils._qthreading import WorkerBaseSignals

from napari_dtn.words import is_out_of_memory

logger = logging.getLogger(__name__)

P = ParamSpec("P")
W = TypeVar("W")
Outcome = Literal["done", "failed", "cancelled"]
Steps = Callable[[], Iterator[Any]]
_NICENESS = 5
_PATIENCE = 60_000  # ms that the end of the program waits for the last batch


class _Signals(WorkerBaseSignals):
    stepped = Signal(object, object)  # the job, what its generator yielded
    failed = Signal(object, object)  # the job, the exception
    ended = Signal(object)  # the job, always last


class Job(WorkerBase):
    """Iterates a generator in a thread of low priority.

    superqt's own generator worker reports no RuntimeError, and leaves the generator to the garbage collector
    after an abort. Here every exception is reported, and the generator is closed in its own thread.

    Parameters
    ----------
    what
        What it does, as the start of a sentence: "Predicting the volume".
    steps
        Called in the thread; returns the generator.
    """

    def __init__(self, what: str, steps: Steps) -> None:
        super().__init__(SignalsClass=_Signals)
        self.what = what
        self._steps = steps
        self._may_go_on = threading.Event()
        self._may_go_on.set()

    def run(self) -> None:
        """Iterate until the end, an error, or :meth:`quit`; Qt calls this in the thread."""
        # Replaces superqt's, which changes the warnings module of the whole process while a job runs.
        self._running = True
        try:
            _step_back()
            self.work()
        except Exception as error:
            logger.debug("%s failed", self.what, exc_info=True)
            self.failed.emit(self, error)
        finally:
            self._running = False
            self.ended.emit(self)
            self._finished.emit(self)

    def work(self) -> None:
        """Iterate the generator; an abort or a pause takes effect after the step in progress."""
        if self.abort_requested:
            return
        with closing(self._steps()) as steps:  # type: ignore[type-var]
            for step in steps:
                self.stepped.emit(self, step)
                self._may_go_on.wait()
                if self.abort_requested:
                    return

    def hold(self, on: bool) -> None:
        """Wait after the step in progress, or go on."""
        self._may_go_on.clear() if on else self._may_go_on.set()

    def quit(self) -> None:
        """Ask it to stop after the step in progress."""
        super().quit()
        self._may_go_on.set()

    def start(self) -> None:
        """Start in the pool of low priority."""
        self._worker_set.add(self)
        self._finished.connect(self._set_discard)
        _Pool.get().start(self)


class _Pool:
    """Threads of low priority: a thread cannot take its priority back, so Qt's shared ones are left alone."""

    _pool: ClassVar[QThreadPool | None] = None

    @classmethod
    def get(cls) -> QThreadPool:
        if cls._pool is None:
            cls._pool = QThreadPool()
            cls._pool.setMaxThreadCount(8)  # a lane runs one job at a time, and there are few lanes
            cls._pool.setThreadPriority(QThread.Priority.LowPriority)
            application = QCoreApplication.instance()
            if application is not None:
                application.aboutToQuit.connect(stop_all_jobs)
            atexit.register(stop_all_jobs)
        return cls._pool


def stop_all_jobs() -> None:
    """Ask every job to stop, and wait until they have: torch does not survive the end of the interpreter."""
    for worker in list(WorkerBase._worker_set):
        if isinstance(worker, Job):
            worker.quit()
    _Pool.get().waitForDone(_PATIENCE)


def _step_back() -> None:
    """Let the window go first when both want the processor; threads that torch starts from here follow."""
    if sys.platform == "linux":  # where a priority belongs to a thread; Qt's has no effect there
        thread = threading.get_native_id()
        with suppress(OSError):  # a program that was started as nicer may not take it back
            niceness = max(_NICENESS, os.getpriority(os.PRIO_PROCESS, thread))
            os.setpriority(os.PRIO_PROCESS, thread, niceness)


class Lane(QObject):
    """Runs one job at a time; the newest request wins.

    A request that comes while a job runs asks it to stop, and starts when it has. What an outdated job
    still delivers is dropped. Errors appear as one napari notification.

    Parameters
    ----------
    parent
        Qt's owner.
    keep_last
        Deliver what a cancelled job was at: a slice that is on disk counts.

    Signals
    -------
    stepped
        What the current job's generator yielded.
    ended
        The lane is idle again; ``outcome`` says how the job ended, ``failure`` why it failed.
    """

    stepped = Signal(object)
    ended = Signal()

    def __init__(self, parent: QObject | None = None, keep_last: bool = False) -> None:
        super().__init__(parent)
        self._keep_last = keep_last
        self._job: Job | None = None
        self._next: Job | None = None
        self.outcome: Outcome = "done"
        self.failure = ""

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return self._job is not None

    @property
    def cancelled(self) -> bool:
        """Whether the current job was asked to stop."""
        return self._job is not None and self._job.abort_requested

    def start(self, what: str, steps: Steps) -> None:
        """Run a generator; whatever runs here now is outdated."""
        job = Job(what, steps)
        job.stepped.connect(self._on_stepped)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_ended)
        if self._job is None:
            self._launch(job)
        else:
            self._job.quit()
            self._next = job

    def pause(self, on: bool) -> None:
        """Let the current job wait after its step, or go on."""
        if self._job is not None:
            self._job.hold(on)

    def cancel(self) -> None:
        """Ask the job to stop at its next step, and forget the one that waits."""
        self._next = None
        if self._job is not None:
            self._job.quit()

    def _launch(self, job: Job) -> None:
        self._job, self.outcome = job, "done"
        job.start()

    def _on_stepped(self, job: Job, step: Any) -> None:
        if job is self._job and (self._keep_last or not job.abort_requested):
            self.stepped.emit(step)

    def _on_failed(self, job: Job, error: Exception) -> None:
        if job is self._job:
            self.outcome, self.failure = "failed", in_plain_words(error, job.what)
            if self._next is None:
                show_error(self.failure)

    def _on_ended(self, job: Job) -> None:
        if job is not self._job:
            return
        if job.abort_requested and self.outcome == "done":
            self.outcome = "cancelled"
        following, self._job, self._next = self._next, None, None
        if following is not None:
            self._launch(following)
        else:
            self.ended.emit()


def notify_error(error: Exception, what: str) -> None:
    """Show an error as one napari notification in plain words."""
    show_error(in_plain_words(error, what))


def in_plain_words(error: Exception, what: str) -> str:
    """Return what a person should read about an error.

    The core's own errors (wrong values, missing files) name the value and the fix, and stay as they are.
    """
    text = str(error).strip()
    if is_out_of_memory(error):
        return (
            f"{what} failed: not enough memory. Choose a smaller batch size under Advanced, close other "
            "programs, or choose the device cpu."
        )
    if isinstance(error, (ValueError, FileNotFoundError, FileExistsError)) and text:
        return text
    return f"{what} failed: {text.splitlines()[0] if text else 'no reason given'} ({type(error).__name__})."


def notified(action: Callable[Concatenate[W, P], None]) -> Callable[..., None]:
    """Show what is wrong with the user's choices as a notification; the panel stays usable."""

    @wraps(action)
    def press(self: W, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            action(self, *args, **kwargs)
        except Exception as error:  # the window must survive whatever a button does
            notify_error(error, "That")

    return press


class _WarningsToNapari(logging.Handler):
    """The core logs what a user should check; here it becomes a notification, which napari prints by itself.

    What was said last is not said again: an estimate and the prediction after it warn of the same. The rest
    is for the log of the program, as if nobody listened here.
    """

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        words = record.getMessage()
        if record.levelno < logging.WARNING:
            logging.getLogger().handle(record)
        elif words != self.last:
            self.last = words
            show_warning(words)


_to_napari = _WarningsToNapari()


def show_logged_warnings() -> None:
    """From now on show the package's warnings in napari, and there alone; also what was said before."""
    package = logging.getLogger("napari_dtn")
    package.propagate, _to_napari.last = False, ""
    if _to_napari not in package.handlers:
        package.addHandler(_to_napari)
