"""Python's garbage collector during a long run."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def short_collections() -> Iterator[None]:
    """Keep the collector off the objects that are there already.

    A full collection goes through half a million objects of napari and torch: a quarter of a second in which
    a window stands still, whichever thread it happens in. So it is put off for long, and what hangs in
    reference cycles, arrays among it, piles up. Set aside, the old objects cost nothing, and what the run
    itself leaves behind is collected soon. Several may run: the last to end, ends it.
    """
    _runs.begin()
    try:
        yield
    finally:
        _runs.end()


class _Runs:
    """How many runs want short collections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def begin(self) -> None:
        with self._lock:
            self._count += 1
            if self._count == 1:
                gc.freeze()
                gc.collect()  # of next to nothing: the collector learns that a full one is cheap now

    def end(self) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                gc.unfreeze()


_runs = _Runs()
