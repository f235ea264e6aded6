"""The graph that a volume was segmented by, kept beside its boundaries for clicks to use."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from scipy.ndimage import find_objects

from napari_dtn.durable import make_durable
from napari_dtn.segment.evidence import contact
from napari_dtn.segment.kept_graph import IMAGE, KeptGraph, save_tables
from napari_dtn.volume.writing import read_attributes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dtn.segment.graph import RegionGraph
    from napari_dtn.segmenting.work import Job
    from napari_dtn.settings import Roi

    Shape = tuple[int, int, int]

_FACTS = "facts.json"


def graph_beside(boundaries: str | Path) -> Path:
    """Return where the graph of some boundaries is kept: ``NAME.zarr.graph``."""
    path = Path(boundaries)
    return path.with_name(path.name + ".graph")


def kept_graph(
    boundaries: str | Path, shape: Shape | None = None, origin: Shape = (0, 0, 0)
) -> KeptGraph | None:
    """Open the graph beside some boundaries; None where there is none, or one of other boundaries.

    Parameters
    ----------
    boundaries
        Path of what ``napari-dtn predict`` wrote.
    shape
        Of the boundaries, (Z, Y, X), where it is known.
    origin
        First voxel of the boundaries in the volume, (Z, Y, X).
    """
    path, facts = Path(boundaries), graph_beside(boundaries) / _FACTS
    if not facts.exists() or (path.is_file() and path.stat().st_mtime > facts.stat().st_mtime):
        return None
    kept = json.loads(facts.read_text())
    if kept["boundaries_from"] != json.loads(json.dumps(read_attributes(boundaries))):
        return None
    if shape is not None and kept["shape"] != [*shape]:
        return None
    return KeptGraph.load(facts.parent, origin)


def check_keepable(
    boundaries: str | Path, channel: int | None, roi: Roi, overwrite: bool, unfinished: Path
) -> None:
    """Refuse what could not be kept before any work is done.

    Parameters
    ----------
    boundaries
        What is segmented.
    channel
        Which map of several, where one was chosen.
    roi
        The part of them that is.
    overwrite
        Whether a graph may be replaced.
    unfinished
        Folder of work that was begun, if there is any: a graph that it wrote already is its own.

    Raises
    ------
    ValueError
        A part alone is segmented, or another map than clicks would look for.
    FileExistsError
        There is a graph already, and ``overwrite`` is not set.
    """
    if any(end is not None for ends in (roi.z, roi.y, roi.x) for end in ends):
        raise ValueError(
            "The graph is kept of whole boundaries: leave --z, --y and --x out, or --keep-graph."
        )
    if channel is not None:
        raise ValueError("Clicks find the graph of the boundary alone: leave --channel out, or --keep-graph.")
    folder = graph_beside(boundaries)
    if folder.exists() and not overwrite and not _same_facts(folder, unfinished):
        raise FileExistsError(f"{folder} exists; replace it with --overwrite, or leave --keep-graph out.")


def _same_facts(*folders: Path) -> bool:
    """Whether folders are there and come from the same, with the same settings."""
    found = [folder / _FACTS for folder in folders]
    return all(one.exists() for one in found) and len({one.read_bytes() for one in found}) == 1


@dataclass(frozen=True, eq=False)
class Linked:
    """The fragments of a volume, and what may belong together.

    Parameters
    ----------
    graph
        Of the fragments.
    probability
        Of a merge, for each edge, (E,).
    whole
        The fragment of each piece of all parts.
    slices
        Slice of each fragment, (nodes,): in order.
    """

    graph: RegionGraph
    probability: NDArray[np.float32]
    whole: NDArray[np.int64]
    slices: NDArray[np.int64]


def write_graph(job: Job, folder: Path, linked: Linked, first: NDArray[np.int64]) -> None:
    """Write a graph into a folder, which appears whole or not at all.

    Parameters
    ----------
    job
        Whose fragments are cut.
    folder
        Where it goes; one that is there is replaced.
    linked
        What it holds.
    first
        What each part adds to its own ids.
    """
    made = folder.with_name(folder.name + ".part")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    graph, source = linked.graph, job.fragments
    image = zarr.create_array(str(made / IMAGE), shape=source.shape, chunks=source.chunks, dtype=np.uint32)
    places = np.tile(np.array([np.iinfo(np.int32).max, 0] * 2, np.int32), (graph.nodes, 1))
    for number in range(len(job.parts)):
        _write_part(job, number, linked.whole[int(first[number]) :], image, places)
    touching = contact(graph.features)
    save_tables(made, graph.edges, linked.probability, touching, linked.slices, source.shape[0], places)
    shutil.copy(job.folder / _FACTS, made)
    make_durable(made, (file for file in made.rglob("*") if file.is_file()))
    _put_aside(folder)
    made.rename(folder)


def _put_aside(folder: Path) -> None:
    """Remove a graph that is replaced: all of it, or, where Windows keeps what is in use, nothing."""
    aside = folder.with_name(folder.name + ".replaced")
    shutil.rmtree(aside, ignore_errors=True)
    if not folder.exists():
        return
    try:
        folder.rename(aside)
    except PermissionError as error:
        raise PermissionError(
            f"{folder} cannot be replaced; where a panel clicks on it, stop that, and give the command again."
        ) from error
    shutil.rmtree(aside, ignore_errors=True)


def _write_part(
    job: Job, number: int, whole: NDArray[np.int64], image: zarr.Array[Any], places: NDArray[np.int32]
) -> None:
    """Write the fragments of a part by their own numbers, and widen their rectangles."""
    z, y, x = job.parts[number]
    for one in job.parts.good(z):
        pieces = np.asarray(job.fragments[one, y, x])
        image[one, y, x] = whole[pieces].astype(np.uint32)
        lowest = int(pieces.min())
        for piece, box in enumerate(find_objects((pieces - np.uint32(lowest - 1)).astype(np.int32)), lowest):
            if box is not None:
                _widen(places[whole[piece]], box, (y.start, x.start))


def _widen(place: NDArray[np.int32], box: tuple[slice, ...], corner: tuple[int, int]) -> None:
    (y0, y1), (x0, x1) = (
        (side.start + start, side.stop + start) for side, start in zip(box, corner, strict=True)
    )
    place[:] = min(place[0], y0), max(place[1], y1), min(place[2], x0), max(place[3], x1)
