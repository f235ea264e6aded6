"""Work of a GPU that is recorded once and then replayed: a small network waits for its launches otherwise."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

from napari_dtn.nn.dtn import DenseTransformerNetwork

logger = logging.getLogger(__name__)

_EAGER = 3  # calls before the recording: libraries choose their ways, caches fill
_MOST = 4  # sizes that are recorded; each keeps its own inputs

Sizes = tuple[torch.Size, ...]


def can_be_replayed(network: DenseTransformerNetwork) -> bool:
    """Whether a network does the same operations whatever the values: no chance, no search."""
    settings = network.settings
    return not network.pairs or (settings.decoder == "mean" and settings.localisation != "random")


class Replayed:
    """A function of tensors on a CUDA device, recorded at the fourth call of a size, replayed from then on.

    What cannot be recorded, for want of memory say, goes on as it is. Threads take turns.

    Parameters
    ----------
    work
        Does the same operations at every call, waits for none of them, and keeps what it changes in place.

    Notes
    -----
    Source: CUDA graphs, https://docs.pytorch.org/docs/stable/notes/cuda.html#whole-network-capture.
    """

    def __init__(self, work: Callable[..., Tensor]) -> None:
        self._work = work
        self._calls: Counter[Sizes] = Counter()
        self._recorded: dict[Sizes, _Recorded | None] = {}
        self._side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()  # one for all: no two are replayed at a time
        self._turn = Lock()

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Inputs on the device -> what the work returns."""
        sizes = tuple(one.shape for one in inputs)
        with self._turn:
            self._calls[sizes] += 1
            if self._calls[sizes] > _EAGER and sizes not in self._recorded and len(self._recorded) < _MOST:
                self._recorded[sizes] = self._record(inputs)
            recorded = self._recorded.get(sizes)
            return recorded.replay(inputs) if recorded else self._aside(inputs)

    def _aside(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Do the work on a stream of its own, as a recording does."""
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side):
            result = self._work(*inputs)
        torch.cuda.current_stream().wait_stream(self._side)
        return result

    def _record(self, inputs: tuple[Tensor, ...]) -> _Recorded | None:
        kept, graph = tuple(one.clone() for one in inputs), torch.cuda.CUDAGraph()
        try:
            # Other threads may go on using the device meanwhile.
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._side, capture_error_mode="thread_local"
            ):
                result = self._work(*kept)
        except RuntimeError as error:
            logger.info("Not recorded: %s", error)
            return None
        return _Recorded(graph, kept, result)


@dataclass(frozen=True, eq=False)
class _Recorded:
    """A recording, and where it reads its inputs and leaves its result."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    result: Tensor

    def replay(self, inputs: tuple[Tensor, ...]) -> Tensor:
        for kept, new in zip(self.inputs, inputs, strict=True):
            kept.copy_(new, non_blocking=True)
        self.graph.replay()
        return self.result.clone()
