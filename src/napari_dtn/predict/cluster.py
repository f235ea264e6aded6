"""Blocks on many machines: the same pipeline, one block a task, by the workers of a dask.distributed cluster.

This process alone opens the output, hands out blocks, a few for each worker at a time, and records them; the
workers read the volume and write chunks of their own. So a run may be killed, and gone on with elsewhere.
"""

from __future__ import annotations

import copy
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cloudpickle
import torch

from napari_dtn.nn.checkpoint import Model
from napari_dtn.predict.blending import Strip
from napari_dtn.predict.blocks import Blocks
from napari_dtn.predict.events import Progress, TileDone
from napari_dtn.predict.output import BlockWriter, Output, Store, open_output
from napari_dtn.predict.pipeline import BlockDone, Engine, run_blocks
from napari_dtn.predict.predictor import Predictor
from napari_dtn.predict.setting_up import use_threads
from napari_dtn.predict.whole import blocks_of, checks_of, engine_of, finish, wanted_output
from napari_dtn.settings import Box, PredictSettings, usable_cores
from napari_dtn.volume.guarding import check_apart
from napari_dtn.volume.intensity import Intensity
from napari_dtn.volume.opening import Volume
from napari_dtn.workers import check_installed, client_of, computed


def write_on_cluster(
    predictor: Predictor,
    path: str | Path,
    box: Box,
    overwrite: bool = False,
    *,
    workers: int = 0,
    scheduler: str = "",
) -> Iterator[TileDone]:
    """Predict a box into an output by a cluster; see :func:`napari_dtn.predict.predict`."""
    check_installed()
    check_apart(path, predictor.volume.path)
    wanted = wanted_output(predictor, box)
    output = open_output(Path(path).absolute(), wanted, overwrite)
    return _steps(predictor, output, blocks_of(predictor, wanted), workers, scheduler)


def _steps(
    predictor: Predictor, output: Output, blocks: Blocks, workers: int, scheduler: str
) -> Iterator[TileDone]:
    finished = set(output.journal.finished)
    progress = Progress(blocks, finished)
    todo = (number for number in range(len(blocks)) if number not in finished)
    payload = cloudpickle.dumps(_job(predictor, output.store, blocks, workers))
    try:
        yield from progress.finished_before()
        with client_of(workers, scheduler) as client:
            for done in computed(client, _compute, payload, todo):
                output.journal.add(done)
                yield from progress.block_written(done.block)
        checks = checks_of(predictor.volume, output.store.box[0])
        yield from finish(checks, output, progress)
    finally:
        output.journal.close()


# ---- in a worker


@dataclass(frozen=True)
class _Job:
    """All that a worker needs to compute any block.

    Parameters
    ----------
    model
        On the processor.
    device
        Kind of device to compute on.
    """

    model: Model
    device: str
    volume: Volume
    settings: PredictSettings
    intensity: Intensity
    store: Store
    blocks: Blocks


def _job(predictor: Predictor, store: Store, blocks: Blocks, workers: int) -> _Job:
    model = replace(predictor.model, network=copy.deepcopy(predictor.model.network).cpu())
    threads = predictor.settings.threads or (max(1, usable_cores() // workers) if workers else 0)
    settings = replace(predictor.settings, threads=threads)
    device = predictor.model.device.type
    return _Job(model, device, predictor.volume, settings, predictor.intensity, store, blocks)


_one_at_a_time = threading.Lock()  # a worker has one model, and gives it all of its device


def _compute(payload: bytes, number: int) -> BlockDone:
    """Compute and write one block; return once it is durable."""
    with _one_at_a_time:
        engine, store, blocks = _set_up(payload)
        target = _Kept(store.writer())
        for _ in run_blocks(engine, [blocks[number]], target):
            pass
        return target.done[0]


@lru_cache(maxsize=1)
def _set_up(payload: bytes) -> tuple[Engine, Store, Blocks]:
    """Set the job's model up, once in a worker."""
    job: _Job = cloudpickle.loads(payload)
    device = _own_device(job.device)
    network = job.model.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model = replace(job.model, network=network, device=device)
    predictor = Predictor.of(model, job.volume, job.settings, job.intensity)
    use_threads(job.settings)
    return engine_of(predictor, job.store.strip_height), job.store, job.blocks


def _own_device(kind: str) -> torch.device:
    """Return a worker's device: GPUs go to the workers of a machine by turns of their numbers."""
    if kind == "cuda":
        from distributed import get_worker

        torch.cuda.set_device(gpu_of(get_worker().name, torch.cuda.device_count()))
    return torch.device(kind)


def gpu_of(worker: Any, gpus: int) -> int:
    """Return the GPU of a worker by the number that its name ends with (``3``, ``SLURMCluster-3``)."""
    number = re.search(r"(\d+)$", str(worker))
    return int(number[1]) % gpus if number else 0


class _Kept:
    """A target that keeps what is recorded, for the process that has the journal."""

    def __init__(self, writer: BlockWriter) -> None:
        self._writer = writer
        self.done: list[BlockDone] = []

    def write(self, strip: Strip) -> None:
        self._writer.write(strip)

    def record(self, done: BlockDone) -> None:
        self._writer.record(done)
        self.done.append(done)
