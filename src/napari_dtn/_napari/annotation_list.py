"""A list of places of a volume, with small pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QSize, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QListWidget, QListWidgetItem

_ICON = QSize(40, 40)


@dataclass(frozen=True, eq=False)
class Place:
    """A row: what it says, the voxel (z, y, x), and its picture, (height, width, 3), uint8, if it has one."""

    words: str
    at: tuple[int, int, int]
    picture: Any = None


class PlaceList(QListWidget):
    """Rows of places.

    Signals
    -------
    chosen
        The voxel (z, y, x) of the row that was clicked.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setIconSize(_ICON)
        self.setUniformItemSizes(True)
        self.setMinimumHeight(70)
        self.places: list[Place] = []
        self.itemClicked.connect(lambda item: self.chosen.emit(self.places[self.row(item)].at))

    def show_places(self, places: Iterable[Place]) -> None:
        """Show these places and no others; the row that was chosen stays so."""
        at = self.currentRow()
        self.places = list(places)
        self.clear()
        for place in self.places:
            item = QListWidgetItem(place.words)
            if place.picture is not None:
                item.setIcon(QIcon(pixmap(place.picture)))
            self.addItem(item)
        self.setCurrentRow(min(at, self.count() - 1))

    def fly_to_next(self) -> None:
        """Choose the row below, after the last the first."""
        if self.places:
            self.setCurrentRow((self.currentRow() + 1) % self.count())
            self.chosen.emit(self.places[self.currentRow()].at)


def pixmap(picture: Any) -> QPixmap:
    """Return colours (height, width, 3), uint8, as Qt draws them."""
    height, width, _ = picture.shape
    image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image)  # which copies it
