"""Train an experiment, score it on the slices that it was not trained on, and keep the result as JSON."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import common
import numpy as np
from experiments import TEST, Experiment

from napari_dtn.metrics import BOUNDARY_RULE, BoundaryHistogram, boundary_target
from napari_dtn.nn.checkpoint import Model, load_model
from napari_dtn.patches import TrainingVolume
from napari_dtn.predict import Predictor, as_uint8
from napari_dtn.settings import PredictSettings
from napari_dtn.train import TrainingData, TrainingSource, train
from napari_dtn.volume.intensity import estimate_intensity
from napari_dtn.volume.opening import Volume, volume_from_array

RUNS, RESULTS = Path("runs/paper"), Path("benchmarks/results/paper")
SCORED = PredictSettings(overlap=24)  # the same for every run, whatever the product's default becomes
_CURVE = 200  # points kept of a ROC curve


@cache
def volume_and_labels(folder: Path) -> tuple[Volume, np.ndarray]:
    """Read SNEMI3D once."""
    image, labels = common.snemi3d(folder)
    return volume_from_array(image, (30, 6, 6), "SNEMI3D (AC4), train-input.tif"), labels


def result_of(part: str, experiment: Experiment, seed: int, options: Any) -> dict[str, Any]:
    """Return the row of one run: from its JSON where there is one, else after training it."""
    path = RESULTS / part / f"{experiment.name}-seed{seed}.json"
    if path.exists() and not options.quick:
        row: dict[str, Any] = json.loads(path.read_text())["rows"][0]
        return row
    if options.quick:  # nothing of it may be taken for a result
        with TemporaryDirectory() as folder:
            return _run(Path(folder) / "quick.safetensors", shortened(experiment), seed, options)
    row = _run(weights_of(part, experiment.name, seed), experiment, seed, options)
    common.write(path, common.result([row], seed))
    return row


def results_of(wanted: list[tuple[str, Experiment, int, Any]], jobs: int) -> list[dict[str, Any]]:
    """Return the rows of several runs, made by so many processes: a GPU has room for many small networks."""
    if jobs == 1:
        return [result_of(*one) for one in wanted]
    with get_context("spawn").Pool(jobs) as pool:
        return pool.starmap(result_of, wanted, chunksize=1)


def known_results(part: str, experiments: tuple[Experiment, ...]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of all runs that have ended, by the name of their experiment."""
    files = {e.name: sorted((RESULTS / part).glob(f"{e.name}-seed[0-9]*.json")) for e in experiments}
    return {name: [json.loads(f.read_text())["rows"][0] for f in found] for name, found in files.items()}


def trained(part: str, experiment: Experiment, options: Any) -> Path:
    """Return the weights of one run, trained if need be: a result that is known may come from elsewhere."""
    path, experiment = place_of(part, experiment, options)
    return _trained_into(path, experiment, options.seed, options.data)


def place_of(part: str, experiment: Experiment, options: Any) -> tuple[Path, Experiment]:
    """Return where the weights of a run are, and what is trained into it: for a quick one, something tiny."""
    path = weights_of(part, experiment.name, options.seed)
    if options.quick and not path.exists():
        return weights_of(f"quick/{part}", experiment.name, options.seed), shortened(experiment)
    return path, experiment


def weights_of(part: str, name: str, seed: int) -> Path:
    """Return the file that the weights of one run are kept in."""
    return RUNS / part / f"{name}-seed{seed}.safetensors"


def _trained_into(path: Path, experiment: Experiment, seed: int, data: Path) -> Path:
    if not path.exists():
        start = _start_beside(path, experiment, seed, data)
        volume, labels = volume_and_labels(data)
        train_model(path, experiment, seed, _snemi3d(volume, labels, experiment.train_z), start)
    return path


def _start_beside(path: Path, experiment: Experiment, seed: int, data: Path) -> Model | None:
    """What an experiment goes on from, trained if need be, in the same folder."""
    if experiment.start is None:
        return None
    place = path.with_name(weights_of("", experiment.start.name, seed).name)
    return load_model(_trained_into(place, experiment.start, seed, data))


def _run(path: Path, experiment: Experiment, seed: int, options: Any) -> dict[str, Any]:
    volume, labels = volume_and_labels(options.data)
    model = load_model(_trained_into(path, experiment, seed, options.data))
    histogram, seconds = score(model, volume, labels, tested(options))
    warp = model.card.scores["validation"]["warp"] if "validation" in model.card.scores else {}
    return {
        "name": experiment.name,
        "idea": experiment.idea,
        "seed": seed,
        "iterations": model.card.training["iterations"],
        **asdict(histogram.scores()),
        "warp": warp,
        "parameters": sum(weight.numel() for weight in model.network.parameters()),
        "s_per_slice": seconds,
        "data": f"SNEMI3D, trained on {_slices(experiment.train_z)}, scored on {_slices(TEST)}",
        "rule": BOUNDARY_RULE,
        "network": asdict(model.card.network),
        "training": model.card.training["settings"],
        "roc": _thinned(*histogram.roc()),
    }


def tested(options: Any) -> range:
    """Return the slices that models are scored on: one of them for a quick run."""
    return TEST[:1] if options.quick else TEST


def _slices(which: range) -> str:
    return f"z {which.start}-{which.stop - 1}"


def shortened(experiment: Experiment) -> Experiment:
    """Return an experiment that takes seconds, and says nothing."""
    return replace(
        experiment,
        network=replace(experiment.network, base_channels=4),
        training=replace(experiment.training, iterations=4, patch_size=64, validate_every=4),
        start=shortened(experiment.start) if experiment.start else None,
    )


def _snemi3d(volume: Volume, labels: np.ndarray, train_z: range) -> TrainingData:
    known = TrainingVolume(volume.data.compute(), labels, "ids", estimate_intensity(volume))
    return TrainingData(known, train_z, TEST, volume.name, volume.voxel_size)


def train_model(
    path: Path, experiment: Experiment, seed: int, data: TrainingSource, start: Model | None = None
) -> float:
    """Train into a file, or go on where an earlier run ended; return the seconds that it took."""
    settings = replace(experiment.training, seed=seed)
    began = time.monotonic()
    steps = train(
        data, path, network=experiment.network, settings=settings, start=start, resume=True, overwrite=True
    )
    for event in steps:
        if event.iteration % 100 == 0 or event.validation:
            score = f", score {event.validation.score:.4f}" if event.validation else ""
            print(
                f"{path.stem}: {event.iteration} of {event.iterations}, loss {event.loss:.3f}, "
                f"{event.eta / 60:.0f} min left{score}",
                file=sys.stderr,
                flush=True,
            )
    seconds = time.monotonic() - began
    print(f"{path.stem}: trained in {seconds / 60:.0f} min", file=sys.stderr)
    return seconds


def score(
    model: Model, volume: Volume, labels: np.ndarray, slices: range, settings: PredictSettings | None = None
) -> tuple[BoundaryHistogram, float]:
    """Predict slices as the product does, and count them; also the median seconds a slice."""
    predictor = Predictor.of(model, volume, settings or SCORED)
    histogram, seconds = BoundaryHistogram(np.uint8), []
    for z in slices:
        began = time.perf_counter()
        probability = predictor.predict(z)[0]
        seconds.append(time.perf_counter() - began)
        histogram.add(as_uint8(probability), boundary_target(labels[z]))
    return histogram, float(np.median(seconds))


def _thinned(false_rate: np.ndarray, true_rate: np.ndarray) -> list[list[float]]:
    """A ROC curve as points (false positive rate, true positive rate), few enough for a file."""
    keep = np.unique(np.linspace(0, len(false_rate) - 1, _CURVE).astype(int))
    return [
        [round(float(a), 5), round(float(b), 5)]
        for a, b in zip(false_rate[keep], true_rate[keep], strict=True)
    ]
