"""How long a click takes that follows an object through 50 slices whose boundaries are there.

    python benchmarks/through.py [--quick] [--json PATH] [--every N] [--data FOLDER] [--model NAME_OR_FILE]

The boundaries of the last slices of SNEMI3D are predicted beforehand, and a new session is opened for every
object. The click is in the middle of an object of z 80-99 that is larger than 5,000 voxels. Each object is
clicked twice: with the boundaries alone, where fragments and links are missing, and with the graph that
`napari-dtn segment --keep-graph` leaves. Rows: the slices that the object reaches, the seconds from the click
to its first mask and to its last one (goal: 2), and how much of both objects is the same (IoU).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from clicks import FIRST, VOXEL, interior, targets
from common import SNEMI3D, parser, report, snemi3d

import napari_dtn as dtn
from napari_dtn.predict import Predictor, as_uint8
from napari_dtn.segmenting import segment_steps
from napari_dtn.session import ClickSession
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.session.growing import Grown
from napari_dtn.session.prompts import Prompt
from napari_dtn.settings import ClickSettings
from napari_dtn.volume.opening import volume_from_array
from napari_dtn.volume.writing import write_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dtn.session import Mask
    from napari_dtn.volume.opening import Volume

DEEP, QUICK = 50, 12


@dataclass(frozen=True, eq=False)
class Clicked:
    """An object that was clicked: its mask, and the seconds to the first and to the last one."""

    mask: Mask
    first: float
    last: float


def click(volume: Volume, boundaries: StoredBoundaries, at: tuple[int, int, int]) -> Clicked:
    """Click once in a new session, and let the object grow to its end."""
    session = ClickSession(volume, boundaries=boundaries, settings=ClickSettings(volume=True))
    began, seen = time.perf_counter(), []
    for step in session.steps(Prompt((at,), True)):
        if isinstance(step, Grown):
            seen.append(time.perf_counter() - began)
    mask = session.mask
    assert mask is not None
    session.close()
    return Clicked(mask, seen[0], seen[-1])


def both(
    volume: Volume, cut: StoredBoundaries, kept: StoredBoundaries, at: tuple[int, int, int]
) -> dict[str, Any]:
    """Click without the graph and with it; return a row."""
    one, other = click(volume, cut, at), click(volume, kept, at)
    return {
        "slices": len(one.mask.slices),
        "first, s": one.first,
        "last, s": one.last,
        "first with graph, s": other.first,
        "last with graph, s": other.last,
        "IoU": overlap(one.mask, other.mask),
    }


def overlap(one: Mask, other: Mask) -> float:
    """Return the intersection over the union."""
    first, second = np.asarray(one), np.asarray(other)
    return float((first & second).sum() / (first | second).sum())


def boundaries_of(volume: Volume, model: str, folder: Path) -> tuple[StoredBoundaries, StoredBoundaries]:
    """Predict and segment a volume; return its boundaries without the graph, and with it."""
    predictor = Predictor.of(dtn.load_model(model), volume)
    stack = np.stack([as_uint8(predictor.predict(z)[0]) for z in range(len(volume.data))])
    path = folder / "boundaries.zarr"
    write_image(path, stack, voxel_size=VOXEL, attributes={})
    for _ in segment_steps(path, folder / "objects.zarr", image=volume, keep_graph=True):
        pass
    kept = StoredBoundaries.of(dtn.open_volume(path), volume)
    return StoredBoundaries(stack, volume.shape), kept


def summary(name: str, rows: list[dict[str, Any]], of: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a row of one figure for each column."""
    columns = (column for column in rows[0] if column != "slices")
    return {"slices": name, **{column: float(of([row[column] for row in rows])) for column in columns}}


def main() -> None:
    """Click, and print the rows."""
    made = parser(__doc__)
    made.add_argument("--data", type=Path, default=SNEMI3D, help="folder of SNEMI3D")
    made.add_argument("--model", default="dtn-snemi3d", help="bundled name or file")
    made.add_argument("--every", type=int, default=20, help="take every Nth object alone")
    options = made.parse_args()
    image, labels = snemi3d(options.data)
    deep = QUICK if options.quick else DEEP
    volume = volume_from_array(image[-deep:], VOXEL)
    with TemporaryDirectory() as folder:
        cut, kept = boundaries_of(volume, options.model, Path(folder))
        objects = [*targets(labels[FIRST:], 3)][:: 80 if options.quick else options.every]
        rows = []
        for target in objects:
            z, y, x = interior(target.inside, target.origin)
            rows.append(both(volume, cut, kept, (z + deep - (len(image) - FIRST), y, x)))
    median = summary("median", rows, np.median)
    rows += [median, summary("95 %", rows, lambda values: np.percentile(values, 95))]
    report(rows, options)


if __name__ == "__main__":
    main()
