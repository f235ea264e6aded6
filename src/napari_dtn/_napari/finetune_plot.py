"""The curves of a fine-tuning while it runs: losses and validation AUC against time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dtn.colours import ORANGE, SKY, WHITE, YELLOW

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_dtn.teach.events import Scored

TRAIN, VALIDATION, AUC, BEST = "train loss", "validation loss", "validation AUC", "best"


class CurvePlot(QWidget):
    """Two plots over one axis of seconds: AUC above, losses below; the best validation so far is marked.

    pyqtgraph is loaded when the plot is first seen: neither with the menu nor while a training runs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.points: list[Scored] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._plots: dict[str, object] = {}
        self.setFixedHeight(190)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Make the plots, once they are on screen."""
        super().showEvent(event)
        self._draw()

    def clear(self) -> None:
        """Forget the curves of the last training."""
        self.points = []
        self._draw()

    def add(self, scored: Scored) -> None:
        """Draw one more validation."""
        self.points.append(scored)
        self._draw()

    def xy(self, name: str) -> tuple[list[float], list[float]]:
        """Return what a curve shows: seconds, and values."""
        best = [point for point in self.points if point.best][-1:]
        values = {
            TRAIN: [(one.seconds, one.train_loss) for one in self.points],
            VALIDATION: [(one.seconds, one.val_loss) for one in self.points],
            AUC: [(one.seconds, one.val_auc) for one in self.points],
            BEST: [(one.seconds, one.val_auc) for one in best],
        }[name]
        known = [(x, y) for x, y in values if math.isfinite(y)]
        return [x for x, _ in known], [y for _, y in known]

    def _draw(self) -> None:
        if not self._plots:
            self._make()
        for name, curve in self._plots.items():
            curve.setData(*self.xy(name))  # type: ignore[attr-defined]

    def _make(self) -> None:
        import pyqtgraph as pg

        view = pg.GraphicsLayoutWidget()
        above, below = view.addPlot(row=0, col=0), view.addPlot(row=1, col=0)
        for plot, label in ((above, "AUC"), (below, "loss")):
            plot.setLabel("left", label)
            plot.getAxis("left").setWidth(46)
            plot.getAxis("left").enableAutoSIPrefix(False)
            plot.getAxis("bottom").enableAutoSIPrefix(False)
            plot.setMenuEnabled(False)
            plot.hideButtons()
        above.getAxis("bottom").setStyle(showValues=False)
        below.setLabel("bottom", "seconds of training")
        below.setXLink(above)
        legend = below.addLegend(offset=(-4, 2), labelTextSize="7pt", verSpacing=-6)
        legend.setBrush((0, 0, 0, 110))
        star = pg.mkBrush(YELLOW)
        self._plots = {
            AUC: above.plot(pen=pg.mkPen(SKY, width=2), symbol="o", symbolSize=4, symbolBrush=SKY),
            BEST: above.plot(pen=None, symbol="star", symbolSize=14, symbolBrush=star, symbolPen=None),
            TRAIN: below.plot(pen=pg.mkPen(WHITE, width=1), name="train"),
            VALIDATION: below.plot(pen=pg.mkPen(ORANGE, width=2), name="validation"),
        }
        self._layout.addWidget(view)
