"""Rebuild what the package ships that was learned: both networks, their cards, and the classifier of merges.

    python benchmarks/rebuild.py                    everything, from seeds; what has ended is not repeated
    python benchmarks/rebuild.py networks | edges   one of them

1. `paper.py best` and `paper.py folds` train the networks (some minutes on a GPU, a day on two cores);
2. the best two go into the package under their own names;
3. `napari-dtn predict` makes the boundaries that `train_edges.py` learns from, and it is trained anew.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import common
import runs
from experiments import BEST, FOLDS

from napari_dtn.nn.checkpoint import load_model, save_model
from napari_dtn.volume.writing import read_attributes

PACKAGE = Path("src/napari_dtn/weights")
SHIPPED = {"dtn-long": "dtn-snemi3d", "unet-long": "unet-snemi3d"}
EVIDENCE = Path("runs/segment")
SEED = 0
PREDICTED = {  # by which model, and which slices
    "cross-a": (runs.weights_of("folds", "fold-a", SEED), "40:80"),
    "cross-b": (runs.weights_of("folds", "fold-b", SEED), "0:40"),
    "seen": ("dtn-snemi3d", "0:80"),
}


def main() -> None:
    """Do what is named, or all of it."""
    parts = {"networks": networks, "edges": edges}
    for name in sys.argv[1:] or parts:
        parts[name]()


def networks() -> None:
    """Train, score, and ship under the names that users know."""
    asked = common.parser(__doc__).parse_args(["--seed", str(SEED)])
    asked.data = common.SNEMI3D
    for part, experiments in (("best", BEST), ("folds", FOLDS)):
        for experiment in experiments:
            weights = runs.trained(part, experiment, asked)
            if experiment.name in SHIPPED:
                _ship(weights, SHIPPED[experiment.name])
        _run("benchmarks/paper.py", part)


def _ship(weights: Path, name: str) -> None:
    model = load_model(weights, "cpu")
    save_model(PACKAGE / f"{name}.safetensors", model.network.state_dict(), replace(model.card, name=name))


def edges() -> None:
    """Predict the training slices with models that had not seen them, and learn merges from that."""
    image, voxels = common.SNEMI3D / "train-input.tif", ("--voxel-size", 30, 6, 6)
    for output, (model, slices) in PREDICTED.items():
        place = EVIDENCE / f"{output}.zarr"
        if not _made_by(model, place):
            asked = ("--model", model, "--z", slices, "-o", place, "--overwrite")
            _run("-m", "napari_dtn.cli", "predict", image, *asked, *voxels)
    _run("benchmarks/train_edges.py")


def _made_by(model: str | Path, place: Path) -> bool:
    """Whether boundaries are there, and are of these very weights."""
    return read_attributes(place).get("model_sha256") == load_model(model, "cpu").sha256


def _run(*words: object) -> None:
    subprocess.run([sys.executable, *map(str, words)], check=True)


if __name__ == "__main__":
    main()
