"""A runner that makes do with the memory there is."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch
from torch import Tensor

from napari_dtn.nn.backends import Runner
from napari_dtn.nn.torch_runner import TorchRunner
from napari_dtn.words import is_out_of_memory

logger = logging.getLogger(__name__)


class FrugalRunner:
    """Runs a network on fewer tiles at a time once memory has run out: half, and half again.

    Parameters
    ----------
    runner
        Runs the network.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._most: int | None = None  # tiles at a time, once they have been too many

    def __call__(self, tiles: Tensor) -> Tensor:
        """``(N, C, H, W)`` float32 -> ``(N, n_classes, H, W)`` float32, both on the CPU."""
        count = min(len(tiles), self._most or len(tiles))
        while True:
            try:
                done = [self._runner(some) for some in torch.split(tiles, count)]
            except (MemoryError, RuntimeError) as error:
                if count == 1 or not is_out_of_memory(error):
                    raise
            else:
                break
            count //= 2  # outside of the handler, which keeps the failed attempt's tensors alive
            self._runner = _of_fewer(self._runner, count)
            torch.cuda.empty_cache()  # does nothing where CUDA is not in use
        if count < min(len(tiles), self._most or len(tiles)):
            self._most = count
            logger.warning(
                "Out of memory with %d tiles at a time; going on with %d (batch_size).", len(tiles), count
            )
        return torch.cat(done) if len(done) > 1 else done[0]


def _of_fewer(runner: Runner, count: int) -> Runner:
    """Let a compiled network be compiled anew, since it would fill smaller batches up."""
    if isinstance(runner, TorchRunner):
        return replace(runner, batch=min(runner.batch, count))
    return runner
