"""Parts of a volume worked on: one after the other in this process, or by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import cloudpickle
import dask

from napari_dtn.segmenting.work import Job
from napari_dtn.workers import check_installed, client_of, computed


def worked_on(
    function: Callable[..., None], job: Job, numbers: list[int], workers: int, scheduler: str, *further: Any
) -> Iterator[int]:
    """Call ``function(job, number, *further)`` for every part; yield the numbers as they are done."""
    if not (workers or scheduler):
        for number in numbers:
            function(job, number, *further)
            yield number
        return
    check_installed()
    if not numbers:
        return
    payload = cloudpickle.dumps(partial(_call, function, job, further))
    with client_of(workers, scheduler) as client:
        yield from computed(client, _unpacked, payload, iter(numbers))


def _call(function: Callable[..., None], job: Job, further: tuple[Any, ...], number: int) -> int:
    with dask.config.set(scheduler="synchronous"):  # a worker reads by itself
        function(job, number, *further)
    return number


def _unpacked(payload: bytes, number: int) -> int:
    done: int = cloudpickle.loads(payload)(number)
    return done
