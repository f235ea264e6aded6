"""Work of a GPU that is recorded once and then replayed: a small network waits for its launches otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_EAGER = 3  # calls before the recording: libraries choose their ways, caches fill


class Replayed:
    """A function of tensors on a CUDA device, recorded at its fourth call and replayed from then on.

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
        self._calls = 0
        self._side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._recorded: _Recorded | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Inputs of the same shapes at every call -> what the work returns."""
        self._calls += 1
        if self._calls <= _EAGER:
            return self._aside(inputs)
        if self._recorded is None:
            self._recorded = self._record(inputs)
        return self._recorded.replay(inputs)

    def _aside(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Do the work on a stream of its own, as a recording does."""
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side):
            result = self._work(*inputs)
        torch.cuda.current_stream().wait_stream(self._side)
        return result

    def _record(self, inputs: tuple[Tensor, ...]) -> _Recorded:
        kept, graph = tuple(one.clone() for one in inputs), torch.cuda.CUDAGraph()
        # Other threads may go on using the device meanwhile.
        with torch.cuda.graph(graph, stream=self._side, capture_error_mode="thread_local"):
            result = self._work(*kept)
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
