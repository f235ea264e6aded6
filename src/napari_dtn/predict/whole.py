"""A whole volume, or a box of it, into OME-Zarr: block by block, and on from where an earlier run ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dtn import __version__
from napari_dtn.predict.blending import Strip
from napari_dtn.predict.blocks import Blocks, Box, cut_into_blocks
from napari_dtn.predict.events import Progress, TileDone
from napari_dtn.predict.output import BlockWriter, Output, Wanted, open_output
from napari_dtn.predict.pipeline import BlockDone, Engine, run_blocks
from napari_dtn.predict.reading import Batch
from napari_dtn.predict.setting_up import known_voxel_size, use_threads
from napari_dtn.volume.defects import check_slices

if TYPE_CHECKING:
    from napari_dtn.predict.journal import Journal
    from napari_dtn.predict.predictor import Predictor
    from napari_dtn.volume.opening import Volume


_CHECKED = 2_000  # slices that are searched for defects, about 20 ms each


def write(predictor: Predictor, path: str | Path, box: Box, overwrite: bool = False) -> Iterator[TileDone]:
    """Predict a box into an output; see :func:`napari_dtn.predict.predict`."""
    wanted = wanted_output(predictor, box)
    output = open_output(Path(path), wanted, overwrite)
    return _steps(predictor, output, blocks_of(predictor, wanted))


def blocks_of(predictor: Predictor, wanted: Wanted) -> Blocks:
    """Return the blocks of an output."""
    settings = predictor.settings
    return cut_into_blocks(
        wanted.box, predictor.grid, wanted.unit, settings.block_slices, settings.block_side
    )


def engine_of(predictor: Predictor, strip_height: int) -> Engine:
    """Return what computes blocks."""
    return Engine(
        predictor.source,
        predictor.grid,
        predictor.run,
        predictor.classes,
        predictor.settings.batch_size,
        strip_height,
    )


def _steps(predictor: Predictor, output: Output, blocks: Blocks) -> Iterator[TileDone]:
    finished = set(output.journal.finished)
    progress = Progress(blocks, finished)
    todo = (block for block in blocks if block.number not in finished)
    target = _Recorded(output.store.writer(), output.journal)
    engine = engine_of(predictor, output.store.strip_height)
    use_threads(predictor.settings)
    try:
        for item in run_blocks(engine, todo, target):
            event = _event(item, progress)
            if event is not None:
                yield event
        yield from finish(predictor, output, progress)
    finally:
        output.journal.close()


def finish(predictor: Predictor, output: Output, progress: Progress) -> Iterator[TileDone]:
    """Look for bad slices among those that were predicted, and mark the output as finished."""
    for check in check_slices(_slices(predictor.volume, output.store.box[0]), _CHECKED):
        if check.report is not None:
            bad = [asdict(one) for one in check.report.bad]
            output.finish({"bad_slices": bad, "slices_checked": check.report.checked})
        yield progress.end()


def _slices(volume: Volume, z: slice) -> Volume:
    levels = tuple(level[z] for level in volume.levels if level.shape[0] == volume.shape[0])
    return replace(volume, levels=levels)


def _event(item: Batch | Strip | BlockDone, progress: Progress) -> TileDone | None:
    if isinstance(item, Batch):
        return progress.tiles(len(item.places), item.places[-1][0])
    if isinstance(item, Strip) and item.last:
        return progress.part_written(item.z)
    return None


class _Recorded:
    """A target whose blocks are noted in the journal once they are durable."""

    def __init__(self, writer: BlockWriter, journal: Journal) -> None:
        self.write = writer.write
        self._writer, self._journal = writer, journal

    def record(self, done: BlockDone) -> None:
        self._writer.record(done)
        self._journal.add(done)


def wanted_output(predictor: Predictor, box: Box) -> Wanted:
    """Describe the output that a box of the volume gets."""
    voxel_size = known_voxel_size(predictor.model, predictor.volume)
    volume = predictor.volume.with_voxel_size(voxel_size)
    z, y, x = (
        shift + side.start * step
        for shift, side, step in zip(volume.translation, box, voxel_size, strict=True)
    )
    return Wanted(
        box, predictor.classes, voxel_size, (z, y, x), provenance(predictor), input_state(predictor.volume)
    )


def input_state(volume: Volume) -> dict[str, Any]:
    """Return what tells that the input has changed, beside its statistics."""
    known: dict[str, Any] = {"input_shape": volume.shape, "input_dtype": str(volume.data.dtype)}
    file = Path(str(volume.path).partition("::")[0]).expanduser()
    if volume.path and file.is_file():
        known |= {"input_bytes": file.stat().st_size, "input_modified": file.stat().st_mtime_ns}
    return known


def provenance(predictor: Predictor) -> dict[str, Any]:
    """Return what a result came from, as plain JSON values."""
    return {
        "model": predictor.model.card.name,
        "model_sha256": predictor.model.sha256,
        "class_names": list(predictor.model.card.class_names),
        "settings": {**asdict(predictor.settings), "device": predictor.model.device.type},
        "intensity": asdict(predictor.intensity),
        "input": predictor.volume.path or predictor.volume.name,
        "version": __version__,
    }
