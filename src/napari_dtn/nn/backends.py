"""What runs a model: one call, normalised tiles in, probabilities out."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from napari_dtn.nn.checkpoint import Model
from napari_dtn.nn.devices import resolve_precision
from napari_dtn.nn.memory import keep_freed_memory
from napari_dtn.nn.onnx_runner import onnx_runner
from napari_dtn.nn.openvino_runner import openvino_runner
from napari_dtn.nn.torch_runner import torch_runner
from napari_dtn.settings import Backend, Precision


class Runner(Protocol):
    """Anything that turns normalised tiles into probabilities."""

    def __call__(self, tiles: Tensor) -> Tensor:
        """``(N, C, H, W)`` float32 -> ``(N, n_classes, H, W)`` float32, both on the CPU."""
        ...


def make_runner(
    model: Model, backend: Backend, precision: Precision = "auto", threads: int = 0, batch: int = 4
) -> Runner:
    """Return what runs a model.

    Parameters
    ----------
    model
        The model. ``openvino`` and ``onnx`` take tiles of its patch size alone.
    backend
        ``eager``, ``compile``, ``openvino`` or ``onnx``; :func:`napari_dtn.nn.choosing.choose` finds one for
        ``auto``.
    precision
        ``auto`` is bfloat16 where the device, and the backend, compute in it.
    threads
        Processor threads; 0 for as many as PyTorch takes.
    batch
        Tiles of a batch, at most; only ``compile`` asks.

    Raises
    ------
    ImportError
        The backend is not installed; the error names the extra.
    ValueError
        The backend does not run on the model's device, or not in this precision.
    """
    check_device(model, backend)
    precision = resolve_precision(precision, model.device, backend)
    if model.device.type == "cpu":
        keep_freed_memory()
    if backend == "openvino":
        return openvino_runner(model, precision, threads)
    if backend == "onnx":
        return onnx_runner(model, threads)
    return torch_runner(model.network, model.device, precision, batch if backend == "compile" else 0)


def check_device(model: Model, backend: Backend) -> None:
    """Raise ValueError where a backend does not run on the device of a model."""
    if backend in ("openvino", "onnx") and model.device.type != "cpu":
        raise ValueError(
            f"backend is {backend!r}, which runs on the processor, and device is {model.device.type!r}; "
            "choose device 'cpu', or backend 'eager' or 'compile'."
        )
