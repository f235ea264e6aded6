"""Work of some seconds that nothing can interrupt: whoever waits for it may stop waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S")

_turn = threading.Lock()  # what was left alone may still run: the next waits, and cores are not shared


def beside(work: Callable[[], T], meanwhile: S, every: float = 0.1) -> Generator[S, None, T]:
    """Do something in a thread of its own.

    Parameters
    ----------
    work
        What takes its time.
    meanwhile
        Yielded again and again while it does.
    every
        Seconds between two of these.

    Returns
    -------
    T
        What the work gives; its errors are raised here. Whoever stops iterating leaves it alone.
    """
    done: Future[T] = Future()

    def run() -> None:
        with _turn:
            if not done.set_running_or_notify_cancel():
                return
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)

    threading.Thread(target=run, name="beside", daemon=True).start()
    try:
        while not wait([done], every).done:
            yield meanwhile
        return done.result()
    finally:
        done.cancel()  # if it has not begun
