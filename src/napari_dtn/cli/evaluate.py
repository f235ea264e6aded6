"""The command evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from napari_dtn.cli.classes import scores_of_volume, scores_on_images
from napari_dtn.cli.info import is_model
from napari_dtn.cli.opening import open_ids
from napari_dtn.cli.options import Box, ChannelOption, JsonOption, SizeOption
from napari_dtn.cli.terminal import check_target, plain, write_json
from napari_dtn.settings import Device, Precision


def evaluate(
    prediction: str,
    truth: str,
    *,
    kind: Literal["boundary", "labels", "classes"],
    box: Box = Box(),
    channel: ChannelOption = None,
    voxel_size: SizeOption = None,
    device: Device = "auto",
    precision: Precision = "auto",
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
    plot: Path | None = None,
) -> None:
    """Score a prediction against the truth.

    Parameters
    ----------
    prediction
        Boundary probabilities, labels or class probabilities; a predicted box is laid over the truth by its
        stored translation. For classes also a model, which then predicts the val images of PASCAL VOC.
    truth
        Neurite ids; for a boundary also a bool mask; for classes a volume of class indices (255 is
        ignored), or the folder of PASCAL VOC.
    kind
        boundary (probabilities), labels (ids) or classes (a probability for each).
    voxel_size
        Of the truth, Z Y X in nm, instead of what its file states.
    device
        Where a model runs.
    precision
        What a model computes in; auto takes bfloat16 where the device does.
    plot
        Draw the ROC and the precision-recall curve of a boundary into this picture.
    """
    from napari_dtn.evaluate import evaluate
    from napari_dtn.volume.content import open_boundaries

    for target in (json_, plot):
        check_target(target, prediction, truth)
    if channel is not None and kind != "boundary":
        raise ValueError(f"channel chooses the map of a boundary; leave it out for {kind}.")
    if kind == "boundary":
        predicted = open_boundaries(prediction, channel)
        result = evaluate(predicted, open_ids(truth, voxel_size), kind, box.roi, plot)
    elif kind == "labels":
        result = evaluate(open_ids(prediction), open_ids(truth, voxel_size), kind, box.roi, plot)
    elif plot is not None:
        raise ValueError("plot draws the curves of a boundary; classes have none.")
    elif is_model(prediction):
        result = scores_on_images(prediction, truth, box, device, precision)
    else:
        result = scores_of_volume(prediction, truth, box)
    if json_ is None:
        for key, value in result.items():
            print(f"{key:>18}  {plain(value)}")
    write_json(result, json_)
