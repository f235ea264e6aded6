"""A folder that is typed, or chosen in a dialog, and what is done where it has objects from before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QMessageBox

if TYPE_CHECKING:
    from qtpy.QtWidgets import QLineEdit, QWidget

_JOURNAL = "journal.sqlite"  # its presence makes a folder a session; asking the core would load zarr


def choose_folder(line: QLineEdit, title: str) -> None:
    """Ask for a folder, and write it into a line."""
    folder = QFileDialog.getExistingDirectory(line, title, line.text())
    if folder:
        line.setText(folder)


def typed_folder(line: QLineEdit, called: str) -> Path:
    """Return the folder in a line.

    Raises
    ------
    ValueError
        There is none; the error says so of the line by what it is called.
    """
    text = line.text().strip()
    if not text:
        raise ValueError(f"“{called}” is empty; type the path of a folder.")
    return Path(text).expanduser()


def settled_folder(folder: Path, parent: QWidget) -> Path:
    """Return the folder, or a new one beside it where it has objects that the user does not go on with."""
    if not (folder / _JOURNAL).is_file():
        return folder
    text = (
        f"{folder} has objects from before: all that were kept, and what was said about the one in work. "
        "Go on with them? “No” begins in a new folder."
    )
    answer = QMessageBox.question(parent, "Go on with these objects?", text)
    return folder if answer == QMessageBox.StandardButton.Yes else _next_free(folder)


def _next_free(folder: Path) -> Path:
    number = 2
    while folder.with_name(f"{folder.name} {number}").exists():
        number += 1
    return folder.with_name(f"{folder.name} {number}")
