"""Two buttons that put what a panel would run onto the clipboard, as a command and as Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_info
from qtpy.QtWidgets import QApplication, QHBoxLayout, QPushButton, QWidget

from napari_dtn._napari.form import named
from napari_dtn._napari.job import notified
from napari_dtn._napari.layers import channel_of, is_time_point, path_of, stated_voxel_size
from napari_dtn.recipes import Input

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari.layers

    from napari_dtn.recipes import Recipe


class CopyButtons(QWidget):
    """*Copy as command* and *Copy as Python*.

    Parameters
    ----------
    panel
        Name of the panel, with which the buttons' names begin.
    recipe
        Returns what would be run now; its errors are shown.
    """

    def __init__(self, panel: str, recipe: Callable[[], Recipe]) -> None:
        super().__init__()
        self._recipe = recipe
        self.command = named(
            QPushButton("Copy as command"), f"{panel}.copy_command", "Copy what would be run, for a terminal."
        )
        self.python = named(
            QPushButton("Copy as Python"), f"{panel}.copy_python", "Copy what would be run, as a program."
        )
        self.command.clicked.connect(self._copy_command)
        self.python.clicked.connect(self._copy_python)
        layout = QHBoxLayout(self)
        margins = layout.contentsMargins()  # those of the controls above
        margins.setTop(0)
        layout.setContentsMargins(margins)
        layout.addWidget(self.command)
        layout.addWidget(self.python)

    @notified
    def _copy_command(self, checked: bool = False) -> None:
        _copy(self._recipe().command)

    @notified
    def _copy_python(self, checked: bool = False) -> None:
        _copy(self._recipe().python)


def input_of(layer: napari.layers.Layer) -> Input:
    """Return the file of an image layer.

    Raises
    ------
    ValueError
        It was not opened from a file.
    """
    path = path_of(layer)
    if is_time_point(layer):
        raise ValueError(
            f"“{layer.name}” is one of several time points of {path}, and no command can tell which: save it "
            "by itself (File > Save Selected Layers) and open that, or add --time to a command for it."
        )
    if path is None:
        raise ValueError(
            f"“{layer.name}” was not opened from a file, so no command names it; save it and open it first."
        )
    return Input(path, stated_voxel_size(layer), channel_of(layer))


def _copy(text: str) -> None:
    QApplication.clipboard().setText(text)
    show_info("Copied.")
