"""A model as a package of the BioImage Model Zoo's format, with a sample that shows what it does.

The description is written as its format (0.5) has it, plain YAML, so nothing of the zoo is needed here.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from napari_dtn import __version__
from napari_dtn.nn.backends import make_runner
from napari_dtn.nn.checkpoint import Model
from napari_dtn.nn.exporting import INPUT, OPSET, OUTPUT, onnx_graph, torchscript_graph

_FORMAT = "0.5.3"
_AUTHOR = {"name": "napari-dtn developers"}
_PAPER = {
    "text": "J. Li, Y. Chen, L. Cai, I. Davidson, S. Ji: Dense Transformer Networks. arXiv:1705.08881, 2017.",
    "url": "https://arxiv.org/abs/1705.08881",
}
_EPSILON = 1e-6

Image = NDArray[np.float32]


def package(model: Model, sample: Image) -> bytes:
    """Return a package, a zip file, with the model as ONNX and as TorchScript.

    Parameters
    ----------
    model
        On the processor.
    sample
        An image as a microscope gives it, ``(input_maps, side, side)``, of the model's patch size: the
        package's test input.

    Raises
    ------
    ImportError
        What writes ONNX is not installed.
    """
    files = _files(model, sample[None])
    description = yaml.safe_dump(_description(model, files), sort_keys=False, allow_unicode=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"bioimageio.yaml": description.encode(), **files}.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _files(model: Model, sample: Image) -> dict[str, bytes]:
    normal = (sample - sample.mean()) / (sample.std() + _EPSILON)
    expected = make_runner(model, "eager", "float32")(torch.from_numpy(normal)).numpy()
    return {
        "README.md": _documentation(model).encode(),
        f"{INPUT}.npy": _npy(sample),
        f"{OUTPUT}.npy": _npy(expected),
        **onnx_graph(model),
        **torchscript_graph(model),
    }


def _npy(values: Image) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def _description(model: Model, files: Mapping[str, bytes]) -> dict[str, Any]:
    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}

    return {
        "format_version": _FORMAT,
        "type": "model",
        "name": f"{model.card.name} ({model.card.network.arch})",
        "description": _summary(model),
        "authors": [_AUTHOR],
        "cite": [_PAPER],
        "license": "BSD-3-Clause",
        "documentation": "README.md",
        "tags": ["electron-microscopy", "segmentation", "boundary", "dense-transformer-network", "2d"],
        "version": __version__,
        "inputs": [_input(model, file(f"{INPUT}.npy"))],
        "outputs": [_output(model, file(f"{OUTPUT}.npy"))],
        "weights": {
            "torchscript": {**file("model.pt"), "authors": [_AUTHOR], "pytorch_version": _release("torch")},
            "onnx": {**file("model.onnx"), "opset_version": OPSET, "parent": "torchscript"},
        },
    }


def _input(model: Model, test: Mapping[str, str]) -> dict[str, Any]:
    # Of the whole volume: the model has learned how dark a membrane is beside all else.
    kwargs = {"axes": ["batch", "channel", "y", "x"], "eps": _EPSILON}
    return {
        "id": INPUT,
        "description": "Slice of an electron microscopy volume, its neighbours as further channels.",
        "axes": _axes(model, _input_names(model)),
        "test_tensor": test,
        "data": {"type": "float32"},
        "preprocessing": [{"id": "zero_mean_unit_variance", "kwargs": kwargs}],
    }


def _output(model: Model, test: Mapping[str, str]) -> dict[str, Any]:
    names = list(model.card.class_names)
    return {
        "id": OUTPUT,
        "description": f"Probability of {', '.join(names)}.",
        "axes": _axes(model, names),
        "test_tensor": test,
        "data": {"type": "float32", "range": [0.0, 1.0]},
    }


def _input_names(model: Model) -> list[str]:
    """Name the maps that enter: ``slice-1, slice, slice+1``, of several channels each."""
    shape = model.card.network
    slices = [f"slice{n:+d}" if n else "slice" for n in range(-shape.context, shape.context + 1)]
    if shape.in_channels == 1:
        return slices
    return [f"channel{c}-{name}" for c in range(shape.in_channels) for name in slices]


def _axes(model: Model, channels: list[str]) -> list[dict[str, Any]]:
    size = model.card.voxel_size
    scales = [{"scale": side, "unit": "nanometer"} for side in size[1:]] if size else [{}, {}]
    space = [
        {"type": "space", "id": axis, "size": model.card.patch_size, **scale}
        for axis, scale in zip("yx", scales, strict=True)
    ]
    return [{"type": "batch"}, {"type": "channel", "channel_names": channels}, *space]


def _summary(model: Model) -> str:
    what = ", ".join(model.card.class_names)
    kind = "Dense Transformer Network" if model.card.network.arch == "dtn" else "U-Net"
    return f"{kind} for {what} in slices of electron microscopy volumes"


def _documentation(model: Model) -> str:
    card = model.card
    side, context = card.patch_size, card.network.context
    size = (
        " x ".join(f"{one:g}" for one in card.voxel_size) + " nm (Z, Y, X)" if card.voxel_size else "unknown"
    )
    return f"""# {card.name}

{_summary(model)}, made by napari-dtn {__version__}.

- **Input**: tiles of exactly {side} x {side} pixels, since the learned warp depends on the whole tile; the
  slice, with {context} neighbouring slices above and as many below as further channels. Trained on voxels of
  {size}.
- **Intensities**: subtract the mean and divide by the standard deviation **of the whole volume**, not of
  the tile.
- **Output**: for each pixel the probability of {", ".join(card.class_names)}.
- **Large images**: let tiles overlap (napari-dtn takes 64 pixels) and blend them.
- **Warp**: {"none, this is a U-Net" if card.network.arch == "unet" else "thin-plate splines"}.

Scores, each with the data it was measured on: `{dict(card.scores) or "none stored"}`.

Trained with: `{dict(card.training) or "not stored"}`.

## Validation

Compare with annotated slices of your own before you rely on it (`napari-dtn evaluate`): a model for one
tissue, staining and voxel size need not fit another.

Method: {_PAPER["text"]}
"""


def _release(package: str) -> str:
    """Return a version without what a builder has added to it."""
    return version(package).partition("+")[0]
