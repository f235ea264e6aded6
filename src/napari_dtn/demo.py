"""The phantom, predicted with the shipped model, scored and drawn."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.evaluate import evaluate
from napari_dtn.nn.bundled import known_models
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.phantom import Phantom, PhantomSettings, make_phantom
from napari_dtn.pictures import save_slice
from napari_dtn.predict import Predictor, TileDone
from napari_dtn.volume.opening import Volume, open_volume
from napari_dtn.volume.writing import write_image, write_labels

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE, TRUTH, BOUNDARIES = "phantom.zarr", "phantom truth.zarr", "phantom boundaries.zarr"
SCORES = "scores.json"
_QUICK = PhantomSettings(shape=(4, 256, 256))


def run_demo(
    folder: str | Path,
    model: str | Path = "dtn-snemi3d",
    quick: bool = False,
    on_event: Callable[[TileDone], None] = lambda event: None,
) -> dict[str, Any]:
    """Make the phantom, predict it, score it and draw it, all into one folder.

    Parameters
    ----------
    folder
        Gets ``phantom.zarr``, ``phantom truth.zarr``, ``phantom boundaries.zarr``, ``boundaries.png``,
        ``warp.png``, ``curves.png`` and ``scores.json``; those of an earlier demo are replaced.
    model
        A bundled model, or a file.
    quick
        Make a smaller phantom.
    on_event
        Called after every batch of tiles.

    Returns
    -------
    dict
        What is in ``scores.json``: the model, the phantom's settings and the scores.
    """
    folder = Path(folder)
    loaded = load_model(model)
    settings = _QUICK if quick else PhantomSettings()
    volume = _write_phantom(make_phantom(settings), settings, folder)
    predictor = Predictor.of(loaded, volume)
    for event in predictor.write(folder / BOUNDARIES, overwrite=True):
        on_event(event)
    boundaries, truth = open_volume(folder / BOUNDARIES), open_volume(folder / TRUTH)
    scores = evaluate(boundaries, truth, "boundary", plot=folder / "curves.png")
    _draw(folder, predictor, boundaries, truth)
    result = {
        "model": loaded.card.name,
        "model_file": _named(model),
        "phantom": asdict(settings),
        "scores": scores,
    }
    (folder / SCORES).write_text(json.dumps(result, indent=2) + "\n")
    return result


def show_demo(folder: str | Path) -> None:
    """Open a finished demo in napari, and wait until its window is closed.

    A process of its own, since only one room of the package knows napari.
    """
    subprocess.run([sys.executable, "-m", "napari_dtn._napari.demo", str(folder)], check=True)


def _named(model: str | Path) -> str:
    """A bundled model's name, or a file's whole path."""
    return str(model) if str(model) in known_models() else str(Path(model).resolve())


def _write_phantom(phantom: Phantom, settings: PhantomSettings, folder: Path) -> Volume:
    made = {"phantom": asdict(settings)}
    voxels = phantom.voxel_size
    write_image(folder / IMAGE, phantom.image, voxel_size=voxels, attributes=made, overwrite=True)
    write_labels(folder / TRUTH, phantom.labels, voxel_size=voxels, attributes=made, overwrite=True)
    return open_volume(folder / IMAGE)


def _draw(folder: Path, predictor: Predictor, boundaries: Volume, truth: Volume) -> None:
    z, y, x = (side // 2 for side in predictor.volume.shape)
    image = np.asarray(predictor.volume.data[z])
    probability = np.asarray(boundaries.data[z]) / 255
    panels = {"phantom": image, "truth": np.asarray(truth.data[z]), "boundary probability": probability}
    save_slice(folder / "boundaries.png", panels)
    save_slice(folder / "warp.png", {"learned warp of one tile": image}, predictor.warps(z, y, x))
