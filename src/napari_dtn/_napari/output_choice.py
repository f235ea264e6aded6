"""Where a prediction goes, and what to do with what is there already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qtpy.QtWidgets import QMessageBox

from napari_dtn._napari import tasks

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


def output_path(text: str) -> Path:
    """Return the path of the output that somebody typed.

    Raises
    ------
    ValueError
        Nothing is typed.
    """
    if not text.strip():
        raise ValueError("Output is empty; type the path of a new folder that ends in .zarr.")
    path = Path(text.strip()).expanduser()
    return path if path.suffix == ".zarr" else path.with_name(path.name + ".zarr")


def how_to_begin(parent: QWidget, output: Path) -> Literal["begin", "anew", "stop"]:
    """Ask what to do with an output that is there: go on with it, replace it, or neither."""
    if not output.exists():
        return "begin"
    yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
    if tasks.is_unfinished(output):
        text = f"{output} is unfinished. Go on with it? “No” begins it anew."
        buttons = yes | no | QMessageBox.StandardButton.Cancel
        answer = QMessageBox.question(parent, "Go on with the prediction?", text, buttons)
        return "begin" if answer == yes else "anew" if answer == no else "stop"
    text = f"{output} exists. Replace it by a new prediction?"
    return "anew" if QMessageBox.question(parent, "Replace the prediction?", text) == yes else "stop"
