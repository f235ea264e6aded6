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

from napari_dtn.nn.checkpoint import load_model, save_model

PACKAGE = Path("src/napari_dtn/weights")
SHIPPED = {"dtn-snemi3d": "dtn-long", "unet-snemi3d": "unet-long"}
EVIDENCE = Path("runs/segment")
FOLDS = runs.RUNS / "folds"
PREDICTED = {  # by which model, and which slices
    "cross-a": (FOLDS / "fold-a-seed0.safetensors", "40:80"),
    "cross-b": (FOLDS / "fold-b-seed0.safetensors", "0:40"),
    "seen": ("dtn-snemi3d", "0:80"),
}


def main() -> None:
    """Do what is named, or all of it."""
    parts = {"networks": networks, "edges": edges}
    for name in sys.argv[1:] or parts:
        parts[name]()


def networks() -> None:
    """Train, and ship under the names that users know."""
    for part in ("best", "folds"):
        _run("benchmarks/paper.py", part)
    for name, trained in SHIPPED.items():
        model = load_model(runs.RUNS / "best" / f"{trained}-seed0.safetensors", "cpu")
        card = replace(model.card, name=name)
        save_model(PACKAGE / f"{name}.safetensors", model.network.state_dict(), card)


def edges() -> None:
    """Predict the training slices with models that had not seen them, and learn merges from that."""
    image, voxels = common.SNEMI3D / "train-input.tif", ("--voxel-size", 30, 6, 6)
    for output, (model, slices) in PREDICTED.items():
        place = EVIDENCE / f"{output}.zarr"
        if not place.exists():
            asked = ("--model", model, "--z", slices, "-o", place)
            _run("-m", "napari_dtn.cli", "predict", image, *asked, *voxels)
    _run("benchmarks/train_edges.py")


def _run(*words: object) -> None:
    subprocess.run([sys.executable, *map(str, words)], check=True)


if __name__ == "__main__":
    main()
