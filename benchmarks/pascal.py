"""PASCAL VOC 2012: the paper's Table 1 (scores) and Figure 2 (panels), 21 classes at 256 x 256."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import common
import numpy as np
import runs
from experiments import PASCAL, Experiment

from napari_dtn.classify import classify
from napari_dtn.evaluate import class_scores
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.pictures import save_panels
from napari_dtn.train import train
from napari_dtn.train.voc import VocData
from napari_dtn.voc import coloured

if TYPE_CHECKING:
    import argparse

    from napari_dtn.nn.checkpoint import Model

Rows = list[dict[str, Any]]
_PRINTED = {  # in the paper's Table 1
    "unet": {"loss": 0.9396, "accuracy": 0.8117, "mean_iou": 0.4145},
    "dtn": {"loss": 0.7909, "accuracy": 0.8367, "mean_iou": 0.5297},
}
_TIMED_STEPS, _SHOWN = 16, 5
NOT_RUN = "not run"


def table1(options: argparse.Namespace) -> Rows:
    """Loss, accuracy and mean IoU of both networks; with ``--quick`` only how long that would take."""
    return [_row(experiment, VocData.of(options.voc), options) for experiment in PASCAL]


def _row(experiment: Experiment, data: VocData, options: argparse.Namespace) -> dict[str, Any]:
    printed = {f"paper, {name}": value for name, value in _PRINTED[experiment.name].items()}
    ours = dict.fromkeys(_PRINTED[experiment.name], NOT_RUN)
    if not options.quick:
        scores = _result(experiment, data, options)
        ours = {name: scores[name] for name in ours}
    hours = _hours(experiment, data, options.seed) if options.quick else ""
    return {"model": experiment.idea, **printed, **ours, "expected hours": hours}


def _result(experiment: Experiment, data: VocData, options: argparse.Namespace) -> dict[str, Any]:
    model = load_model(_trained(experiment, data, options), options.device)
    pairs = ((one.probability, one.truth) for one in classify(model, data.folder, data.val))
    row = {"name": experiment.name, "seed": options.seed, **class_scores(pairs, model.card.class_names)}
    path = runs.RESULTS / "table1" / f"{experiment.name}-seed{options.seed}.json"
    common.write(path, common.result([row], options.seed))
    return row


def _trained(experiment: Experiment, data: VocData, options: argparse.Namespace) -> Path:
    path, experiment = runs.place_of("table1", experiment, options)
    if not path.exists():
        runs.train_model(path, experiment, options.seed, data)
    return path


def _hours(experiment: Experiment, data: VocData, seed: int) -> float:
    """Time some steps, and say what all of them would take on this machine, if all went as the median."""
    settings = replace(experiment.training, iterations=_TIMED_STEPS, validate_every=_TIMED_STEPS, seed=seed)
    with TemporaryDirectory() as folder:
        steps = train(data, Path(folder) / "timed.safetensors", network=experiment.network, settings=settings)
        ends = [time.monotonic() for _ in steps]
    between = np.diff(ends[:-1])  # the last step validates too
    return float(np.median(between)) * experiment.training.iterations / 3600


def figure2(options: argparse.Namespace) -> Rows:
    """Image, truth, U-Net and DTN side by side, of the first images of VOC's val list."""
    data, names = VocData.of(options.voc), ("U-Net", "DTN")
    models = [load_model(_trained(e, data, options), options.device) for e in PASCAL]
    path = runs.RUNS / "figure2.png"
    save_panels(path, _panels(dict(zip(names, models, strict=True)), data))
    return [{"figure": str(path), "images": ", ".join(data.val[:_SHOWN])}]


def _panels(models: dict[str, Model], data: VocData) -> list[dict[str, Any]]:
    found = {name: list(classify(model, data.folder, data.val[:_SHOWN])) for name, model in models.items()}
    first = next(iter(found.values()))
    return [
        {
            "image": one.image,
            "truth": coloured(one.truth),
            **{name: coloured(all_[number].classes) for name, all_ in found.items()},
        }
        for number, one in enumerate(first)
    ]
