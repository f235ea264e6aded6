"""What strokes teach: ISBI 2012 from dtn-snemi3d, beside training from scratch and a random forest.

    python benchmarks/finetune.py [--quick] [--json PATH] [--plot PATH] [--seeds 0 1 2] [--hold-out]
                                  [--device cuda]

Simulated strokes (benchmarks/strokes.py) on z 0-23 teach, z 24-29 score: the boundary's ROC AUC, by the rule
of what a boundary is. On the same strokes:

- `fine-tuned`: dtn-snemi3d, as the product teaches it, with its own plan; `--hold-out` holds regions out of
  the strokes to choose the best step by, as the panel does, otherwise all of them teach;
- `scratch`: the same network with random weights, as many steps as fit into the time that a run may take;
- `forest`: 100 trees on scikit-image's multiscale features, as users of ilastik, Labkit and convpaint have.

Beside them `untaught`, dtn-snemi3d as it is; `adapted`, the same after it got to know the volume, which needs
no stroke; and `all slices`: fine-tuned on all of z 0-23, every pixel annotated. The number of steps does not
depend on the machine unless `--minutes` ends a run. A row has the seconds of training and those of the
processor (all threads added up; three minutes on two cores are 360 at most). Runs that have ended are kept in
runs/finetune, and not run again; those of different methods, strokes or seeds may be made at the same time by
processes of their own. `--device` says where networks learn and predict: a GPU makes the steps of a
processor's plan, in the same precision, in less time (the forest stays on the processor).
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import common
import isbi
import numpy as np
import strokes
import torch

from napari_dtn.metrics import BOUNDARY_RULE, boundary_target
from napari_dtn.nn.checkpoint import Model, load_model
from napari_dtn.nn.devices import available_devices, describe_devices
from napari_dtn.nn.dtn import build_network
from napari_dtn.patches import BOUNDARY, INSIDE
from napari_dtn.settings import Device, FineTuneSettings, PredictSettings
from napari_dtn.teach.data import TeachData
from napari_dtn.teach.events import Stepped
from napari_dtn.teach.finetune import TeachRequest, adapted_to, finetune
from napari_dtn.teach.forgetting import phantom_auc
from napari_dtn.teach.planning import Amount, plan
from napari_dtn.teach.splitting import split
from napari_dtn.volume.intensity import estimate_intensity

RUNS = Path("runs/finetune")
PARENT = "dtn-snemi3d"
SCRATCH = FineTuneSettings(iterations=1000, learning_rate=2e-3, pull="none", adapt=False)
_NOTHING = {"steps": "", "train_s": "", "train_cpu_s": "", "phantom": ""}  # what not every method has
_TREES, _FEATURES = 100, (0.5, 16.0)  # the smallest and the largest scale, in pixels


@dataclass(frozen=True, eq=False)
class Task:
    """What one run learns from, and where its result is kept."""

    method: str
    strokes: int
    seed: int
    images: np.ndarray
    ids: np.ndarray
    annotation: np.ndarray
    folder: Path
    options: Namespace


def main() -> None:
    """Run the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--data", type=Path, default=isbi.ISBI, help="folder of the ISBI 2012 TIFF files")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--strokes", nargs="+", type=int, default=[5, 10, 25, 100])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--minutes", type=float, default=60.0, help="most minutes of a training")
    parser.add_argument("--iterations", type=int, default=0, help="steps; 0 for as many as the plan says")
    parser.add_argument("--hold-out", action="store_true", help="choose the best step by held-out regions")
    parser.add_argument(
        "--device", default="cpu", choices=available_devices(), help="where networks learn and predict"
    )
    parser.add_argument("--plot", type=Path, help="draw AUC by strokes into this picture")
    options = parser.parse_args()
    torch.backends.cudnn.allow_tf32 = False  # float32 is what it is on a processor
    if options.quick:
        options.seeds, options.strokes = [options.seed], [10]
        shutil.rmtree(_place(options), ignore_errors=True)
    rows = [row for seed in options.seeds for row in _rows_of(seed, options)]
    common.report(rows, options)
    for line in verdict(rows):
        print(line)
    if options.plot:
        plot(rows, options.plot)


def _rows_of(seed: int, options: Namespace) -> list[dict[str, Any]]:
    images, ids = isbi.read(options)
    rows = []
    for method in options.methods:
        for count in options.strokes if method in BY_STROKES else [0]:
            folder, known = _place(options), _annotated(method, ids, count, seed)
            name = f"{method.replace(' ', '-')}-{count}-seed{seed}"
            rows.append(_row(Task(method, count, seed, images, ids, known, folder / name, options)))
    return rows


def _place(options: Namespace) -> Path:
    steps = f"-{options.iterations}" if options.iterations else ""
    taught = "quick" if options.quick else "held-out" if options.hold_out else "all-taught"
    return RUNS / f"{taught}{steps}"


def _row(task: Task) -> dict[str, Any]:
    """Return the row of a run: from its file where there is one, else after running it."""
    kept = task.folder.with_suffix(".json")
    if kept.exists():
        row: dict[str, Any] = json.loads(kept.read_text())
        return row
    began, worked = time.monotonic(), time.process_time()
    found = METHODS[task.method](task)
    share = np.count_nonzero(task.annotation) / task.annotation[: len(isbi.TAUGHT)].size
    row = {
        "method": task.method,
        "strokes": task.strokes,
        "seed": task.seed,
        "share": round(share, 5),
        **_NOTHING,
        **found,
        "all_s": round(time.monotonic() - began, 1),
        "all_cpu_s": round(time.process_time() - worked, 1),
        "device": describe_devices()["cpu" if task.method == "forest" else task.options.device],
        "rule": BOUNDARY_RULE,
    }
    common.write(kept, row)
    print(f"{task.folder.name}: ROC AUC {row['roc_auc']:.4f}", file=sys.stderr, flush=True)
    return row


def _annotated(method: str, ids: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the strokes, or every pixel of the slices that teach."""
    if method != "all slices":
        return strokes.paint(ids, isbi.TAUGHT, count, seed)
    known = np.zeros(ids.shape, np.uint8)
    for z in isbi.TAUGHT:
        known[z] = np.where(boundary_target(ids[z]), BOUNDARY, INSIDE)
    return known


# ---- the methods


def _untaught(task: Task) -> dict[str, Any]:
    return _judged(load_model(PARENT, task.options.device), task)


def _adapted(task: Task) -> dict[str, Any]:
    return _judged(adapted_to(load_model(PARENT, task.options.device), _data(task)), task)


def _fine_tuned(task: Task) -> dict[str, Any]:
    settings = FineTuneSettings(iterations=task.options.iterations)
    return _taught(task, load_model(PARENT, task.options.device), settings)


def _scratch(task: Task) -> dict[str, Any]:
    parent = load_model(PARENT, task.options.device)
    torch.manual_seed(task.seed)
    network = build_network(parent.card.network).to(parent.device)
    return _taught(task, parent.changed(network, f"random weights of {task.seed}"), SCRATCH)


def _taught(task: Task, parent: Model, settings: FineTuneSettings) -> dict[str, Any]:
    """Teach a model, as the product does; a run that was interrupted goes on."""
    data = _data(task)
    same = _on(task.options.device, data.amount)
    settings = replace(settings, seed=task.seed, minutes=task.options.minutes, **same)
    if task.options.quick:
        settings = replace(settings, iterations=4, batch_size=1)
    run = finetune(TeachRequest(parent, data, task.folder, settings), resume=True)
    worked, steps = time.process_time(), [Stepped(0, 0, 0.0, 0.0, 0.0)]
    for event in run.events():
        if isinstance(event, Stepped):
            steps = [event]
            if event.iteration % 50 == 0:
                print(
                    f"{task.folder.name}: {event.iteration} of {event.iterations}",
                    file=sys.stderr,
                    flush=True,
                )
    model, cpu = run.best(), time.process_time() - worked
    found = {
        **_judged(model, task),
        "steps": steps[0].iteration,
        "train_s": round(steps[0].seconds, 1),
        "train_cpu_s": round(cpu, 1),
    }
    run.discard()
    return found


def _on(device: Device, amount: Amount) -> dict[str, Any]:
    """Where a training runs: another device makes the steps that a processor would."""
    if device == "cpu":
        return {"device": device}
    batch = plan(amount, 224, FineTuneSettings()).train.batch_size  # of any patch size
    return {"device": device, "batch_size": batch, "precision": "float32"}


def _judged(model: Model, task: Task) -> dict[str, Any]:
    """Score what a model sees of the slices that nothing is taught on, and of the phantom."""
    exact = PredictSettings(backend="eager", precision="float32")
    settings = PredictSettings() if model.device.type == "cpu" else exact
    scores = isbi.score(model, task.images, task.ids, settings)
    return {**asdict(scores), "phantom": phantom_auc(model)}


def _data(task: Task) -> TeachData:
    regions, held_out = split(task.annotation, 2)
    return TeachData(
        task.images,
        task.annotation,
        estimate_intensity(isbi.volume_of(task.images)),
        held_out=held_out if task.options.hold_out else (),
        regions=regions,
        name="ISBI 2012",
        voxel_size=isbi.VOXEL_SIZE,
    )


def _forest(task: Task) -> dict[str, Any]:
    from sklearn.ensemble import RandomForestClassifier

    shown = sorted({int(z) for z in np.nonzero(task.annotation.any(axis=(1, 2)))[0]})
    began, worked = time.monotonic(), time.process_time()
    known = [task.annotation[z] for z in shown]
    seen = [_features(task.images[z])[k > 0] for z, k in zip(shown, known, strict=True)]
    forest = RandomForestClassifier(_TREES, n_jobs=-1, random_state=task.seed, class_weight="balanced")
    forest.fit(np.concatenate(seen), np.concatenate([k[k > 0] for k in known]) == BOUNDARY)
    found = {
        "train_s": round(time.monotonic() - began, 1),
        "train_cpu_s": round(time.process_time() - worked, 1),
    }
    maps = (_asked(forest, task.images[z]) for z in isbi.SCORED)
    return {**asdict(isbi.scores(maps, task.ids)), **found}


def _asked(forest: Any, image: np.ndarray) -> np.ndarray:
    features = _features(image)
    answer = forest.predict_proba(features.reshape(-1, features.shape[-1]))[:, 1]
    return answer.reshape(image.shape).astype(np.float32)


def _features(image: np.ndarray) -> np.ndarray:
    from skimage.feature import multiscale_basic_features

    found: np.ndarray = multiscale_basic_features(image, sigma_min=_FEATURES[0], sigma_max=_FEATURES[1])
    return found


METHODS: dict[str, Callable[[Task], dict[str, Any]]] = {
    "untaught": _untaught,
    "adapted": _adapted,
    "all slices": _fine_tuned,
    "fine-tuned": _fine_tuned,
    "scratch": _scratch,
    "forest": _forest,
}
BY_STROKES = ("fine-tuned", "scratch", "forest")


# ---- what it says


def means(rows: list[dict[str, Any]]) -> dict[tuple[str, int], float]:
    """Return the mean AUC of each method and number of strokes."""
    found: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        found.setdefault((row["method"], row["strokes"]), []).append(row["roc_auc"])
    return {key: float(np.mean(values)) for key, values in found.items()}


def verdict(rows: list[dict[str, Any]]) -> list[str]:
    """Say how far strokes are from all slices, and from the other methods, on average over the seeds."""
    mean, lines = means(rows), []
    for count in sorted({row["strokes"] for row in rows if row["method"] == "fine-tuned"}):
        auc = mean["fine-tuned", count]
        others = [f"{name} {mean[name, count]:.4f}" for name in BY_STROKES[1:] if (name, count) in mean]
        whole = mean.get(("all slices", 0))
        gap = f", {whole - auc:.4f} below all slices" if whole is not None else ""
        lines.append(f"{count} strokes: fine-tuned {auc:.4f}{gap}; {', '.join(others)}")
    return lines


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw AUC by strokes: a line through the means, a dot for each seed."""
    import matplotlib.pyplot as plt

    mean = means(rows)
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name in BY_STROKES:
        counts = sorted(count for method, count in mean if method == name)
        (line,) = axes.plot(counts, [mean[name, count] for count in counts], label=name)
        dots = [(row["strokes"], row["roc_auc"]) for row in rows if row["method"] == name]
        axes.scatter(*zip(*dots, strict=True), s=12, color=line.get_color())
    for name, style in (("all slices", "--"), ("adapted", "-."), ("untaught", ":")):
        if (name, 0) in mean:
            axes.axhline(mean[name, 0], linestyle=style, color="black", linewidth=1, label=name)
    axes.set(xscale="log", xlabel="strokes", ylabel="boundary ROC AUC on z 24-29")
    counts = sorted({count for _, count in mean if count})
    axes.set_xticks(counts, labels=[str(count) for count in counts])
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
