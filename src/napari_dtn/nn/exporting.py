"""A model as a graph that needs no PyTorch: OpenVINO's and ONNX's.

A graph takes images ``(N, input_maps, side, side)`` of the model's patch size, normalised, any number of
them, and gives probabilities ``(N, n_classes, side, side)``.
"""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import torch
from torch import Tensor, nn

from napari_dtn.nn.checkpoint import Model
from napari_dtn.nn.dtn import DenseTransformerNetwork, probability, set_sampler
from napari_dtn.nn.extras import onnx_installed, openvino_installed
from napari_dtn.nn.fusion import fused

INPUT, OUTPUT = "image", "probability"
OPSET = 18
_OF_A_PAIR = ("encoders.", "decoders.")


class Deployed(nn.Module):
    """A network from image to probability: normalisations folded, samplers made of rows at indices."""

    def __init__(self, network: DenseTransformerNetwork) -> None:
        super().__init__()
        self.network = fused(network).cpu()
        set_sampler(self.network, "indexed")

    def forward(self, image: Tensor) -> Tensor:
        """``(N, input_maps, H, W)`` -> ``(N, n_classes, H, W)``."""
        return probability(self.network(image))


def example(model: Model, count: int = 2) -> Tensor:
    """Return images of the size that a model's graph takes; always the same noise."""
    side = model.card.patch_size
    shape = (count, model.card.network.input_maps, side, side)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def openvino_graph(model: Model) -> dict[str, bytes]:
    """Return a model as OpenVINO's two files: ``model.xml``, the graph, and ``model.bin``, the weights."""
    ov = openvino_installed()
    image = example(model)
    shape = ov.PartialShape([-1, *image.shape[1:]])
    with _traceable(model, image) as network, tempfile.TemporaryDirectory() as folder:
        traced = torch.jit.trace(network, image, check_trace=False)  # type: ignore[no-untyped-call]
        graph = ov.convert_model(traced, example_input=image, input=[(shape, ov.Type.f32)])
        graph.inputs[0].get_tensor().set_names({INPUT})
        graph.outputs[0].get_tensor().set_names({OUTPUT})
        ov.save_model(graph, Path(folder) / "model.xml", compress_to_fp16=False)
        files = {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir())}
    return {**files, "model.xml": _with_exact_warps(files["model.xml"])}


def _with_exact_warps(graph: bytes) -> bytes:
    """Keep what a transformer pair computes in float32, whatever the rest is computed in.

    In bfloat16 a coordinate between 16 and 32 pixels is a multiple of an eighth of a pixel.
    """
    root = ElementTree.fromstring(graph)
    for layer in root.iterfind("layers/layer"):
        name = layer.get("name", "")
        if any(part in name for part in _OF_A_PAIR) and "_convolution" not in name:
            _mark_as_precise(layer)
    return ElementTree.tostring(root)


def _mark_as_precise(layer: ElementTree.Element) -> None:
    information = layer.find("rt_info")
    if information is None:
        information = ElementTree.Element("rt_info")
        layer.insert(0 if layer.find("data") is None else 1, information)
    ElementTree.SubElement(information, "attribute", name="precise", version="0")


def onnx_graph(model: Model) -> dict[str, bytes]:
    """Return a model as an ONNX file, ``model.onnx``, weights included."""
    onnx_installed()
    image = example(model)
    sizes = {0: torch.export.Dim("batch", min=1)}
    with _traceable(model, image) as network:
        program = torch.onnx.export(
            network,
            (image,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=(sizes,),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return {"model.onnx": program.model_proto.SerializeToString()}


def torchscript_graph(model: Model) -> dict[str, bytes]:
    """Return a model as TorchScript, ``model.pt``."""
    image, buffer = example(model), io.BytesIO()
    with _traceable(model, image) as network:
        traced = torch.jit.trace(network, image, check_trace=False)  # type: ignore[no-untyped-call]
    torch.jit.save(traced, buffer)
    return {"model.pt": buffer.getvalue()}


@contextmanager
def _traceable(model: Model, image: Tensor) -> Iterator[Deployed]:
    """Give a network that may be traced.

    It has run once, so that the spline's matrix is known and enters as a constant: no exporter knows a
    linear solver. That its sizes are constants is meant, and no reason for a warning; nor is it one that
    torchvision's operations are missing.
    """
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    network = Deployed(model.network).eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network(image)
        yield network
