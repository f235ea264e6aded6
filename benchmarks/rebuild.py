"""Rebuild what the package ships that was learned: both networks, their cards, and the classifier of merges.

    python benchmarks/rebuild.py                    everything, from seeds; what has ended is not repeated
    python benchmarks/rebuild.py networks | edges   one of them
    python benchmarks/rebuild.py --quick            tiny networks, into runs/paper/quick alone

1. `paper.py best` and `paper.py folds` train the networks (some minutes on a GPU, a day on two cores);
2. the best two go into the package under their own names;
3. `napari-dtn predict` makes the boundaries that `train_edges.py` learns from, and it is trained anew.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common
import runs
from experiments import BEST, FOLDS

from napari_dtn.nn.checkpoint import load_model, save_model
from napari_dtn.predict.output import is_unfinished
from napari_dtn.volume.writing import read_attributes

if TYPE_CHECKING:
    import argparse

    from experiments import Experiment

PACKAGE = Path("src/napari_dtn/weights")
TRAINED: dict[str, tuple[Experiment, ...]] = {"best": BEST, "folds": FOLDS}
SHIPPED = {"dtn-long": "dtn-snemi3d", "unet-long": "unet-snemi3d"}
EVIDENCE = Path("runs/segment")
PREDICTED = {"cross-a": ("fold-a", "40:80"), "cross-b": ("fold-b", "0:40"), "seen": ("dtn-snemi3d", "0:80")}
Rows = list[dict[str, Any]]


def main() -> None:
    """Do what is named, or all of it."""
    parser = common.parser(__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS, help="by default both")
    parser.add_argument("--data", type=Path, default=common.SNEMI3D, help="folder of the SNEMI3D TIFF files")
    options = parser.parse_args()
    chosen = [options.part] if options.part else list(PARTS)
    if options.quick:  # tiny networks see no boundaries that merges could be learned from
        chosen = ["networks"]
    common.report([row for part in chosen for row in PARTS[part](options)], options)


def networks(options: argparse.Namespace) -> Rows:
    """Train, score, and ship under the names that users know."""
    rows = []
    for part, experiments in TRAINED.items():
        for experiment in experiments:
            weights = runs.trained(part, experiment, options)
            if experiment.name in SHIPPED:
                rows.append(_ship(weights, SHIPPED[experiment.name], options))
        if not options.quick:
            _run("benchmarks/paper.py", part, "--seed", options.seed, "--data", options.data)
    return rows


def _ship(weights: Path, name: str, options: argparse.Namespace) -> dict[str, Any]:
    model = load_model(weights, "cpu")
    place = (runs.RUNS / "quick" if options.quick else PACKAGE) / f"{name}.safetensors"
    save_model(place, model.network.state_dict(), replace(model.card, name=name))
    return {"file": str(place), "from": str(weights), "bytes": place.stat().st_size}


def edges(options: argparse.Namespace) -> Rows:
    """Predict the training slices with models that had not seen them, and learn merges from that."""
    image, voxels = options.data / "train-input.tif", ("--voxel-size", 30, 6, 6)
    for output, (name, slices) in PREDICTED.items():
        fold = runs.weights_of("folds", name, options.seed)
        model, place = fold if name.startswith("fold") else name, EVIDENCE / f"{output}.zarr"
        if is_unfinished(place) or not _made_by(model, place):
            asked = ("--model", model, "--z", slices, "-o", place)
            anew = () if is_unfinished(place) and _made_by(model, place) else ("--overwrite",)
            _run("-m", "napari_dtn.cli", "predict", image, *asked, *anew, *voxels)
    _run("benchmarks/train_edges.py", "--data", options.data)
    made = PACKAGE / "edges-snemi3d.npz"
    return [{"file": str(made), "from": str(EVIDENCE), "bytes": made.stat().st_size}]


def _made_by(model: str | Path, place: Path) -> bool:
    """Whether boundaries are there, and are of these very weights."""
    return read_attributes(place).get("model_sha256") == load_model(model, "cpu").sha256


def _run(*words: object) -> None:
    subprocess.run([sys.executable, *map(str, words)], check=True)


PARTS = {"networks": networks, "edges": edges}


if __name__ == "__main__":
    main()
