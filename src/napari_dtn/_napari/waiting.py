"""Run a slow function while the window stays alive, with a progress dialog and a Cancel button."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from napari.utils import progress as napari_progress

T = TypeVar("T")
POLL = 40  # milliseconds between two looks at the work
STEPS = 1000  # of the bar: a byte count does not fit Qt's integers


class CancelledError(RuntimeError):
    """The user pressed Cancel."""


class Progress:
    """How far the work is; also what pooch accepts as a progress bar, so its method names are pooch's.

    The work calls ``update`` or ``check``, which raise CancelledError once somebody has called ``cancel``.
    """

    def __init__(self) -> None:
        self.total = 0
        self.done = 0
        self._cancelled = threading.Event()

    @property
    def share(self) -> float | None:
        """Finished share of the work, 0 to 1; None while its size is not known."""
        return min(self.done / self.total, 1.0) if self.total else None

    def cancel(self) -> None:
        """Ask the work to stop at its next step."""
        self._cancelled.set()

    def check(self) -> None:
        """Raise CancelledError if the work should stop."""
        if self._cancelled.is_set():
            raise CancelledError("Cancelled; nothing was kept.")

    def update(self, amount: int) -> None:
        """Count finished units, usually bytes."""
        self.check()
        self.done += amount

    def reset(self) -> None:
        """Start counting again."""
        self.done = 0

    def close(self) -> None:
        """Do nothing: the dialog closes when the work returns."""


Work = Callable[[Progress], T]


def run_while_waiting(title: str, work: Work[T]) -> T:
    """Return ``work(progress)``; in a window it runs in a thread and a dialog shows how far it is.

    Cancel returns control at once: the thread is left to notice by itself and to clean up.

    Raises
    ------
    CancelledError
        The user pressed Cancel or closed the dialog.
    Exception
        Whatever ``work`` raised.
    """
    widgets = sys.modules.get("qtpy.QtWidgets")  # without Qt loaded there is no window to keep alive
    in_window = widgets is not None and widgets.QApplication.instance() is not None
    if in_window and threading.current_thread() is threading.main_thread():
        return _wait_in_dialog(title, work)
    return _wait_in_terminal(title, work)


def _wait_in_terminal(title: str, work: Work[T]) -> T:
    with napari_progress(desc=title, total=0) as bar:
        return work(_Mirrored(bar))


class _Mirrored(Progress):
    """Progress that napari's bar follows."""

    def __init__(self, bar: Any) -> None:
        super().__init__()
        self._bar = bar

    def update(self, amount: int) -> None:
        super().update(amount)
        self._bar.total = self.total
        self._bar.update(self.done - self._bar.n)


def _wait_in_dialog(title: str, work: Work[T]) -> T:
    from qtpy.QtCore import QTimer

    progress = Progress()
    future = _start(work, progress)
    dialog = _dialog(title)
    timer = QTimer(dialog)
    timer.timeout.connect(lambda: dialog.accept() if future.done() else _show(dialog, progress))
    timer.start(POLL)
    dialog.exec()
    timer.stop()
    dialog.deleteLater()
    if not future.done():
        progress.cancel()
        progress.check()
    return future.result()


def _start(work: Work[T], progress: Progress) -> Future[T]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work(progress))
        except BaseException as error:  # it is raised again by whoever asks the future
            future.set_exception(error)

    # A daemon, so that an abandoned wait for a dead server does not keep napari from closing.
    threading.Thread(target=run, name="napari-dtn work", daemon=True).start()
    return future


def _dialog(title: str) -> Any:
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication, QProgressDialog, QPushButton

    dialog = QProgressDialog(title, "", 0, 0, QApplication.activeWindow())
    cancel = QPushButton("Cancel")
    cancel.setObjectName("napari-dtn cancel")
    dialog.setCancelButton(cancel)
    dialog.setObjectName("napari-dtn waiting")
    dialog.setWindowTitle("napari-dtn")
    dialog.setWindowModality(Qt.WindowModality.WindowModal)
    dialog.setAutoClose(False)
    dialog.setAutoReset(False)
    dialog.setMinimumWidth(380)
    return dialog


def _show(dialog: Any, progress: Progress) -> None:
    share = progress.share
    if share is not None:
        dialog.setMaximum(STEPS)
        dialog.setValue(round(share * STEPS))
