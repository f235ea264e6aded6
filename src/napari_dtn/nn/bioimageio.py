"""A model as a package of the BioImage Model Zoo's format, with a sample that shows what it does."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_dtn import __version__
from napari_dtn.nn.backends import make_runner
from napari_dtn.nn.checkpoint import Model
from napari_dtn.nn.exporting import INPUT, OPSET, OUTPUT, onnx_graph, torchscript_graph
from napari_dtn.nn.extras import bioimageio_installed

_AUTHOR = "napari-dtn developers"
_PAPER = "J. Li, Y. Chen, L. Cai, I. Davidson, S. Ji: Dense Transformer Networks. arXiv:1705.08881, 2017."
_URL = "https://arxiv.org/abs/1705.08881"
_EPSILON = 1e-6

Image = NDArray[np.float32]


def write_package(model: Model, sample: Image, path: Path) -> None:
    """Write a package with the model as ONNX and as TorchScript.

    Parameters
    ----------
    model
        On the processor.
    sample
        An image as a microscope gives it, ``(input_maps, side, side)``, of the model's patch size: the
        package's test input.
    path
        Where to; ends in ``.zip``.

    Raises
    ------
    ImportError
        ``bioimageio.core``, or what writes ONNX, is not installed.
    """
    spec = bioimageio_installed()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_files(folder, model, sample[None])
        # No network: what the description cites is not looked up.
        with spec.ValidationContext(perform_io_checks=False, root=folder):
            description = _description(model, folder)
            spec.save_bioimageio_package(description, output_path=path)


def _write_files(folder: Path, model: Model, sample: Image) -> None:
    normal = (sample - sample.mean()) / (sample.std() + _EPSILON)
    expected = make_runner(model, "eager", "float32")(torch.from_numpy(normal))
    np.save(folder / f"{INPUT}.npy", sample)
    np.save(folder / f"{OUTPUT}.npy", expected.numpy())
    for file, content in {**onnx_graph(model), **torchscript_graph(model)}.items():
        (folder / file).write_bytes(content)
    (folder / "README.md").write_text(_documentation(model), encoding="utf-8")


def _description(model: Model, folder: Path) -> Any:
    import bioimageio.spec.model.v0_5 as v

    card = model.card
    author = v.Author(name=_AUTHOR)
    return v.ModelDescr(
        name=f"{card.name} ({card.network.arch})".replace("_", "-"),
        description=_summary(model),
        authors=[author],
        cite=[v.CiteEntry(text=_PAPER, url=_URL)],
        license="BSD-3-Clause",
        documentation=v.FileDescr(source=folder / "README.md"),
        tags=["electron-microscopy", "segmentation", "boundary", "dense-transformer-network", "2d"],
        version=__version__,
        inputs=[_input(v, model, folder)],
        outputs=[_output(v, model, folder)],
        weights=v.WeightsDescr(
            torchscript=v.TorchscriptWeightsDescr(
                source=folder / "model.pt", pytorch_version=_release("torch"), authors=[author]
            ),
            onnx=v.OnnxWeightsDescr(source=folder / "model.onnx", opset_version=OPSET, parent="torchscript"),
        ),
    )


def _input(v: ModuleType, model: Model, folder: Path) -> Any:
    context = model.card.network.context
    names = [f"channel{n}" for n in range(model.card.network.in_channels)]
    if context:
        names = [f"slice{n:+d}" if n else "slice" for n in range(-context, context + 1)]
    whole = {"axes": ("batch", "channel", "y", "x"), "eps": _EPSILON}
    return v.InputTensorDescr(
        id=INPUT,
        description="Slice of an electron microscopy volume, its neighbours as further channels.",
        axes=[v.BatchAxis(), v.ChannelAxis(channel_names=names), *_space(v, model, v.SpaceInputAxis)],
        test_tensor=v.FileDescr(source=folder / f"{INPUT}.npy"),
        data=v.IntervalOrRatioDataDescr(type="float32"),
        # Over the whole volume: the model has learned how dark a membrane is beside all else.
        preprocessing=[v.ZeroMeanUnitVarianceDescr(kwargs=v.ZeroMeanUnitVarianceKwargs(**whole))],
    )


def _output(v: ModuleType, model: Model, folder: Path) -> Any:
    names = list(model.card.class_names)
    return v.OutputTensorDescr(
        id=OUTPUT,
        description=f"Probability of {', '.join(names)}.",
        axes=[v.BatchAxis(), v.ChannelAxis(channel_names=names), *_space(v, model, v.SpaceOutputAxis)],
        test_tensor=v.FileDescr(source=folder / f"{OUTPUT}.npy"),
        data=v.IntervalOrRatioDataDescr(type="float32", range=(0.0, 1.0)),
    )


def _space(v: ModuleType, model: Model, kind: Any) -> list[Any]:
    size = model.card.voxel_size
    scales = [{"scale": side, "unit": "nanometer"} for side in size[1:]] if size else [{}, {}]
    return [
        kind(id=axis, size=model.card.patch_size, **scale) for axis, scale in zip("yx", scales, strict=True)
    ]


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

Compare with annotated slices of your own before you rely on it (`napari-dtn evaluate`): a model for one tissue,
staining and voxel size need not fit another.

Method: {_PAPER}
"""


def _release(package: str) -> str:
    """Return a version without what a builder has added to it."""
    return version(package).partition("+")[0]
