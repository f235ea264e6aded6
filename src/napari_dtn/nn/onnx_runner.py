"""Networks run by ONNX Runtime, on a processor."""

from __future__ import annotations

from importlib.metadata import version

import torch
from torch import Tensor

from napari_dtn import __version__
from napari_dtn.nn.cache import Files, cached, model_key
from napari_dtn.nn.checkpoint import Model
from napari_dtn.nn.exporting import INPUT, OUTPUT, onnx_graph
from napari_dtn.nn.extras import onnxruntime_installed


class OnnxRunner:
    """Runs a graph in float32.

    Parameters
    ----------
    graph
        ``model.onnx``.
    threads
        Processor threads.
    """

    def __init__(self, graph: Files, threads: int) -> None:
        runtime = onnxruntime_installed()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = runtime.InferenceSession(
            graph["model.onnx"], options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, tiles: Tensor) -> Tensor:
        """``(N, C, H, W)`` float32 -> ``(N, n_classes, H, W)`` float32, both on the CPU."""
        (out,) = self._session.run([OUTPUT], {INPUT: tiles.numpy()})
        return torch.from_numpy(out)


def onnx_runner(model: Model, threads: int = 0) -> OnnxRunner:
    """Return what runs a model in ONNX Runtime; its graph is made once and kept.

    Raises
    ------
    ImportError
        A library of the extra ``onnx`` is not installed.
    """
    onnxruntime_installed()
    key = {**model_key(model), "napari-dtn": __version__, "torch": version("torch")}
    graph = cached(f"{model.card.name}-onnx", key, lambda: onnx_graph(model))
    return OnnxRunner(graph, threads or torch.get_num_threads())
