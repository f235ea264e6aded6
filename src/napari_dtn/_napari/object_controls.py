"""The table of kept objects and the menu of what can be made of them: where they stand, not what they do."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QHBoxLayout, QLabel, QMenu, QProgressBar, QToolButton, QVBoxLayout, QWidget

from napari_dtn._napari.form import named
from napari_dtn._napari.object_table import ObjectTable

NAME = "click"
#: What the menu offers: object name, text, tip; empty names part groups.
ACTIONS = (
    ("mesh", "Mesh in 3D", "Show the surfaces of the chosen objects."),
    ("skeleton", "Skeleton in 3D", "Show the centre lines of the chosen objects, and how long they are."),
    ("", "", ""),
    ("colour", "Colour …", "Choose a colour for the chosen objects."),
    ("no_colour", "Colour of the id", "Take the chosen colours back."),
    ("hide", "Hide", "Leave the chosen objects out of the picture."),
    ("show", "Show", "Show the chosen objects again."),
    ("", "", ""),
    ("save_table", "Save table as CSV …", "All objects, one row each."),
    ("save_obj", "Save meshes as OBJ …", "The chosen objects, a file each, in nm."),
    ("save_ply", "Save meshes as PLY …", "The chosen objects, a file each, in nm."),
    ("save_glb", "Save meshes as GLB …", "The chosen objects, a file each, in nm."),
    ("save_precomputed", "Save meshes for neuroglancer …", "The chosen objects, in one precomputed folder."),
    ("save_swc", "Save skeletons as SWC …", "The chosen objects, a file each, in µm."),
    ("save_labels", "Save labels as …", "All objects: OME-Zarr, TIFF or HDF5."),
)


class ObjectControls(QWidget):
    """Table, menu, and how far the work on shapes is."""

    def __init__(self) -> None:
        super().__init__()
        self.table = named(ObjectTable(), f"{NAME}.objects", "Kept objects; a click on a row flies there.")
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        self.actions_: dict[str, QAction] = {}
        for name, text, tip in ACTIONS:
            if name:
                self.actions_[name] = self._action(name, text, tip)
            else:
                self.menu.addSeparator()
        self.button = named(
            QToolButton(), f"{NAME}.objects_menu", "Meshes, skeletons, colours and files of the chosen rows."
        )
        self.button.setText("Objects ")
        self.button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.button.setMenu(self.menu)
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.table.customContextMenuRequested.connect(
            lambda at: self.menu.popup(self.table.viewport().mapToGlobal(at))
        )
        self.progress = named(QProgressBar(), f"{NAME}.objects_progress", "How many objects are done.")
        self.stop = named(QToolButton(), f"{NAME}.objects_stop", "Stop; what was done stays.")
        self.stop.setText("Stop")
        self.status = named(QLabel(), f"{NAME}.objects_status", "What was made of the objects last.")
        self.status.setWordWrap(True)
        self._lay_out()
        self.show_busy(False)

    def _action(self, name: str, text: str, tip: str) -> QAction:
        action = self.menu.addAction(text)
        action.setObjectName(f"{NAME}.{name}")
        action.setToolTip(tip)
        return action

    def _lay_out(self) -> None:
        below = QHBoxLayout()
        below.addWidget(self.button)
        below.addWidget(self.progress, 1)
        below.addWidget(self.stop)
        below.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table, 1)
        layout.addLayout(below)
        layout.addWidget(self.status)

    def show_busy(self, busy: bool) -> None:
        """Show the bar and the button that ends the work, while there is any."""
        self.progress.setVisible(busy)
        self.stop.setVisible(busy)

    def show_status(self, text: str) -> None:
        """Say what was made; without words the line takes no room."""
        self.status.setText(text)
        self.status.setVisible(bool(text))
