"""The command info: what a model or a volume is."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from napari_dtn.cli.options import JsonOption, Reading
from napari_dtn.cli.terminal import check_target, plain, progress, write_json
from napari_dtn.words import bad_slice_words, checked_words

if TYPE_CHECKING:
    from napari_dtn.volume.opening import Volume


def info(
    path: str,
    *,
    reading: Reading = Reading(),
    bad_slices: bool = True,
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Describe a model or a volume.

    Parameters
    ----------
    path
        A bundled model's name, a model file, or anything that opens as a volume.
    bad_slices
        Look for black, saturated, blank, duplicated and shifted slices, in at most 500 slices.
    """
    check_target(json_, path)
    description = _describe_model(path) if is_model(path) else _describe_volume(path, reading, bad_slices)
    if json_ is None:
        for key, value in _in_words(description).items():
            print(f"{key:>14}  {plain(value)}")
    write_json(description, json_)


def is_model(path: str) -> bool:
    """Tell a model, by its name or as a file, from a volume."""
    from napari_dtn.nn.bundled import named_model

    return named_model(path) is not None or Path(path).suffix == ".safetensors"


def _describe_model(path: str) -> dict[str, Any]:
    from napari_dtn.nn.checkpoint import find_model, load_model

    model = load_model(path, "cpu")
    file = find_model(path)
    return {
        "kind": "model",
        "path": str(file),
        "arch": model.card.network.arch,
        "parameters": sum(weight.numel() for weight in model.network.parameters()),
        "bytes": file.stat().st_size,
        "sha256": model.sha256,
        **model.card.to_json(),
    }


def _describe_volume(path: str, reading: Reading, bad_slices: bool) -> dict[str, Any]:
    from napari_dtn.volume.content import boundary_channel
    from napari_dtn.volume.opening import holds_ids
    from napari_dtn.volume.writing import read_attributes

    channel = boundary_channel(path, reading.channel)
    volume = replace(reading, channel=channel).open(path)
    return {
        "kind": "volume",
        "path": path,
        **({} if channel is None else {"channel": channel}),
        "shape": list(volume.shape),
        "dtype": str(volume.data.dtype),
        "voxel_size": volume.voxel_size,
        "translation": volume.translation,
        "levels": [list(level.shape) for level in volume.levels],
        "bytes": volume.data.nbytes,
        "intensity": _intensity_of(volume),
        "napari_dtn": read_attributes(path),
        **(_describe_slices(volume) if bad_slices and not holds_ids(volume) else {}),
    }


def _intensity_of(volume: Volume) -> dict[str, Any]:
    """Return a volume's statistics, or why there are none."""
    from napari_dtn.volume.intensity import estimate_intensity

    try:
        return asdict(estimate_intensity(volume))
    except ValueError as error:
        return {"unknown": str(error)}


def _in_words(description: dict[str, Any]) -> dict[str, Any]:
    """Return a description with its bad slices as a person would name them."""
    from napari_dtn.volume.defects import BadSlice

    if "bad_slices" not in description:
        return description
    bad = [bad_slice_words(BadSlice(**one)) for one in description["bad_slices"]]
    return {**description, "bad_slices": "; ".join(bad) or "none"}


def _describe_slices(volume: Volume) -> dict[str, Any]:
    from napari_dtn.volume.defects import check_slices

    with progress("slices") as report:
        for check in check_slices(volume):
            report("looking for bad slices", check.done, check.total)
    assert check.report is not None
    return {
        "bad_slices": [asdict(bad) for bad in check.report.bad],
        "slices_checked": checked_words(check.report),
    }
