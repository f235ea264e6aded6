"""Python's garbage collector during a long run."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def short_collections() -> Iterator[None]:
    """Keep the collector off the objects that are there already.

    A full collection goes through half a million objects of napari and torch: a quarter of a second in which
    a window stands still, whichever thread it happens in. So it is put off for long, and what hangs in
    reference cycles, arrays among it, piles up. Set aside, the old objects cost nothing, and what the run
    itself leaves behind is collected soon.
    """
    gc.freeze()
    gc.collect()  # of next to nothing, from which the collector learns that a full one is cheap now
    try:
        yield
    finally:
        gc.unfreeze()
