"""What undo without end costs: 100 edits of neurites that run through a volume of 100 x 1024 x 1024.

    python benchmarks/undo.py [--quick] [--json PATH] [--seed N]

Objects of the phantom, repeated to run through all slices, are kept one after the other; others are merged,
split, smoothed, filled, painted on and deleted in between, as in proofreading. Then everything is undone and
redone. Goal: the journal on disk, and the memory that the process gains, both below 100 MB for 100 edits.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from common import parser, report
from scipy.ndimage import find_objects

from napari_dtn.phantom import make_phantom
from napari_dtn.segment.patches import patch_between
from napari_dtn.session import ClickSession, Mask
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.volume.opening import volume_from_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

FULL, QUICK = ((100, 1024, 1024), 100), ((100, 1024, 1024), 10)
SMALLEST = 20_000  # voxels of the phantom
BRUSH = 20  # pixels, its radius


def neurites(shape: tuple[int, int, int], rng: np.random.Generator) -> Iterator[Mask]:
    """Yield objects that run through all slices, some of them over each other."""
    labels = make_phantom().labels
    _, height, width = labels.shape
    boxes = find_objects(labels.astype(np.int32))
    large = [n for n, size in enumerate(np.bincount(labels.ravel())) if n and size > SMALLEST]
    for number in cycle(rng.permutation(large).tolist()):
        _, y, x = boxes[number - 1]
        inside = np.resize(labels[:, y, x] == number, (shape[0], y.stop - y.start, x.stop - x.start))
        top, left = rng.integers(0, (shape[1] - height + 1, shape[2] - width + 1))
        yield Mask.around(shape, (0, int(top) + y.start, int(left) + x.start), inside)


def edits(session: ClickSession, rng: np.random.Generator) -> Iterator[Callable[[], Any]]:
    """Yield edits, half of them objects that are kept."""
    objects, masks = session.objects, neurites(session.volume.shape, rng)

    def some() -> int:
        return int(rng.choice([one.id for one in objects.all()]))

    def keep() -> None:
        objects.paint(next(masks), objects.fresh, "cut", [])

    def halve() -> None:
        number = some()
        mask = objects.mask_of(number)
        first = mask.inside.copy()
        first[:, first.shape[1] // 2 :] = False
        objects.split(number, Mask(mask.shape, mask.origin, first))

    def paint() -> None:
        objects.record("a stroke", [stroke(session.labels, rng)])

    others = cycle(
        [
            lambda: objects.merge(sorted({some(), objects.all()[0].id, objects.all()[-1].id})),
            halve,
            lambda: objects.smooth(some()),
            lambda: objects.fill_holes(some()),
            paint,
            lambda: objects.delete(some()),
        ]
    )
    yield keep
    yield keep
    for other in others:
        yield other
        yield keep


def stroke(labels: Any, rng: np.random.Generator) -> Any:
    """Return a spot of a brush."""
    z, y, x = (int(one) for one in rng.integers(np.subtract(labels.shape, (0, 2 * BRUSH, 2 * BRUSH))))
    before = np.asarray(labels[z, y : y + 2 * BRUSH, x : x + 2 * BRUSH])
    rows, columns = np.ogrid[-BRUSH:BRUSH, -BRUSH:BRUSH]
    spot: NDArray[np.bool_] = rows**2 + columns**2 < BRUSH**2
    return patch_between(z, (y, x), before, np.where(spot, np.uint32(999_999), before))


def measure(shape: tuple[int, int, int], count: int, seed: int = 0) -> dict[str, Any]:
    """Make edits, undo and redo them, and return what that took."""
    nothing = np.broadcast_to(np.zeros((), np.uint8), shape)
    with tempfile.TemporaryDirectory() as folder:
        volume = volume_from_array(nothing, (30, 6, 6))
        session = ClickSession(volume, boundaries=StoredBoundaries(nothing, shape), folder=folder)
        asked = edits(session, np.random.default_rng(seed))
        next(asked)()  # what is loaded and made once
        history = session.objects.history
        process = psutil.Process()
        before, peak, seconds = process.memory_info().rss, 0, []
        for do, end in ((lambda: next(asked)(), 1 + count), (session.undo, 1), (session.redo, 1 + count)):
            start = time.perf_counter()
            while history.position != end:  # some edits find nothing to change
                do()
                peak = max(peak, process.memory_info().rss)
            seconds.append(time.perf_counter() - start)
        journal = sum(file.stat().st_size for file in Path(folder).glob("journal.sqlite*"))
        voxels = sum(one.voxels for one in session.objects.all())
        session.leave()
    done, undone, redone = (round(1e3 * one / count) for one in seconds)
    return {
        "volume": " x ".join(map(str, shape)),
        "edits": count,
        "voxels in objects": voxels,
        "journal, MB": round(journal / 1e6, 1),
        "memory gained, MB": round((peak - before) / 1e6, 1),
        "edit, ms": done,
        "undo, ms": undone,
        "redo, ms": redone,
    }


def main() -> None:
    """Measure, and print the row."""
    options = parser(__doc__).parse_args()
    report([measure(*(QUICK if options.quick else FULL), options.seed)], options)


if __name__ == "__main__":
    main()
