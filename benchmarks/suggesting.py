"""Suggested patches against random ones: how many strokes a model needs to become as good.

    python benchmarks/suggesting.py

ISBI 2012, from dtn-snemi3d. In every round two patches of z 0-23 are annotated, a stroke along a membrane
and one inside a neurite in each, and the model is taught anew by all strokes so far; z 24-29 score it by the
rule of what a boundary is. The patches are those that the product suggests, by the model of the round before,
or random ones. Rounds that have ended are kept in runs/suggesting, and not run again. "AUC of all" is the
best that both ways reach.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import common
import isbi
import numpy as np
import strokes

from napari_dtn.annotate.ranking import LOOKS, PATCH
from napari_dtn.annotate.regions import Region, find_regions
from napari_dtn.nn.checkpoint import Model, load_model
from napari_dtn.predict import Predictor
from napari_dtn.settings import FineTuneSettings
from napari_dtn.teach.data import TeachData
from napari_dtn.teach.finetune import TeachRequest, finetune
from napari_dtn.teach.uncertainty import suggest
from napari_dtn.volume.intensity import estimate_intensity

RUNS = Path("runs/suggesting")
Place = tuple[int, slice, slice]
Curve = list[tuple[int, float]]  # strokes, and the AUC after them


@dataclass
class Annotator:
    """Who annotates patches, and what is annotated so far."""

    images: np.ndarray
    ids: np.ndarray
    seed: int

    def __post_init__(self) -> None:
        self.annotation = np.zeros(self.images.shape, np.uint8)
        self.patches = 0

    def annotate(self, place: Place) -> None:
        """Paint a pair of strokes within a patch."""
        z, y, x = place
        seed = 1000 * self.seed + self.patches
        pair = strokes.paint(self.ids[z : z + 1, y, x], [0], 2, seed)[0]
        window = self.annotation[z, y, x]
        window[pair > 0] = pair[pair > 0]
        self.patches += 1

    @property
    def regions(self) -> list[Region]:
        """What is annotated."""
        return [region for z, plane in enumerate(self.annotation) for region in find_regions(plane, z, 2)]


Choose = Callable[[Model, Annotator, Any], list[Place]]


def at_random(model: Model, annotator: Annotator, options: Any) -> list[Place]:
    """Choose patches anywhere."""
    random = np.random.default_rng((annotator.seed, annotator.patches))
    depth, height, width = annotator.images.shape
    corners = random.integers((depth, height - PATCH + 1, width - PATCH + 1), size=(options.patches, 3))
    return [(int(z), slice(y, y + PATCH), slice(x, x + PATCH)) for z, y, x in corners.tolist()]


def suggested(model: Model, annotator: Annotator, options: Any) -> list[Place]:
    """Choose the patches that the product suggests."""
    predictor = Predictor.of(model, isbi.volume_of(annotator.images))
    *_, last = suggest(predictor, annotator.regions, options.patches, options.looks)
    return [(one.z, one.y, one.x) for one in last.suggestions]


WAYS: dict[str, Choose] = {"random": at_random, "suggested": suggested}


def taught(parent: Model, annotator: Annotator, options: Any) -> Model:
    """Teach a model all strokes; nothing is held back, so that each of them counts."""
    data = TeachData(annotator.images, annotator.annotation, estimate_intensity(annotator.images))
    settings = FineTuneSettings(
        minutes=1e4, iterations=options.steps, batch_size=options.batch, seed=annotator.seed
    )
    with TemporaryDirectory() as folder:
        run = finetune(TeachRequest(parent, data, Path(folder) / "run", settings))
        for _ in run.events():
            pass
        return run.best()


def rounds(way: str, seed: int, options: Any) -> list[dict[str, Any]]:
    """Return what every round of a way came to; those that have not ended are run."""
    file = RUNS / f"{way}-{seed}-{options.patches}x{options.steps}x{options.batch}.json"
    done: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() and not options.quick else []
    for row in _run(way, seed, done, options):
        done.append(row)
        print(
            f"{way}, seed {seed}: {row['strokes']} strokes, {row['roc_auc']:.4f}", file=sys.stderr, flush=True
        )
        if not options.quick:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(done, indent=1))
    return done


def _run(way: str, seed: int, done: list[dict[str, Any]], options: Any) -> Iterator[dict[str, Any]]:
    images, ids = isbi.read(options)
    parent = model = load_model(options.model)
    shown = slice(isbi.TAUGHT.start, isbi.TAUGHT.stop)
    annotator = Annotator(images[shown], ids[shown], seed)
    for place in (place for row in done for place in row["patches"]):
        annotator.annotate(_place(*place))
    if done and len(done) < options.rounds and way != "random":
        model = taught(parent, annotator, options)
    for _ in range(len(done), options.rounds):
        places = WAYS[way](model, annotator, options)
        for place in places:
            annotator.annotate(place)
        model = taught(parent, annotator, options)
        yield {
            "way": way,
            "seed": seed,
            "strokes": 2 * annotator.patches,
            "pixels": int(np.count_nonzero(annotator.annotation)),
            "roc_auc": isbi.score(model, images, ids).roc_auc,
            "patches": [[z, y.start, x.start] for z, y, x in places],
        }


def _place(z: int, y: int, x: int) -> Place:
    return z, slice(y, y + PATCH), slice(x, x + PATCH)


def needed(curve: Curve, wanted: float) -> float:
    """Return the strokes after which a curve first reaches an AUC; infinite where it does not."""
    for (before, low), (after, high) in pairwise(curve):
        if high >= wanted:
            return before + (after - before) * max((wanted - low) / (high - low), 0.0)
    return float("inf")


def compared(seed: str, curves: dict[str, Curve]) -> list[dict[str, Any]]:
    """Return a row for each way: its AUC by strokes, and the strokes to the best AUC that all reach."""
    wanted = min(max(auc for _, auc in curve) for curve in curves.values())
    strokes_to = {way: needed(curve, wanted) for way, curve in curves.items()}
    return [
        {
            "seed": seed,
            "way": way,
            **{f"AUC, {count}": auc for count, auc in curve},
            "AUC of all": wanted,
            "strokes to it": strokes_to[way],
            "fewer than random": 1 - strokes_to[way] / strokes_to["random"],
        }
        for way, curve in curves.items()
    ]


def curve_of(parent: float, rows: list[dict[str, Any]]) -> Curve:
    """Return AUC by strokes, from the model that nobody has taught."""
    return [(0, parent), *((row["strokes"], row["roc_auc"]) for row in rows)]


def mean(curves: list[Curve]) -> Curve:
    """Return the mean AUC of several seeds."""
    return [
        (points[0][0], float(np.mean([auc for _, auc in points]))) for points in zip(*curves, strict=True)
    ]


def main() -> None:
    """Run the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--data", type=Path, default=isbi.ISBI, help="folder of the TIFF files")
    parser.add_argument("--model", default="dtn-snemi3d")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--patches", type=int, default=2, help="annotated in a round, two strokes each")
    parser.add_argument("--looks", type=int, default=LOOKS, help="parts of slices that a suggestion looks at")
    parser.add_argument("--steps", type=int, default=0, help="of each training; 0 as the plan says")
    parser.add_argument("--batch", type=int, default=0, help="patches a step; 0 as the plan says")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.rounds, options.steps = [0], 1, 2
    parent = isbi.score(load_model(options.model), *isbi.read(options)).roc_auc
    curves = [{way: curve_of(parent, rounds(way, seed, options)) for way in WAYS} for seed in options.seeds]
    rows = [
        row for seed, ways in zip(options.seeds, curves, strict=True) for row in compared(str(seed), ways)
    ]
    rows += compared("mean", {way: mean([ways[way] for ways in curves]) for way in WAYS})
    common.report(rows, options)


if __name__ == "__main__":
    main()
