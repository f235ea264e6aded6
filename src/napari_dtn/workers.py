"""Work on many processes or machines: numbered pieces, handed out to the workers of a dask cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

logger = logging.getLogger(__name__)

_QUEUED = 3  # pieces that are handed out for each worker: enough that none waits for the next
_RETRIES = 2  # of a piece that fails; one whose worker is lost is handed to another anyway


def check_installed() -> None:
    """Raise ImportError, with what to install, where dask.distributed is missing."""
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Workers need dask.distributed, which is not installed: pip install 'napari-dtn[cluster]'."
        ) from error


@contextmanager
def client_of(workers: int, scheduler: str) -> Iterator[Any]:
    """Connect to a scheduler, or to a cluster of this machine that ends with the block."""
    from distributed import Client, LocalCluster

    if scheduler:
        with Client(scheduler) as client:
            logger.info("Dashboard: %s", client.dashboard_link)
            yield client
        return
    with LocalCluster(n_workers=workers, threads_per_worker=1) as cluster, Client(cluster) as client:
        logger.info("Dashboard: %s", client.dashboard_link)
        yield client


def computed(
    client: Any, function: Callable[[bytes, int], Any], payload: bytes, todo: Iterator[int]
) -> Iterator[Any]:
    """Yield what ``function(payload, number)`` gives for each number, as workers finish.

    A few pieces for each worker are under way at any time.
    """
    from distributed import as_completed

    # A task's result, not scattered data: it is made again when the workers that hold it are lost.
    shared = client.submit(_hand_on, payload, pure=False)

    def submit(number: int) -> Any:
        return client.submit(function, shared, number, pure=False, retries=_RETRIES)

    futures = {submit(number) for number in islice(todo, _QUEUED * max(1, len(client.ncores())))}
    completed = as_completed(futures)
    try:
        for future in completed:
            futures.discard(future)
            done = future.result()
            for number in islice(todo, max(1, _QUEUED * len(client.ncores()) - len(futures))):
                another = submit(number)
                futures.add(another)
                completed.add(another)
            yield done
    finally:
        client.cancel([*futures, shared])


def _hand_on(payload: bytes) -> bytes:
    return payload
