"""Clicks until an object is right: a simulated annotator on SNEMI3D, z 80-99.

    python benchmarks/clicks.py [--quick] [--json PATH] [--seed N] [--data FOLDER] [--journal FILE]

Every connected component of every neurite is an object: those larger than 500 pixels in a slice, and those
larger than 5,000 voxels in the 20 slices. The annotator clicks the most interior point of the object; then,
as long as the IoU is below 0.90, the most interior point of the largest error: inside of the object to add,
outside to exclude. Pixels whose truth is 0 (membrane, extracellular space) do not count. An object that 20
clicks do not solve counts as 20. Rows: the bundled model's boundaries, and on the same objects the
magnitude of the Gaussian gradient, and a random forest over scikit-image's multiscale features that was
trained on slices of z 0-79; what joins fragments is the same for all of them. Goals for the model: 1.5
clicks on average in a slice, 3 through the slices. Milliseconds are from a click to its mask: of the second
and later clicks on an object, where fragments and links are in memory (goal in a slice: a 95th percentile
of 100), and of first clicks, most of which find them missing. In the row "predicted", every object is the
first of its session: its first click waits for the model too (goal: 1,500).

With --quick, the model alone. All objects take hours, most of them those through the slices on the gradient,
where nearly everything becomes one object. With --journal every object is noted as soon as it is solved; the
same call goes on where an earlier one was stopped.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import SNEMI3D, parser, report, snemi3d
from scipy.ndimage import distance_transform_edt, find_objects, gaussian_gradient_magnitude, label

import napari_dtn as dtn
from napari_dtn.predict import Predictor
from napari_dtn.session import ClickSession, Mask
from napari_dtn.session.boundaries import PredictedBoundaries, StoredBoundaries
from napari_dtn.settings import ClickSettings
from napari_dtn.volume.opening import Volume, volume_from_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FIRST, LAST = 80, 100
SMALLEST = {2: 500, 3: 5000}
ENOUGH, MOST_CLICKS = 0.90, 20
VOXEL = (30.0, 6.0, 6.0)
TRAINED_ON = range(4, 80, 10)
PIXELS = 20_000  # of each slice that the forest is trained on
FEWER = 20  # one object in so many waits for the model
NEWS = 30.0  # seconds between two lines of progress


@dataclass(frozen=True, eq=False)
class Target:
    """An object to be clicked.

    Parameters
    ----------
    dimensions
        2 or 3.
    origin
        First voxel of its box, (z, y, x).
    inside
        The box: where it is.
    """

    dimensions: int
    origin: tuple[int, int, int]
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class Solved:
    """How an object went: clicks that it took, seconds of each."""

    dimensions: int
    clicks: int
    solved: bool
    seconds: tuple[float, ...]


def targets(truth: NDArray[Any], dimensions: int) -> Iterator[Target]:
    """Yield the objects of some slices, (Z, Y, X)."""
    parts = [truth] if dimensions == 3 else [truth[z : z + 1] for z in range(len(truth))]
    for first, part in enumerate(parts):
        for number, box in enumerate(find_objects(part.astype(np.int32)), 1):
            if box is not None:
                yield from _components(part[box] == number, box, dimensions, first)


def _components(
    there: NDArray[np.bool_], box: tuple[slice, ...], dimensions: int, first: int
) -> Iterator[Target]:
    components, _ = label(there)
    for one, place in enumerate(find_objects(components), 1):
        inside = components[place] == one
        if inside.sum() > SMALLEST[dimensions]:
            z, y, x = (a.start + b.start for a, b in zip(box, place, strict=True))
            yield Target(dimensions, (z + first, y, x), inside)


def annotate(session: ClickSession, target: Target, truth: NDArray[Any], offset: int = 0) -> Solved:
    """Click until the object is right.

    Parameters
    ----------
    session
        Of a volume whose slice ``offset`` is the truth's first.
    target
        The object.
    truth
        Ids, (Z, Y, X).
    offset
        Slices before the truth.
    """
    at, positive, seconds = interior(target.inside, target.origin), True, []
    for _ in range(MOST_CLICKS):
        z, y, x = at
        start = time.perf_counter()
        mask = session.click((z + offset, y, x), positive)
        seconds.append(time.perf_counter() - start)
        found = compare(mask, target, truth, offset)
        if found.iou >= ENOUGH:
            break
        at, positive = found.at, found.positive
    session.drop()
    solved = found.iou >= ENOUGH
    return Solved(target.dimensions, len(seconds), solved, tuple(seconds))


@dataclass(frozen=True)
class Comparison:
    """Mask against object: IoU, and where the next click goes."""

    iou: float
    at: tuple[int, int, int]
    positive: bool


def compare(mask: Mask, target: Target, truth: NDArray[Any], offset: int) -> Comparison:
    """Compare where the truth is not 0; the next click is inside of the largest error."""
    boxes = [
        mask.box,
        tuple(slice(a, a + n) for a, n in zip(target.origin, target.inside.shape, strict=True)),
    ]
    boxes[0] = (slice(boxes[0][0].start - offset, boxes[0][0].stop - offset), *boxes[0][1:])
    box = tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(*boxes, strict=True))
    found, wanted = (np.zeros([one.stop - one.start for one in box], bool) for _ in range(2))
    for out, place, values in ((found, boxes[0], mask.inside), (wanted, boxes[1], target.inside)):
        out[tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(place, box, strict=True))] = (
            values
        )
    found &= truth[box] != 0
    iou = float((found & wanted).sum() / (found | wanted).sum())
    errors = [_largest(wanted & ~found), _largest(found & ~wanted)]
    positive = errors[0].sum() >= errors[1].sum()
    at = interior(errors[0 if positive else 1], tuple(one.start for one in box))
    return Comparison(iou, at, bool(positive))


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    components, count = label(mask)
    sizes = np.bincount(components.ravel())[1:]
    return components == 1 + int(sizes.argmax()) if count else mask


def interior(mask: NDArray[np.bool_], origin: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the voxel of a mask that is farthest from its outside."""
    if not mask.any():
        return origin  # nothing is wrong: never clicked
    padded = np.pad(mask, [(0, 0) if mask.shape[0] == 1 else (1, 1), (1, 1), (1, 1)])
    distance = distance_transform_edt(padded, sampling=VOXEL)
    place = np.unravel_index(int(distance.argmax()), padded.shape)
    margin = (0 if mask.shape[0] == 1 else 1, 1, 1)
    z, y, x = (int(p) - m + o for p, m, o in zip(place, margin, origin, strict=True))
    return z, y, x


# ---- boundaries


def of_the_model(image: NDArray[Any], model: str, seed: int) -> NDArray[np.float32]:
    """Predict z 80-99, (Z, Y, X)."""
    predictor = Predictor.of(dtn.load_model(model), volume_from_array(image, VOXEL))
    return np.stack([predictor.predict(z)[0] for z in range(FIRST, LAST)])


def of_the_gradient(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return the magnitude of the Gaussian gradient of z 80-99, 1 at its 99th percentile."""
    planes = [gaussian_gradient_magnitude(plane.astype(np.float32), 2.0) for plane in image[FIRST:LAST]]
    stack = np.stack(planes)
    return np.clip(stack / np.percentile(stack, 99), 0, 1).astype(np.float32)


def of_the_forest(image: NDArray[Any], labels: NDArray[Any], seed: int) -> NDArray[np.float32]:
    """Train a random forest over multiscale features on z 0-79, and let it predict z 80-99."""
    from sklearn.ensemble import RandomForestClassifier

    from napari_dtn.metrics import boundary_target

    rng = np.random.default_rng(seed)
    columns, wanted = [], []
    for z in TRAINED_ON:
        chosen = rng.choice(image[z].size, PIXELS, replace=False)
        columns.append(_features(image[z])[chosen])
        wanted.append(boundary_target(labels[z : z + 1]).ravel()[chosen])
    forest = RandomForestClassifier(100, min_samples_leaf=10, n_jobs=-1, random_state=seed)
    forest.fit(np.concatenate(columns), np.concatenate(wanted))
    planes = [
        forest.predict_proba(_features(plane))[:, 1].reshape(plane.shape) for plane in image[FIRST:LAST]
    ]
    return np.stack(planes).astype(np.float32)


def _features(plane: NDArray[Any]) -> NDArray[np.float32]:
    from skimage.feature import multiscale_basic_features

    features = multiscale_basic_features(plane, sigma_min=1, sigma_max=8)
    return np.asarray(features.reshape(plane.size, -1), np.float32)


# ---- rows


def clicked(
    volume: Volume, boundary: NDArray[np.float32], truth: NDArray[Any], wanted: list[Target]
) -> Iterator[Solved]:
    """Let the annotator go through some objects."""
    stored = StoredBoundaries(boundary, volume.shape, (FIRST, 0, 0))
    for dimensions in (2, 3):
        session = ClickSession(volume, boundaries=stored, settings=ClickSettings(volume=dimensions == 3))
        for target in (one for one in wanted if one.dimensions == dimensions):
            yield annotate(session, target, truth, FIRST)
        session.close()


def clicked_unprepared(
    volume: Volume, model: str, truth: NDArray[Any], wanted: list[Target]
) -> Iterator[Solved]:
    """Let the annotator go through some objects, for each of which boundaries are predicted anew."""
    predictor = Predictor.of(dtn.load_model(model), volume)
    predictor.predict(0, slice(0, 512), slice(0, 512))  # what is loaded once
    for target in wanted:
        boundaries = PredictedBoundaries(lambda: predictor, volume.shape)
        session = ClickSession(volume, boundaries=boundaries)
        yield annotate(session, target, truth, FIRST)
        session.close()


class Journal:
    """Objects that were solved, by what boundaries: in a file, unless it has no path.

    Parameters
    ----------
    path
        A line for each object, as JSON; what is there already is not done again.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._solved: dict[str, list[Solved]] = defaultdict(list)
        for line in path.read_text().splitlines() if path and path.exists() else ():
            values = json.loads(line)
            name = values.pop("boundaries")
            self._solved[name].append(Solved(**{**values, "seconds": tuple(values["seconds"])}))

    def done(self, name: str) -> int:
        """Return how many objects are solved."""
        return len(self._solved[name])

    def all_of(self, name: str, total: int, solving: Iterator[Solved]) -> list[Solved]:
        """Note objects as they are solved, tell how far it is, and return them with those of before."""
        told = time.monotonic()
        for one in solving:
            self._solved[name].append(one)
            if self._path:
                with self._path.open("a") as file:
                    print(json.dumps({"boundaries": name, **asdict(one)}), file=file)
            if time.monotonic() - told > NEWS:
                told = time.monotonic()
                print(f"{name}: {self.done(name)} of {total} objects", file=sys.stderr)
        return self._solved[name]


def rows_of(name: str, solved: list[Solved]) -> list[dict[str, Any]]:
    """Return a row for objects in a slice, and one for objects through the slices."""
    rows = []
    for dimensions in sorted({one.dimensions for one in solved}):
        those = [one for one in solved if one.dimensions == dimensions]
        clicks = np.array([one.clicks for one in those])
        later = [second for one in those for second in one.seconds[1:]]
        rows.append(
            {
                "boundaries": name,
                "dimensions": dimensions,
                "objects": len(those),
                "mean clicks": float(clicks.mean()),
                "median clicks": float(np.median(clicks)),
                "solved in one": float(np.mean([one.solved and one.clicks == 1 for one in those])),
                "failed": float(np.mean([not one.solved for one in those])),
                "p95 first, ms": round(1e3 * float(np.percentile([one.seconds[0] for one in those], 95))),
                "p95 later, ms": round(1e3 * float(np.percentile(later or [0], 95))),
            }
        )
    return rows


def main() -> None:
    """Click, and print the rows."""
    made = parser(__doc__)
    made.add_argument("--data", type=Path, default=SNEMI3D, help="folder of SNEMI3D")
    made.add_argument("--model", default="dtn-snemi3d", help="bundled name or file")
    made.add_argument(
        "--every",
        type=int,
        nargs="+",
        default=[1],
        metavar="N",
        help="take every Nth object alone; a second number for those through the slices",
    )
    made.add_argument(
        "--only",
        nargs="*",
        help="these boundaries alone: model, predicted, gradient, forest",
    )
    made.add_argument("--journal", type=Path, help="note every object here, and go on from what is noted")
    options = made.parse_args()
    image, labels = snemi3d(options.data)
    truth = labels[FIRST:LAST]
    every = [40] if options.quick else options.every
    flat = [*targets(truth, 2)][:: every[0]]
    wanted = flat + [*targets(truth, 3)][:: every[-1]]
    volume = volume_from_array(image, VOXEL, "SNEMI3D")
    makers = {
        "model": lambda: of_the_model(image, options.model, options.seed),
        "gradient": lambda: of_the_gradient(image),
        "forest": lambda: of_the_forest(image, labels, options.seed),
    }
    rows, journal = [], Journal(options.journal)
    for name in options.only or ["model", "predicted", *([] if options.quick else ["gradient", "forest"])]:
        mine = flat[::FEWER] if name == "predicted" else wanted
        left = mine[journal.done(name) :]
        if name == "predicted":
            solving = clicked_unprepared(volume, options.model, truth, left)
        else:
            solving = clicked(volume, makers[name](), truth, left) if left else iter(())
        rows += rows_of(name, journal.all_of(name, len(mine), solving))
    report(rows, options)


if __name__ == "__main__":
    main()
