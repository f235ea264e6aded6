"""The models that have a name: those that come with the package, and the user's; listed without torch."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import platformdirs

CURRENT = "current"  # a file beside the versions of a name: which of them the name stands for
SUFFIX = ".safetensors"


def bundled_models() -> dict[str, Path]:
    """Return the models that come with the package, by name; the default is the first."""
    folder = Path(str(files("napari_dtn").joinpath("weights")))
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def library_folder() -> Path:
    """Return where the user's models are; ``NAPARI_DTN_LIBRARY`` says otherwise."""
    chosen = os.environ.get("NAPARI_DTN_LIBRARY")
    return Path(chosen) if chosen else platformdirs.user_data_path("napari-dtn") / "models"


def library_versions(folder: Path | None = None) -> dict[str, list[Path]]:
    """Return the files of the user's models by name, the newest version first."""
    folder = folder or library_folder()
    files = sorted(folder.glob(f"*/*{SUFFIX}"), key=lambda path: path.stem, reverse=True)
    versions: dict[str, list[Path]] = {}
    for path in files:
        if not path.parent.name.startswith("."):
            versions.setdefault(path.parent.name, []).append(path)
    return dict(sorted(versions.items()))


def current_version(versions: list[Path]) -> Path:
    """Return which of a name's versions it stands for: the one that its folder says, else the newest."""
    note = versions[0].parent / CURRENT
    chosen = note.read_text().strip() if note.exists() else ""
    return next((path for path in versions if path.stem == chosen), versions[0])


def known_models() -> dict[str, Path]:
    """Return all models by name: the bundled ones, then the current versions of the user's."""
    own = {name: current_version(versions) for name, versions in library_versions().items()}
    return {**bundled_models(), **own}


def named_model(name: str) -> Path | None:
    """Return the file of a name, or of one version as ``name@date``; None where there is no such model."""
    if name in (known := known_models()):
        return known[name]
    model, _, date = name.partition("@")
    versions = library_versions().get(model, [])
    return next((path for path in versions if path.stem == date), None)
