"""The models that come with the package; listing them loads no torch, so a menu can."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def bundled_models() -> dict[str, Path]:
    """Return the models that come with the package, by name; the default is the first."""
    folder = Path(str(files("napari_dtn").joinpath("weights")))
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
