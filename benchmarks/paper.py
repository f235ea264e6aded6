"""Every table and figure of the paper, with our numbers, and what goes beyond it.

    python benchmarks/paper.py figure3      U-Net against DTN on SNEMI3D: the ROC figure and its table
    python benchmarks/paper.py figure4      raw | truth | U-Net | DTN on fixed slices
    python benchmarks/paper.py table1       U-Net against DTN on PASCAL VOC 2012 (--voc FOLDER)
    python benchmarks/paper.py figure2      image | truth | U-Net | DTN of its first validation images
    python benchmarks/paper.py table2       training and prediction time, DTN over U-Net
    python benchmarks/paper.py widths       prediction time of networks with more channels
    python benchmarks/paper.py screen       one seed and 2,500 iterations for each idea
    python benchmarks/paper.py prove        three seeds, 10,000 iterations: the best three warps, or NAME…
    python benchmarks/paper.py best         longer, with a slice of context: what the bundled models come from
    python benchmarks/paper.py folds        two models that each saw half, for benchmarks/train_edges.py
    python benchmarks/paper.py tiles        the models of `best`, all on tiles of both sizes
    python benchmarks/paper.py slices       whole slices instead of tiles
    python benchmarks/paper.py where        the scores without the pixels near which the truth changes
    python benchmarks/paper.py ceiling      the bundled models averaged over mirror images and with each other
    python benchmarks/paper.py seen         the bundled models on the slices that they were trained on
    python benchmarks/paper.py robustness   magnified, stretched, sheared, deformed slices; ISBI 2012
    python benchmarks/paper.py page         write what is known into docs/paper.md

A run that has ended is kept as JSON in benchmarks/results/paper and not repeated; one that was interrupted
goes on from its checkpoint in runs/paper. Delete the file to run it again. What needs a model, not only its
scores, trains it where runs/paper has it not.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common
import numpy as np
import page
import pascal
import runs
import torch
from ceiling import averages
from edges_of_truth import areas_off_edges
from experiments import BEST, DTN, FIGURE3, FOLDS, GROWN, PROTOCOL, ROBUST, SCREENS, TEST, TRAIN, UNET
from robustness import changed_slices, isbi

from napari_dtn.nn.checkpoint import load_model
from napari_dtn.nn.devices import resolve_device, resolve_precision
from napari_dtn.nn.dtn import build_network
from napari_dtn.nn.optimise import Trainee
from napari_dtn.nn.torch_runner import torch_runner
from napari_dtn.pictures import save_slice
from napari_dtn.settings import PredictSettings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from experiments import Experiment

    from napari_dtn.nn.checkpoint import Model

Rows = list[dict[str, Any]]
VOC = Path("../shared/data/VOCdevkit/VOC2012")
SHOWN = (85, 92)  # the slices of Figure 4
PROVED = 3
WIDTHS = (16, 20, 24)
_WARM_UP = 5  # rounds; on CUDA the fourth is recorded
BUNDLED = ("dtn-snemi3d", "unet-snemi3d")
_SCORES = (
    "name",
    "seed",
    "iterations",
    "roc_auc",
    "average_precision",
    "displacement",
    "deviation",
    "fold_over",
)


def figure3(options: argparse.Namespace) -> Rows:
    """U-Net against DTN, by the paper's protocol."""
    rows = _all("figure3", _named(FIGURE3, options), options.seeds, options)
    page.save_roc(runs.known_results("figure3", FIGURE3), Path("docs/images/paper-figure3.png"))
    return rows


def screen(options: argparse.Namespace) -> Rows:
    """Every idea once, and short."""
    return _all("screen", _named(SCREENS, options), [options.seed], options)


def prove(options: argparse.Namespace) -> Rows:
    """Train the named ideas, or the best warps of the screen, with several seeds, as long as the paper."""
    names = options.names or best_warps(options.seed)
    chosen = [_as_long_as_the_paper(e) for e in SCREENS if e.name in names]
    return _all("prove", chosen, options.seeds, options)


def best_warps(seed: int) -> list[str]:
    """Name the learned warps that the screen found best."""
    known = runs.known_results("screen", tuple(e for e in SCREENS if e.warps))
    areas = {name: row["roc_auc"] for name, rows in known.items() for row in rows if row["seed"] == seed}
    return sorted(areas, key=lambda name: -areas[name])[:PROVED]


def best(options: argparse.Namespace) -> Rows:
    """Train what may become the bundled models."""
    return _all("best", _named(BEST + GROWN, options), [options.seed], options)


def folds(options: argparse.Namespace) -> Rows:
    """Train the two models that each saw half of the slices."""
    return _all("folds", _named(FOLDS, options), [options.seed], options)


def _named(experiments: tuple[Experiment, ...], options: argparse.Namespace) -> list[Experiment]:
    return [e for e in experiments if not options.names or e.name in options.names]


def _as_long_as_the_paper(experiment: Experiment) -> Experiment:
    return replace(experiment, training=replace(experiment.training, iterations=PROTOCOL.iterations))


def _all(part: str, chosen: Any, seeds: list[int], options: argparse.Namespace) -> Rows:
    wanted = [(part, experiment, seed, options) for seed in seeds for experiment in chosen]
    return [_short(row) for row in runs.results_of(wanted, options.jobs)]


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what only a file needs; of several pairs, the deepest one's warp."""
    warp = list(row["warp"].values())[-1] if row["warp"] else {}
    flat = {**row, **{key: warp.get(key, "") for key in ("displacement", "deviation", "fold_over")}}
    return {key: flat[key] for key in _SCORES}


def figure4(options: argparse.Namespace) -> Rows:
    """Raw, truth and both predictions, side by side."""
    from napari_dtn.metrics import boundary_target
    from napari_dtn.predict import predict_slice

    volume, labels = runs.volume_and_labels(options.data)
    models = {e.idea.split(",")[0]: load_model(runs.trained("figure3", e, options)) for e in FIGURE3}
    for z in SHOWN:
        panels: dict[str, Any] = {
            "raw": np.asarray(volume.data[z]),
            "truth": boundary_target(labels[z]).astype(np.float32),
            **{title: predict_slice(model, volume, z) for title, model in models.items()},
        }
        save_slice(Path(f"runs/paper/figure4-z{z}.png"), panels)
    return [{"figure": f"runs/paper/figure4-z{z}.png", "slice": z} for z in SHOWN]


def table2(options: argparse.Namespace) -> Rows:
    """Time of a training step and of a prediction, both networks in turns; the ratio of the medians."""
    device = resolve_device(options.device)
    bfloat16 = resolve_precision("auto", device) == "bfloat16"
    networks = {"U-Net": build_network(UNET).to(device), "DTN": build_network(DTN).to(device)}
    image = torch.randn(4, 1, 224, 224)
    annotation = torch.randint(1, 3, (4, 224, 224), device=device)
    trainees = {
        n: Trainee(build_network(net.settings).to(device), PROTOCOL, bfloat16) for n, net in networks.items()
    }
    runners = {n: torch_runner(net.eval(), device) for n, net in networks.items()}
    rounds = 5 if options.quick else 40
    training = _in_turns(
        {n: lambda t=t: float(t.step(0, image.to(device), annotation)) for n, t in trainees.items()}, rounds
    )
    predicting = _in_turns({n: lambda r=r: r(image) for n, r in runners.items()}, rounds)
    return [
        {"what": what, "batch": "4 x 224 x 224", "precision": "bfloat16" if bfloat16 else "float32", **times}
        for what, times in (("training step", training), ("prediction", predicting))
    ]


def widths(options: argparse.Namespace) -> Rows:
    """Time of a prediction by networks of more channels than the bundled one, in turns."""
    device = resolve_device(options.device)
    image = torch.randn(4, 3, 224, 224)
    networks = {n: build_network(replace(DTN, context=1, base_channels=n)).to(device) for n in WIDTHS}
    runners = {n: torch_runner(network.eval(), device) for n, network in networks.items()}
    seconds = _seconds_in_turns(
        {str(n): lambda r=r: r(image) for n, r in runners.items()}, 5 if options.quick else 40
    )
    return [
        {
            "channels": n,
            "float16, MB": 2e-6 * sum(weight.numel() for weight in networks[n].parameters()),
            "ms": 1e3 * float(np.median(seconds[str(n)])),
            "ratio": float(np.median(seconds[str(n)] / seconds[str(WIDTHS[0])])),
        }
        for n in WIDTHS
    ]


def _in_turns(work: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    seconds = _seconds_in_turns(work, rounds)
    return {
        **{f"{name}_ms": 1e3 * float(np.median(values)) for name, values in seconds.items()},
        "ratio": float(np.median(seconds["DTN"] / seconds["U-Net"])),
    }


def _seconds_in_turns(work: dict[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds + _WARM_UP):
        for name, run in work.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return {name: np.array(values[_WARM_UP:]) for name, values in seconds.items()}


def slices(options: argparse.Namespace) -> Rows:
    """Predict whole slices with models that were trained on tiles."""
    side, rows = max(runs.volume_and_labels(options.data)[0].shape[1:]), []
    for experiment in FIGURE3:
        model = load_model(runs.trained("figure3", experiment, options))
        for size in (model.card.patch_size, side):
            settings = replace(runs.SCORED, batch_size=4 if size < side else 1)
            rows.append({"name": experiment.name, **_scored_on_tiles(model, size, settings, options)})
    return rows


def tiles(options: argparse.Namespace) -> Rows:
    """Score the best models alike, on tiles of every size that one of them was trained on."""
    models = {e.name: load_model(runs.trained("best", e, options)) for e in BEST + GROWN}
    sizes = sorted({model.card.patch_size for model in models.values()})
    return [
        {"name": name, **_scored_on_tiles(model, size, settings, options), "overlap": settings.overlap}
        for name, model in models.items()
        for size in sizes
        for settings in (runs.SCORED, PredictSettings())
    ]


def _scored_on_tiles(
    model: Model, size: int, settings: PredictSettings, options: argparse.Namespace
) -> dict[str, Any]:
    volume, labels = runs.volume_and_labels(options.data)
    sized = replace(model, card=replace(model.card, patch_size=size))
    histogram, _ = runs.score(sized, volume, labels, runs.tested(options), settings)
    return {"tile": size, **asdict(histogram.scores())}


def where(options: argparse.Namespace) -> Rows:
    """Score the pair of Figure 3 without the pixels near which the truth changes."""
    volume, labels = runs.volume_and_labels(options.data)
    tested = runs.tested(options)
    models = {e.name: load_model(runs.trained("figure3", e, options)) for e in FIGURE3}
    unet, dtn = (areas_off_edges(models[n], volume, labels, tested, runs.SCORED) for n in ("unet", "dtn"))
    return [
        {
            "left out, px": u["left out, px"],
            "pixels": u["pixels"],
            "U-Net": u["roc_auc"],
            "DTN": d["roc_auc"],
            "removed by the DTN": 1 - (1 - d["roc_auc"]) / (1 - u["roc_auc"]),
        }
        for u, d in zip(unet, dtn, strict=True)
    ]


def ceiling(options: argparse.Namespace) -> Rows:
    """Score the bundled models averaged over mirror images, and with each other."""
    volume, labels = runs.volume_and_labels(options.data)
    return averages(BUNDLED, volume, labels, runs.tested(options), runs.SCORED)


def seen(options: argparse.Namespace) -> Rows:
    """Score the bundled models on slices that they were trained on, and on those that they were not."""
    volume, labels = runs.volume_and_labels(options.data)
    rows = []
    for name in BUNDLED:
        model = load_model(name, options.device)
        for slices_ in (TRAIN[:1], TEST[:1]) if options.quick else (TRAIN[::4], TEST):
            histogram, _ = runs.score(model, volume, labels, slices_)
            scores = histogram.scores()
            learned = "yes" if slices_[0] in TRAIN else "no"
            rows.append(
                {
                    "model": name,
                    "trained on": learned,
                    "slices": len(slices_),
                    "roc_auc": scores.roc_auc,
                    "loss": scores.loss,
                }
            )
    return rows


def robustness(options: argparse.Namespace) -> Rows:
    """Score models on slices changed in known ways, and on another animal and microscope."""
    models = {e.name: runs.trained(part, e, options) for part, e in _contenders()}
    tested = runs.tested(options)[::4]
    volume, labels = runs.volume_and_labels(options.data)
    rows = []
    for change, slices_ in [
        *changed_slices(volume, labels, tested),
        *isbi(options.data.parent, options.quick),
    ]:
        scores = {name: slices_.roc_auc(load_model(path)) for name, path in models.items()}
        rows.append({"change": change, **scores})
    return rows


def _contenders() -> list[tuple[str, Experiment]]:
    """The plain pair, and the pair trained with scaled patches where it is there."""
    scaled = [("robust", e) for e in ROBUST]
    return [("figure3", e) for e in FIGURE3] + scaled


def robust(options: argparse.Namespace) -> Rows:
    """Train the pair of models that sees magnified and stretched patches."""
    return _all("robust", _named(ROBUST, options), [options.seed], options)


PARTS: dict[str, Callable[[argparse.Namespace], Rows]] = {
    part.__name__: part
    for part in (
        figure3,
        figure4,
        pascal.table1,
        pascal.figure2,
        table2,
        widths,
        screen,
        prove,
        best,
        folds,
        tiles,
        slices,
        where,
        ceiling,
        seen,
        robust,
        robustness,
        page.page,
    )
}


def main() -> None:
    """Run one part."""
    parser = common.parser(__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("names", nargs="*", help="which experiments; all of them by default")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="how many trainings go on at a time")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--data", type=Path, default=common.SNEMI3D, help="folder of the SNEMI3D TIFF files")
    parser.add_argument("--voc", type=Path, default=VOC, help="folder of PASCAL VOC 2012, in its own layout")
    options = parser.parse_args()
    common.report(PARTS[options.part](options), options)


if __name__ == "__main__":
    main()
