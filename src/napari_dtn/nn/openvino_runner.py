"""Networks run by OpenVINO, on a processor."""

from __future__ import annotations

import threading
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_dtn import __version__
from napari_dtn.nn.cache import Files, cached, model_key
from napari_dtn.nn.checkpoint import Model
from napari_dtn.nn.exporting import openvino_graph
from napari_dtn.nn.extras import openvino_installed
from napari_dtn.settings import Precision

_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoRunner:
    """Runs a graph on single tiles, as many at a time as it has threads.

    So a tile's maps fit into the cache of its core, threads need not wait for one another, and what a tile
    gives does not depend on the batch that it comes in.

    Parameters
    ----------
    graph
        ``model.xml`` and ``model.bin``.
    precision
        ``float32`` or ``bfloat16``.
    threads
        How many tiles are computed at the same time.

    Attributes
    ----------
    compiled
        The graph as OpenVINO runs it.
    """

    def __init__(self, graph: Files, precision: Precision, threads: int) -> None:
        ov = openvino_installed()
        network = ov.Core().read_model(graph["model.xml"], graph["model.bin"])
        network.reshape([1, *network.inputs[0].get_partial_shape()[1:]])
        options = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            # Otherwise all workers of a machine would share its first cores.
            "ENABLE_CPU_PINNING": False,
        }
        self.compiled = ov.compile_model(network, "CPU", options)
        self._shape = tuple(self.compiled.outputs[0].shape)[1:]
        self._queue = ov.AsyncInferQueue(self.compiled, threads)
        self._queue.set_callback(_keep)
        self._one_batch_at_a_time = threading.Lock()

    def __call__(self, tiles: Tensor) -> Tensor:
        """``(N, C, H, W)`` float32 -> ``(N, n_classes, H, W)`` float32, both on the CPU."""
        out = np.empty((len(tiles), *self._shape), np.float32)
        with self._one_batch_at_a_time:
            for number, tile in enumerate(tiles.numpy()):
                self._queue.start_async([tile[None]], out[number])
            self._queue.wait_all()
        return torch.from_numpy(out)


def _keep(request: Any, place: np.ndarray[Any, Any]) -> None:
    place[:] = request.get_output_tensor(0).data[0]


def openvino_runner(model: Model, precision: Precision, threads: int = 0) -> OpenVinoRunner:
    """Return what runs a model in OpenVINO; its graph is made once and kept.

    Raises
    ------
    ImportError
        OpenVINO is not installed.
    """
    openvino_installed()
    key = {**model_key(model), "napari-dtn": __version__, "openvino": version("openvino")}
    graph = cached(f"{model.card.name}-openvino", key, lambda: openvino_graph(model))
    return OpenVinoRunner(graph, precision, threads or torch.get_num_threads())
