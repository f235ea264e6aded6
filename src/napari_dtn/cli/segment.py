"""The command segment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_dtn.cli.options import Box, ChannelOption, ImageSeen, JsonOption, Switch
from napari_dtn.cli.terminal import check_target, interruptible, progress, say, write_json
from napari_dtn.settings import SegmentSettings
from napari_dtn.words import duration


def segment(
    boundaries: str,
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    into: Path | None = None,
    name: str = "objects",
    seen: ImageSeen = ImageSeen(),
    channel: ChannelOption = None,
    box: Box = Box(),
    settings: Annotated[SegmentSettings, Parameter(name="*")] = SegmentSettings(),
    keep_graph: Annotated[bool, Switch] = False,
    overwrite: Annotated[bool, Switch] = False,
    workers: int = 0,
    scheduler: str = "",
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Turn boundaries into objects; the same command goes on with unfinished work.

    Parameters
    ----------
    boundaries
        What predict wrote, or any volume of probabilities.
    output
        Where the labels go, a .zarr folder.
    into
        Instead: an OME-Zarr image that gets them among its labels.
    name
        Of the labels in that image.
    keep_graph
        Keep fragments and links beside the boundaries: clicks on them then find their objects at once.
    overwrite
        Replace labels that are already there, and begin unfinished work anew.
    workers
        Processes of this machine that share the work, by dask.distributed.
    scheduler
        Address of a dask scheduler whose workers do the work.
    """
    from napari_dtn.segmenting import segment_steps
    from napari_dtn.volume.writing import labels_place, list_labels, version_of

    check_target(json_, boundaries, seen.image)
    if (output is None) == (into is None):
        raise ValueError("Say where the labels go: either --output LABELS.zarr or --into IMAGE.zarr.")
    target = output if output is not None else labels_place(into or Path(), name)
    steps = segment_steps(
        boundaries,
        target,
        image=seen.open(),
        channel=channel,
        roi=box.roi,
        settings=settings,
        keep_graph=keep_graph,
        overwrite=overwrite,
        workers=workers,
        scheduler=scheduler,
        version="0.5" if into is None else version_of(into),
    )
    with progress("steps") as report:
        for event in interruptible(steps):
            report(f"{event.stage}, {duration(event.eta)} left", event.done, event.total)
    if into is not None:
        list_labels(into, name)
    say(f"{event.objects} objects in {event.elapsed:.1f} s, written to {target}")
    write_json({"output": str(target), "objects": event.objects, "seconds": event.elapsed}, json_)
