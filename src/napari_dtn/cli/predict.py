"""The command predict."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_dtn.cli.options import Box, JsonOption, Reading, Switch
from napari_dtn.cli.terminal import check_target, interruptible, progress, say, write_json
from napari_dtn.settings import PredictSettings
from napari_dtn.words import plan_words, progress_words


def predict(
    volume: str,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    model: str = "dtn-snemi3d",
    box: Box = Box(),
    reading: Reading = Reading(),
    settings: Annotated[PredictSettings, Parameter(name="*")] = PredictSettings(),
    overwrite: Annotated[bool, Switch] = False,
    workers: int = 0,
    scheduler: str = "",
    dry_run: Annotated[bool, Switch] = False,
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Predict the boundaries of a volume into OME-Zarr; the same command goes on with an unfinished output.

    Parameters
    ----------
    volume
        TIFF stack, folder of slices, OME-Zarr, zarr, HDF5 (file.h5::/path), N5, precomputed or MRC; a URL
        works too.
    output
        Where to, a .zarr folder.
    model
        A bundled model, or a file.
    overwrite
        Replace an output that is already there, finished or not.
    workers
        Processes of this machine that share the work, by dask.distributed.
    scheduler
        Address of a dask scheduler whose workers do the work.
    dry_run
        Say what would be done and what it would take, and write nothing.
    """
    from napari_dtn.nn.checkpoint import load_model
    from napari_dtn.predict import plan, predict
    from napari_dtn.volume.content import warn_of_no_image

    check_target(json_, volume, model)
    opened = reading.open(volume)
    warn_of_no_image(opened)
    loaded = load_model(model, settings.device)
    if dry_run:
        planned = plan(loaded, opened, box.roi, settings)
        say(plan_words(planned))
        if output.exists():
            say(_fate(output, overwrite))
        write_json(asdict(planned), json_)
        return
    tiles = predict(loaded, opened, output, box.roi, settings, overwrite, workers, scheduler)
    with progress("tiles") as report:
        for event in interruptible(tiles):
            report(progress_words(event), event.done, event.total)
    say(f"{event.slices} slices in {event.elapsed:.1f} s ({event.rate:.2f} slices/s), written to {output}")
    result = {
        "output": str(output),
        "slices": event.slices,
        "seconds": event.elapsed,
        "slices_per_s": event.rate,
    }
    write_json(result, json_)


def _fate(output: Path, overwrite: bool) -> str:
    """Say what would become of an output that is there."""
    from napari_dtn.predict.output import is_unfinished

    if overwrite:
        return f"{output} exists, and would be replaced."
    if is_unfinished(output):
        return f"{output} is unfinished, and would be gone on with."
    return f"{output} exists, and would be refused without --overwrite."
