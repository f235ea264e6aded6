"""How long a click takes that follows an object through 50 slices whose boundaries are there.

    python benchmarks/through.py [--quick] [--json PATH] [--every N] [--data FOLDER] [--model NAME_OR_FILE]

The boundaries of the last slices of SNEMI3D are predicted beforehand, and a new session is opened for every
object, so fragments and links are missing. The click is in the middle of an object of z 80-99 that is larger
than 5,000 voxels. Rows: the slices that the object reaches, and the seconds from the click to its first mask
and to its last one (goal: 2).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from clicks import FIRST, VOXEL, interior, targets
from common import SNEMI3D, parser, report, snemi3d

import napari_dtn as dtn
from napari_dtn.predict import Predictor
from napari_dtn.session import ClickSession
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.session.growing import Grown
from napari_dtn.session.prompts import Prompt
from napari_dtn.settings import ClickSettings
from napari_dtn.volume.opening import volume_from_array

if TYPE_CHECKING:
    from napari_dtn.volume.opening import Volume

DEEP, QUICK = 50, 12


def click(volume: Volume, boundaries: StoredBoundaries, at: tuple[int, int, int]) -> dict[str, Any]:
    """Click once in a new session, and let the object grow to its end."""
    session = ClickSession(volume, boundaries=boundaries, settings=ClickSettings(volume=True))
    began, seen = time.perf_counter(), []
    for step in session.steps(Prompt((at,), True)):
        if isinstance(step, Grown):
            seen.append(time.perf_counter() - began)
    assert session.mask is not None
    depth = len(session.mask.slices)
    session.close()
    return {"slices": depth, "first mask, s": round(seen[0], 2), "last mask, s": round(seen[-1], 2)}


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
    predictor = Predictor.of(dtn.load_model(options.model), volume)
    boundaries = StoredBoundaries(np.stack([predictor.predict(z)[0] for z in range(deep)]), volume.shape)
    objects = [*targets(labels[FIRST:], 3)][:: 80 if options.quick else options.every]
    rows = []
    for target in objects:
        z, y, x = interior(target.inside, target.origin)
        rows.append(click(volume, boundaries, (z + deep - (len(image) - FIRST), y, x)))
    last = np.array([row["last mask, s"] for row in rows])
    rows.append({"slices": "median", "first mask, s": "", "last mask, s": round(float(np.median(last)), 2)})
    rows.append(
        {"slices": "95 %", "first mask, s": "", "last mask, s": round(float(np.percentile(last, 95)), 2)}
    )
    report(rows, options)


if __name__ == "__main__":
    main()
