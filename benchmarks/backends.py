"""How fast each backend runs the bundled networks, what the warp costs in it, and what it changes.

    python benchmarks/backends.py [--quick] [--json PATH] [--backends NAME ...] [--slices N]

Every backend that is installed, in every precision that it has on this device, runs the DTN and the U-Net of
the same width, all in turns on the same tiles of SNEMI3D. Per row: the median milliseconds of a tile, how
many times faster than eager float32 (goal for the fastest DTN: 8), the DTN's time over the U-Net's (median of
the rounds' ratios; goals: 1.05 in eager and in training, 1.10 in the fastest backend), the largest difference
of a probability from eager float32, and the difference in ROC AUC on z 80-99 (goal: below 0.001). The last
row is a training step of both.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import common
import numpy as np
import torch

from napari_dtn.metrics import BoundaryHistogram, boundary_target
from napari_dtn.nn.backends import Runner, make_runner
from napari_dtn.nn.checkpoint import Model, load_model
from napari_dtn.nn.devices import resolve_device, resolve_precision
from napari_dtn.nn.dtn import build_network
from napari_dtn.nn.extras import is_installed
from napari_dtn.nn.optimise import Trainee
from napari_dtn.predict import Predictor, use_threads
from napari_dtn.predict.setting_up import sample_tiles
from napari_dtn.settings import Backend, Precision, PredictSettings, TrainSettings
from napari_dtn.volume.opening import volume_from_array

MODELS = {"DTN": "dtn-snemi3d", "U-Net": "unet-snemi3d"}
BACKENDS: tuple[Backend, ...] = ("eager", "compile", "openvino", "onnx")
QUICK_BACKENDS = ("eager", "openvino")  # the others take some seconds to half a minute to be ready
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
ROUNDS, QUICK_ROUNDS = 20, 3
SCORED = range(80, 100)


class Way(NamedTuple):
    """A way to run a network."""

    backend: Backend
    precision: Precision


REFERENCE = Way("eager", "float32")


def main() -> None:
    """Run the benchmark."""
    options = _options()
    use_threads(PredictSettings(threads=options.threads))
    image, labels = common.snemi3d(options.data)
    volume = volume_from_array(image, (30, 6, 6), "SNEMI3D")
    models = {kind: load_model(name, options.device) for kind, name in MODELS.items()}
    ways = list(_ways(models["DTN"], options))
    predictors = {
        kind: Predictor.of(model, volume, PredictSettings(backend="eager", precision="float32"))
        for kind, model in models.items()
    }
    tiles = sample_tiles(predictors["DTN"].source, predictors["DTN"].grid, len(image)).repeat(2, 1, 1, 1)
    runners = {
        (kind, way): make_runner(model, way.backend, way.precision, options.threads, len(tiles))
        for kind, model in models.items()
        for way in ways
    }
    seconds = _in_turns(
        {name: lambda run=run: run(tiles) for name, run in runners.items()},
        QUICK_ROUNDS if options.quick else ROUNDS,
    )
    areas = _areas(predictors["DTN"], {way: runners["DTN", way] for way in ways}, labels, options)
    rows = [_row(way, seconds, runners, areas, tiles) for way in ways]
    common.report([*rows, _training_row(models, options)], options)


def _options() -> argparse.Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--data", type=Path, default=common.SNEMI3D, help="folder of the SNEMI3D TIFF files")
    parser.add_argument("--backends", nargs="+", choices=BACKENDS)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--slices", type=int, help="score so many of z 80-99; 0 for none")
    options = parser.parse_args()
    options.backends = options.backends or (QUICK_BACKENDS if options.quick else BACKENDS)
    if options.slices is None:
        options.slices = 1 if options.quick else len(SCORED)
    return options


def _ways(model: Model, options: argparse.Namespace) -> Iterator[Way]:
    """Yield what is there on this device, the reference first."""
    yield REFERENCE
    exported = ("openvino", "onnx")
    for backend in options.backends:
        if not is_installed(backend) or (backend in exported and model.device.type != "cpu"):
            continue
        for precision in PRECISIONS:
            try:
                resolve_precision(precision, model.device, backend)
            except ValueError:
                continue
            if Way(backend, precision) != REFERENCE:
                yield Way(backend, precision)


def _in_turns(work: dict[Any, Callable[[], Any]], rounds: int) -> dict[Any, np.ndarray]:
    """Time each ``rounds`` times, by turns; the first two rounds warm up."""
    seconds: dict[Any, list[float]] = {name: [] for name in work}
    for number in range(rounds + 2):
        for name, run in work.items():
            began = time.perf_counter()
            run()
            if number >= 2:
                seconds[name].append(time.perf_counter() - began)
    return {name: np.array(values) for name, values in seconds.items()}


def _areas(
    predictor: Predictor, runners: dict[Way, Runner], labels: np.ndarray, options: argparse.Namespace
) -> dict[Way, float]:
    """Return each way's ROC AUC on the slices that no model was trained on."""
    if not options.slices:
        return {}
    areas = {}
    for way, runner in runners.items():
        scored, histogram = replace(predictor, runner=runner), BoundaryHistogram(np.float32)
        for z in SCORED[: options.slices]:
            histogram.add(scored.predict(z)[0], boundary_target(labels[z]))
        areas[way] = histogram.scores().roc_auc
    return areas


def _row(
    way: Way,
    seconds: dict[Any, np.ndarray],
    runners: dict[Any, Runner],
    areas: dict[Way, float],
    tiles: torch.Tensor,
) -> dict[str, Any]:
    took, reference = seconds["DTN", way], seconds["DTN", REFERENCE]
    difference = (runners["DTN", way](tiles) - runners["DTN", REFERENCE](tiles)).abs().max()
    return {
        "what": "prediction",
        "backend": way.backend,
        "precision": way.precision,
        "DTN ms/tile": 1e3 * float(np.median(took)) / len(tiles),
        "U-Net ms/tile": 1e3 * float(np.median(seconds["U-Net", way])) / len(tiles),
        "times eager float32": float(np.median(reference / took)),
        "DTN / U-Net": float(np.median(took / seconds["U-Net", way])),
        "max difference": float(difference),
        "AUC difference": f"{areas[way] - areas[REFERENCE]:+.6f}" if areas else "",
    }


def _training_row(models: dict[str, Model], options: argparse.Namespace) -> dict[str, Any]:
    """Time a training step of four patches."""
    device = resolve_device(options.device)
    precision = resolve_precision("auto", device)
    shape = models["DTN"].card.network
    side = models["DTN"].card.patch_size
    torch.manual_seed(options.seed)
    image = torch.randn(4, shape.input_maps, side, side, device=device)
    annotation = torch.randint(1, 3, (4, side, side), device=device)
    trainees = {
        kind: Trainee(build_network(model.card.network).to(device), TrainSettings(), precision == "bfloat16")
        for kind, model in models.items()
    }
    seconds = _in_turns(
        {kind: lambda t=trainee: float(t.step(0, image, annotation)) for kind, trainee in trainees.items()},
        QUICK_ROUNDS if options.quick else ROUNDS,
    )
    return {
        "what": "training step",
        "backend": "eager",
        "precision": precision,
        "DTN ms/tile": 1e3 * float(np.median(seconds["DTN"])) / len(image),
        "U-Net ms/tile": 1e3 * float(np.median(seconds["U-Net"])) / len(image),
        "times eager float32": "",
        "DTN / U-Net": float(np.median(seconds["DTN"] / seconds["U-Net"])),
        "max difference": "",
        "AUC difference": "",
    }


if __name__ == "__main__":
    main()
