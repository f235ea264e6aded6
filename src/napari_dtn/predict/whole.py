"""A whole volume, or a box of it, into OME-Zarr: block by block, and on from where an earlier run ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dtn import __version__
from napari_dtn.garbage import short_collections
from napari_dtn.predict.blending import Strip
from napari_dtn.predict.blocks import Blocks, cut_into_blocks
from napari_dtn.predict.events import Progress, TileDone
from napari_dtn.predict.output import Output, Wanted, open_output
from napari_dtn.predict.pipeline import BlockDone, Engine, run_blocks
from napari_dtn.predict.reading import Batch
from napari_dtn.predict.setting_up import known_voxel_size, use_threads
from napari_dtn.settings import Box
from napari_dtn.volume.defects import SliceCheck, check_slices
from napari_dtn.volume.guarding import check_apart, state_of

if TYPE_CHECKING:
    from napari_dtn.predict.predictor import Predictor
    from napari_dtn.volume.lazy import RecentWindows
    from napari_dtn.volume.opening import Volume


_LAYOUT = 2  # of tiles, blocks and chunks: what was begun with another cannot be gone on with
_CHECKED = 2_000  # slices that are searched for defects, about 20 ms each


def write(predictor: Predictor, path: str | Path, box: Box, overwrite: bool = False) -> Iterator[TileDone]:
    """Predict a box into an output; see :func:`napari_dtn.predict.predict`."""
    check_apart(path, predictor.volume.path)
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
    engine = engine_of(predictor, output.store.strip_height)
    checks = checks_of(predictor.volume, output.store.box[0], engine.source.data)
    target = _Recorded(output, checks)
    use_threads(predictor.settings)
    with short_collections(), closing(output.journal):
        yield from progress.finished_before()
        for item in run_blocks(engine, todo, target):
            event = _event(item, progress)
            if event is not None:
                yield event
        yield from finish(checks, output, progress)


def finish(checks: Iterator[SliceCheck], output: Output, progress: Progress) -> Iterator[TileDone]:
    """Look at the slices that are left to be checked, and mark the output as finished."""
    for check in checks:
        if check.report is not None:
            bad = [asdict(one) for one in check.report.bad]
            output.finish({"bad_slices": bad, "slices_checked": check.report.checked})
        yield progress.end()


def checks_of(volume: Volume, z: slice, data: RecentWindows | None = None) -> Iterator[SliceCheck]:
    """Look for bad slices among those that are predicted, through what reads them where that is given."""
    finest: Any = data.slices(z) if data is not None else volume.data[z]
    coarser = tuple(level[z] for level in volume.levels[1:] if level.shape[0] == volume.shape[0])
    return check_slices(replace(volume, levels=(finest, *coarser)), _CHECKED)


def _event(item: Batch | Strip | BlockDone, progress: Progress) -> TileDone | None:
    if isinstance(item, Batch):
        return progress.tiles(len(item.places), item.places[-1][0])
    if isinstance(item, Strip) and item.last:
        return progress.part_written(item.z)
    return None


class _Recorded:
    """A target whose blocks are noted in the journal once they are durable.

    With each slice a slice is checked: the one that was just read, unless an earlier run has done some.
    """

    def __init__(self, output: Output, checks: Iterator[SliceCheck]) -> None:
        self._writer, self._journal, self._checks = output.store.writer(), output.journal, checks
        self._end = output.store.box[1].stop, output.store.box[2].stop
        self._all_checked = False

    def write(self, strip: Strip) -> None:
        self._writer.write(strip)
        if (strip.y.stop, strip.x.stop) == self._end and not self._all_checked:
            check = next(self._checks)
            self._all_checked = check.done == check.total

    def record(self, done: BlockDone) -> None:
        self._writer.record(done)
        self._journal.add(done)


def wanted_output(predictor: Predictor, box: Box) -> Wanted:
    """Describe the output that a box of the volume gets."""
    voxel_size = known_voxel_size(predictor.model, predictor.volume)
    volume = predictor.volume.with_voxel_size(voxel_size) if voxel_size else predictor.volume
    steps = voxel_size or (1.0, 1.0, 1.0)
    z, y, x = (
        shift + side.start * step for shift, side, step in zip(volume.translation, box, steps, strict=True)
    )
    return Wanted(
        box, predictor.classes, voxel_size, (z, y, x), provenance(predictor), input_state(predictor.volume)
    )


def input_state(volume: Volume) -> dict[str, Any]:
    """Return what tells that the engine or the input has changed, beside the input's statistics."""
    return {
        "layout": _LAYOUT,
        "input_shape": volume.shape,
        "input_dtype": str(volume.data.dtype),
        **(state_of(volume.path) if volume.path else {}),
    }


def provenance(predictor: Predictor) -> dict[str, Any]:
    """Return what a result came from, as plain JSON values."""
    return {
        "model": predictor.model.card.name,
        "model_sha256": predictor.model.sha256,
        "class_names": list(predictor.model.card.class_names),
        "settings": {**asdict(predictor.settings), "device": predictor.model.device.type},
        "backend_choice": predictor.choice.reason,
        "intensity": asdict(predictor.intensity),
        "input": predictor.volume.path or predictor.volume.name,
        "version": __version__,
    }
