"""A window with pictures of held-out places, as versions of a model see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QGridLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_dtn._napari.annotation_list import pixmap
from napari_dtn._napari.form import named

if TYPE_CHECKING:
    from napari_dtn.teach.comparison import Seen


class ComparedWindow(QDialog):
    """A row for each place: the image, what is annotated, and what each version sees.

    It stays beside napari's window, which can be used meanwhile.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Side by side on what is held out")
        self._area = named(QScrollArea(), "finetune.pictures", "White, or a class's colour, is what it sees.")
        self._area.setWidgetResizable(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._area)
        self.resize(900, 640)
        self.clear()

    def clear(self) -> None:
        """Take all pictures away."""
        self.places: list[Seen] = []
        inside = QWidget()
        self._grid = QGridLayout(inside)
        self._grid.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self._area.setWidget(inside)

    def add(self, place: Seen) -> None:
        """Show one more place."""
        if not self.places:
            for column, name in enumerate(place.pictures, 1):
                self._grid.addWidget(_words(name), 0, column)
        self.places.append(place)
        row = len(self.places)
        self._grid.addWidget(_words(f"slice {place.z}"), row, 0)
        for column, picture in enumerate(place.pictures.values(), 1):
            label = QLabel()
            label.setPixmap(pixmap(picture))
            self._grid.addWidget(label, row, column)


def _words(text: str) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    return label
