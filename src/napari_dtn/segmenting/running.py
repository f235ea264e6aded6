"""A volume of boundaries becomes labels: cut, connect, solve, paint; and on from where an earlier run ended.

Every table is a file that appears whole or not at all, in a folder beside the output; the labels are moved to
their place when they are complete. So a run may be killed at any moment, and the same call goes on.
"""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dask.array as da
import numpy as np
import zarr

from napari_dtn import __version__
from napari_dtn.durable import make_durable
from napari_dtn.segment.agglomerate import agglomerate, agglomerate_in_parts
from napari_dtn.segment.graph import Borders, graph_of
from napari_dtn.segment.joining import joined_borders, whole_borders, whole_fragments
from napari_dtn.segment.merging import bundled_classifier, merge_probabilities
from napari_dtn.segmenting.keeping import Linked, check_keepable, graph_beside, write_graph
from napari_dtn.segmenting.parts import Parts
from napari_dtn.segmenting.sharing import worked_on
from napari_dtn.segmenting.source import Source, open_source
from napari_dtn.segmenting.tables import (
    Measured,
    first_ids,
    fragment_of_each,
    joined_pieces,
    load_borders,
    load_measured,
    part_of_each,
)
from napari_dtn.segmenting.work import Job, connect, cut
from napari_dtn.settings import Roi, SegmentSettings
from napari_dtn.volume.guarding import check_apart
from napari_dtn.volume.intensity import estimate_intensity
from napari_dtn.volume.opening import Volume, open_volume
from napari_dtn.volume.writing import check_deletable, delete_image, read_attributes, write_labels
from napari_dtn.words import changes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dtn.volume.description import Version

Stage = Literal["fragments", "borders", "objects", "labels"]
_CHUNK = 256
_ONE_SOLVER = 5_000_000  # edges that are solved at once; where there are more, parts decide first


@dataclass(frozen=True)
class SegmentDone:
    """A part of the work is done.

    Parameters
    ----------
    stage
        Cutting into ``fragments``, measuring ``borders``, joining ``objects``, writing ``labels``.
    done, total
        Steps of all stages done, and in all.
    before
        Steps that an earlier run had done.
    elapsed
        Seconds since the start.
    objects
        How many there are; 0 until they are known.
    """

    stage: Stage
    done: int
    total: int
    before: int
    elapsed: float
    objects: int = 0

    @property
    def eta(self) -> float:
        """Seconds left, if what is left goes as what was done."""
        return self.elapsed * (self.total - self.done) / max(self.done - self.before, 1)


def segment(boundaries: str | Path, output: str | Path, **options: Any) -> Volume:
    """Segment boundaries on disk, wait, and open the labels; options as :func:`segment_steps`."""
    for _ in segment_steps(boundaries, output, **options):
        pass
    return open_volume(output)


def segment_steps(
    boundaries: str | Path,
    output: str | Path,
    *,
    image: Volume | None = None,
    channel: int | None = None,
    roi: Roi | None = None,
    settings: SegmentSettings | None = None,
    keep_graph: bool = False,
    overwrite: bool = False,
    workers: int = 0,
    scheduler: str = "",
    version: Version = "0.5",
) -> Iterator[SegmentDone]:
    """Segment boundaries on disk into labels, an OME-Zarr label image; iterate to make it happen.

    The same call goes on with unfinished work, whatever has ended it, and the labels are the same as if
    nothing had. Slices that the prediction marks as bad are 0, and objects go on behind them.

    Parameters
    ----------
    boundaries
        What ``napari-dtn predict`` wrote, or any volume of probabilities: uint8 = 255 p, uint16 = 65535 p,
        or floats from 0 to 1.
    output
        Path of the labels, a ``.zarr`` folder.
    image
        The grey values that the boundaries were predicted from; better objects come of it.
    channel
        Which map of several is the boundary; of predicted classes the one of that name by default.
    roi
        Box in voxels of the volume that the boundaries were predicted of; all that there is by default.
    settings
        How boundaries become objects.
    keep_graph
        Keep fragments and links beside the boundaries, as ``NAME.zarr.graph``: clicks on these boundaries
        then find their objects at once.
    overwrite
        Replace labels that are there, and begin unfinished work anew.
    workers
        Processes of this machine that share the work; 0 works here.
    scheduler
        Address of a dask scheduler whose workers do the work.
    version
        Of OME-Zarr that the labels are written in.

    Raises
    ------
    FileExistsError
        There are labels, or a graph, already, and ``overwrite`` is not set.
    ValueError
        The box or the image does not fit, the boundaries are plainly none, or unfinished work was begun with
        something else.
    """
    chosen = settings or SegmentSettings()
    path = Path(output)
    check_apart(path, str(boundaries), image.path if image else None)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; choose another path, or replace it with --overwrite.")
    if path.exists():
        check_deletable(path)
    if keep_graph:
        check_keepable(boundaries, channel, roi or Roi(), overwrite, _unfinished(path))
    source = open_source(boundaries, roi or Roi(), image, channel)
    job = _job(path, source, chosen, overwrite)
    kept = Path(boundaries) if keep_graph else None
    return _steps(job, source, path, chosen, kept, workers, scheduler, version)


def _job(path: Path, source: Source, settings: SegmentSettings, overwrite: bool) -> Job:
    """Begin the work, or find it again."""
    folder = _unfinished(path)
    facts = _facts(source, settings)
    if overwrite and folder.exists():
        shutil.rmtree(folder)
    if (folder / "facts.json").exists():
        _check_same(folder, facts)
    else:
        _begin(folder, facts, source.boundary.shape)
    z, y, x = source.boundary.shape
    part = settings.part_slices, _in_chunks(settings.part_side, y), _in_chunks(settings.part_side, x)
    parts = Parts((z, y, x), part, source.bad)
    intensity = None if source.image is None else estimate_intensity(source.image)
    return Job(folder.absolute(), parts, source.boundary, source.grey, intensity, settings.fragments)


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".unfinished")


def _in_chunks(side: int, size: int) -> int:
    """Return a side of whole chunks, so that no two parts write into one file."""
    return min(-(-side // _CHUNK) * _CHUNK, -(-size // _CHUNK) * _CHUNK)


def _begin(folder: Path, facts: dict[str, Any], shape: tuple[int, ...]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    chunks = (1, *(min(_CHUNK, size) for size in shape[1:]))
    zarr.create_array(str(folder / "fragments.zarr"), shape=shape, chunks=chunks, dtype=np.uint32)
    (folder / "facts.part").write_text(json.dumps(facts, indent=2))
    (folder / "facts.part").replace(folder / "facts.json")


def _facts(source: Source, settings: SegmentSettings) -> dict[str, Any]:
    """Return what labels come from, as plain JSON values."""
    facts = {
        "boundaries": source.volume.path,
        **({} if source.channel is None else {"channel": source.channel}),
        "boundaries_from": read_attributes(source.volume.path or ""),
        "image": source.image and (source.image.path or source.image.name),
        "image_channel": source.image and source.image.channel,
        "corner": source.corner,
        "shape": source.boundary.shape,
        "settings": asdict(settings),
        "classifier": {k: v for k, v in bundled_classifier().card.items() if k in ("data", "seed")},
        "version": __version__,
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts))
    return plain


def _check_same(folder: Path, facts: dict[str, Any]) -> None:
    before = json.loads((folder / "facts.json").read_text())
    changed = changes(before, facts)
    if changed:
        raise ValueError(
            f"{folder} holds work begun otherwise: {'; '.join(changed)}. Give what it was begun with, or "
            "begin anew with --overwrite."
        )


def _steps(
    job: Job,
    source: Source,
    path: Path,
    settings: SegmentSettings,
    kept: Path | None,
    workers: int,
    scheduler: str,
    version: Version,
) -> Iterator[SegmentDone]:
    uncut, unconnected = job.missing("measured"), job.missing("borders")
    total = 2 * len(job.parts) + 2
    before = total - 2 - len(uncut) - len(unconnected)
    count, began = itertools.count(before + 1), time.monotonic()

    def event(stage: Stage, objects: int = 0) -> SegmentDone:
        return SegmentDone(stage, next(count), total, before, time.monotonic() - began, objects)

    for _ in worked_on(cut, job, uncut, workers, scheduler):
        yield event("fragments")
    measured = [load_measured(job.table("measured", n)) for n in range(len(job.parts))]
    first = first_ids(measured)
    for _ in worked_on(connect, job, unconnected, workers, scheduler, first):
        yield event("borders")
    tables = [load_borders(job.table("borders", n)) for n in range(len(job.parts))]
    linked = _linked(measured, tables)
    objects = _objects(linked, part_of_each(measured), settings)
    if kept is not None:
        write_graph(job, graph_beside(kept), linked, first)
    yield event("objects", int(objects.max()))
    _paint(job, source, path, objects, first, version)
    yield event("labels", int(objects.max()))


def _linked(measured: list[Measured], borders: list[Borders]) -> Linked:
    whole = fragment_of_each(measured)
    fragments = whole_fragments(joined_pieces(measured), whole)
    graph = graph_of(whole_borders(joined_borders(borders), whole), fragments)
    return Linked(graph, merge_probabilities(graph), whole, fragments.slices)


def _objects(linked: Linked, part: NDArray[np.int64], settings: SegmentSettings) -> NDArray[np.uint32]:
    """Return the object of each piece of all parts; ``part`` is the part of each."""
    graph, whole = linked.graph, linked.whole
    if len(graph.edges) <= _ONE_SOLVER:
        return agglomerate(graph, linked.probability, settings)[whole]
    parts = np.empty(graph.nodes, np.int64)
    parts[whole[::-1]] = part[::-1]  # of several, the first
    return agglomerate_in_parts(graph, linked.probability, parts, settings)[whole]


def _paint(
    job: Job,
    source: Source,
    path: Path,
    objects: NDArray[np.uint32],
    first: NDArray[np.int64],
    version: Version,
) -> None:
    """Write the labels with their pyramid, and move them to their place."""
    chunks = tuple(
        tuple(min(step, size - start) for start in range(0, size, step))
        for size, step in zip(job.parts.shape, job.parts.part, strict=True)
    )
    from_array: Any = da.from_array  # which is not typed
    ids = from_array(job.fragments, chunks=chunks)
    _, rows, columns = job.parts.counts

    def painted(block: NDArray[np.uint32], block_info: Any = None) -> NDArray[np.uint32]:
        z, y, x = block_info[0]["chunk-location"]
        names = objects[int(first[(z * rows + y) * columns + x]) :]
        return np.where(block > 0, names[block], 0).astype(np.uint32)

    unfinished = job.folder / "labels.zarr"
    shutil.rmtree(unfinished, ignore_errors=True)
    placed = source.volume
    step = placed.voxel_size or (1.0, 1.0, 1.0)
    z, y, x = (
        shift + start * size
        for shift, start, size in zip(placed.translation, source.start, step, strict=True)
    )
    write_labels(
        unfinished,
        ids.map_blocks(painted, dtype=np.uint32),
        voxel_size=placed.voxel_size,
        translation=(z, y, x),
        attributes=json.loads((job.folder / "facts.json").read_text()),
        version=version,
    )
    if path.exists():
        delete_image(path)
    unfinished.rename(path)
    make_durable(path, (file for file in path.rglob("*") if file.is_file()))
    shutil.rmtree(job.folder)
