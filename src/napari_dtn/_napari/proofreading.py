"""Proofreading in the click panel: merges by mouse, doubtful places, the box that objects may not leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_dtn._napari.job import notified
from napari_dtn._napari.proof_controls import EVERYWHERE
from napari_dtn._napari.proof_layer import show_doubt
from napari_dtn._napari.proof_tasks import Asked, Proofreading, confined
from napari_dtn._napari.region import region_of

if TYPE_CHECKING:
    import napari.viewer

    from napari_dtn._napari.click_actions import Action
    from napari_dtn._napari.click_input import Clicks
    from napari_dtn._napari.click_layers import ClickLayers
    from napari_dtn._napari.proof_controls import ProofControls
    from napari_dtn.session import ClickSession


class Proofreader(QObject):
    """Does what its controls say.

    Parameters
    ----------
    viewer
        Shows the places that are asked about.
    controls
        Theirs.
    clicks
        The mouse, which draws lines across objects.
    chosen
        Returns the ids of the chosen rows.

    Signals
    -------
    wished
        Something for the session to do, and whether what grows need not be finished.
    said
        Words for people.
    """

    wished = Signal(object, bool)
    said = Signal(str)

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        controls: ProofControls,
        clicks: Clicks,
        chosen: Callable[[], Sequence[int]],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._controls, self._clicks, self._chosen = viewer, controls, clicks, chosen
        self._begun = Proofreading()
        self._layers: ClickLayers | None = None
        self.keys: dict[str, Callable[[], Any]] = {
            "merging": controls.buttons["merging"].toggle,
            "doubt": self._next,
            "yes": partial(self._answer, True),
            "no": partial(self._answer, False),
        }
        clicks.crossed.connect(lambda points: self._wish(self._begun.crossed(points)))
        controls.buttons["merging"].toggled.connect(self._merge)
        for name in ("doubt", "yes", "no"):
            controls.buttons[name].clicked.connect(self.keys[name])
        controls.apply.clicked.connect(self._confine)

    def begin(self, layers: ClickLayers) -> None:
        """Work on the session of these layers; what was begun in another one is forgotten."""
        self._layers, self._begun = layers, Proofreading()
        self.show(Asked(None))

    def leave(self) -> None:
        """Take the place that is asked about away."""
        if self._layers is not None:
            show_doubt(self._viewer, self._layers.image, None)
            self._layers = None

    def show(self, asked: Asked) -> None:
        """Show the place that is asked about."""
        if self._layers is not None:
            show_doubt(self._viewer, self._layers.image, asked.doubt)

    def follow(self, session: ClickSession) -> Iterator[Asked]:
        """Take away the place that is asked about if its object is no longer in work; in a job's thread."""
        yield from self._begun.follow(session)

    def _wish(self, action: Action, outdates: bool = False) -> None:
        self.wished.emit(action, outdates)

    def _merge(self, on: bool) -> None:
        self._clicks.merging = on
        self.said.emit("Drag across kept objects, or click on two, to merge them." if on else "")

    def _next(self, *_: Any) -> None:
        self._wish(self._begun.next_doubt(self._chosen()))

    def _answer(self, together: bool, *_: Any) -> None:
        self._wish(self._begun.answered(together, self._chosen()))

    @notified
    def _confine(self, checked: bool = False) -> None:
        controls, box = self._controls, None
        if self._layers is None:
            return
        kind, slices = controls.kind.currentText(), controls.slices.text()
        if kind != EVERYWHERE or slices.strip():
            roi = region_of(self._viewer, self._layers.image, kind, slices)
            box = roi.within(self._layers.shape)
        self._wish(confined(box), True)
