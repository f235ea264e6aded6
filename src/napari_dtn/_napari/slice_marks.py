"""Marks on the viewer's slice bar: where to annotate next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QScrollBar, QStyle, QStyleOptionSlider, QWidget

from napari_dtn.colours import ORANGE

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent

_WIDTH = 3  # pixels


class SliceMarks(QWidget):
    """Lies over napari's slider of the slices, lets the mouse through, and draws a line at each marked slice.

    napari has no public way to its sliders; where it is not found there are no marks, and the list remains.
    """

    def __init__(self, slider: QScrollBar) -> None:
        super().__init__(slider)
        self.setObjectName("finetune.marks")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._slider = slider
        self._marked: tuple[int, ...] = ()
        slider.installEventFilter(self)
        self.resize(slider.size())

    def show_slices(self, slices: Sequence[int]) -> None:
        """Mark these steps of the slider."""
        self._marked = tuple(slices)
        self.setVisible(bool(slices))
        self.raise_()
        self.update()

    def places(self) -> list[int]:
        """Where the marks are, in pixels from the left."""
        slider, option = self._slider, QStyleOptionSlider()
        slider.initStyleOption(option)
        style, bar = slider.style(), QStyle.ComplexControl.CC_ScrollBar
        groove, handle = (
            style.subControlRect(bar, option, part, slider)
            for part in (QStyle.SubControl.SC_ScrollBarGroove, QStyle.SubControl.SC_ScrollBarSlider)
        )
        length, steps = groove.width() - handle.width(), max(slider.maximum() - slider.minimum(), 1)
        start = groove.x() + handle.width() / 2
        return [round(start + length * (z - slider.minimum()) / steps) for z in self._marked]

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Stay as large as the slider."""
        if event.type() == QEvent.Type.Resize:
            self.resize(self._slider.size())
        return False

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the lines."""
        painter = QPainter(self)
        for x in self.places():
            painter.fillRect(x - _WIDTH // 2, 0, _WIDTH, self.height(), QColor(ORANGE))
        painter.end()


def marks_of(window: QWidget, axis: int) -> SliceMarks | None:
    """Return the marks of the slider that moves along an axis; None where the window has none."""
    for slider in window.findChildren(QScrollBar):
        if getattr(slider.parent(), "axis", None) == axis:
            return slider.findChild(SliceMarks) or SliceMarks(slider)
    return None
