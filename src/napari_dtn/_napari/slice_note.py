"""A line that names the bad slices of the chosen layer, found in the background."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QSizePolicy
from superqt import QElidingLabel

from napari_dtn._napari import tasks
from napari_dtn._napari.job import Lane
from napari_dtn._napari.layers import check_image, snapshot_of
from napari_dtn.words import bad_slice_words, bad_slices_words, checked_words

if TYPE_CHECKING:
    import napari.layers

    from napari_dtn.volume.defects import SliceCheck

_DELAY = 1000  # ms after a layer has been chosen: opening it comes first
_SLICES = 200  # that are looked at without having been asked to


class BadSlicesNote(QElidingLabel):
    """Empty until a layer has been looked at; the tooltip lists every bad slice, and what was looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setVisible(False)
        self._layer: napari.layers.Layer | None = None
        self.lane = Lane(self)
        self.lane.stepped.connect(self._show)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._start)

    def look_at(self, layer: napari.layers.Layer | None) -> None:
        """Forget the last layer, and look at this one soon."""
        self.lane.cancel()
        self.setVisible(False)
        self._layer = layer
        if layer is not None:
            self._timer.start(_DELAY)

    def stop(self) -> None:
        """Look at nothing any more."""
        self.look_at(None)
        self._timer.stop()

    def _start(self) -> None:
        try:
            check_image(self._layer)
        except ValueError:  # what is no grey stack has no slices to judge
            return
        assert self._layer is not None
        self.lane.start("Looking for bad slices", partial(tasks.check, snapshot_of(self._layer), _SLICES))

    def _show(self, check: SliceCheck) -> None:
        if check.report is None:
            return
        self.setText(bad_slices_words(check.report))
        listed = "\n".join(map(bad_slice_words, check.report.bad))
        self.setToolTip(f"{listed}\nLooked at {checked_words(check.report)}.".strip())
        self.setVisible(bool(check.report.bad))
