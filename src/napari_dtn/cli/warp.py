"""The command warp."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_dtn.cli.opening import open_ids
from napari_dtn.cli.options import Box, JsonOption, Reading
from napari_dtn.cli.terminal import check_target, interruptible, progress, say, write_json
from napari_dtn.settings import PredictSettings


def warp(
    volume: str,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    model: str = "dtn-snemi3d",
    box: Box = Box(),
    truth: str | None = None,
    reading: Reading = Reading(),
    settings: Annotated[PredictSettings, Parameter(name="*")] = PredictSettings(),
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Report what a model's warp does on a volume: displacement, area change against structure, fold-overs.

    Parameters
    ----------
    volume
        As for predict.
    output
        Folder for index.html, the figures and the tables.
    model
        A bundled model, or a file.
    truth
        Ids whose borders are the boundaries; otherwise the model's prediction says where they are.
    """
    from napari_dtn.nn.checkpoint import load_model
    from napari_dtn.predict import Predictor
    from napari_dtn.report import write_report
    from napari_dtn.report.page import summary_words
    from napari_dtn.volume.guarding import check_folder

    check_folder(output, volume, truth)
    check_target(json_, volume, truth, model)
    opened = reading.open(volume)
    predictor = Predictor.of(load_model(model, settings.device), opened, settings)
    ids = None if truth is None else open_ids(truth).data
    with progress("slices") as report:
        for event in interruptible(write_report(predictor, output, box.roi, ids)):
            report("measuring", event.done, event.total)
    for summary in event.summaries:
        say(summary_words(summary))
    say(f"Written to {output}/index.html")
    write_json({"output": str(output), "levels": [asdict(one) for one in event.summaries]}, json_)
