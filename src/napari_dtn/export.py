"""A model written for other programs: ONNX, OpenVINO, or a package of the BioImage Model Zoo."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_dtn.nn.bioimageio import package
from napari_dtn.nn.checkpoint import Model, ModelCard
from napari_dtn.nn.exporting import onnx_graph, openvino_graph
from napari_dtn.phantom import PhantomSettings, make_phantom

Format = Literal["onnx", "openvino", "bioimageio"]
_SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "bioimageio": ".zip"}


def export(model: Model, to: Format, output: str | Path, overwrite: bool = False) -> list[Path]:
    """Write a model for other programs; it takes tiles of the model's patch size, any number at once.

    Parameters
    ----------
    model
        On the processor.
    to
        ``onnx`` writes one file; ``openvino`` two, ``.xml`` and ``.bin``; ``bioimageio`` a zip package with a
        sample input and output.
    output
        Where to, with the suffix of the format.
    overwrite
        Replace what is already there.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ValueError
        The output has another suffix.
    FileExistsError
        It exists, and ``overwrite`` is not set.
    ImportError
        The format needs an extra that is not installed; the error names it.
    """
    path = Path(output)
    if path.suffix != _SUFFIXES[to]:
        raise ValueError(f"output is {str(path)!r}; for {to} it must end in {_SUFFIXES[to]}.")
    _check_free(path, overwrite)
    files = {path.with_suffix(Path(name).suffix): content for name, content in _made(model, to).items()}
    for file in files:
        _check_free(file, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        file.write_bytes(content)
    return sorted(files)


def _check_free(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; choose another output, or replace it with --overwrite.")


def _made(model: Model, to: Format) -> Mapping[str, bytes]:
    if to == "bioimageio":
        return {"package.zip": package(model, _sample(model.card))}
    return onnx_graph(model) if to == "onnx" else openvino_graph(model)


def _sample(card: ModelCard) -> NDArray[np.float32]:
    """Return a phantom's slices as a model sees them, ``(input_maps, side, side)``, values as recorded."""
    shape = (2 * card.network.context + 1, card.patch_size, card.patch_size)
    slices = make_phantom(PhantomSettings(shape=shape)).image.astype(np.float32)
    return np.tile(slices, (card.network.in_channels, 1, 1))
