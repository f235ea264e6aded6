"""Live: while its box is ticked, the boundaries of what is on screen appear by themselves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_dtn._napari import overlays, tasks
from napari_dtn._napari.job import Lane
from napari_dtn._napari.view import ViewWatcher, part_in_view, shows_slices, slice_in_view
from napari_dtn.garbage import short_collections
from napari_dtn.words import live_words

if TYPE_CHECKING:
    from collections.abc import Hashable

    import napari.layers
    import napari.viewer

    from napari_dtn._napari.live_controls import LiveControls
    from napari_dtn.predict import LivePart
    from napari_dtn.predict.mosaic import Picture

_CALM, _PATIENCE = 60, 250  # ms: until a view that has come to rest, or moves on and on, is looked at
_REDRAW = 200  # ms between two redrawings: each takes the window some of its time

Ask = Callable[[], "tuple[napari.layers.Image, tasks.Request]"]


class Live(QObject):
    """Follows the view, and lets the overlay show what a worker finds; the newest view wins.

    Parameters
    ----------
    viewer
        Whose view it is.
    controls
        Its box, its line of words, and its settings.
    desk
        Keeps the model and what was found.
    request
        Says what is chosen; raises ValueError where that does not do.
    elsewhere_busy
        Whether a whole volume is being predicted: Live waits meanwhile.
    parent
        Qt's owner.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        controls: LiveControls,
        desk: tasks.Desk,
        request: Ask,
        elsewhere_busy: Callable[[], bool],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._controls, self._desk = viewer, controls, desk
        self._request, self._elsewhere_busy = request, elsewhere_busy
        self._image: napari.layers.Image | None = None
        self._maker: Hashable = None
        self._layers: list[napari.layers.Layer] = []
        self._while_on = ExitStack()
        self._stale: LivePart | None = None
        self._done = 0
        self.lane = Lane(self)
        self.lane.stepped.connect(self._on_part)
        self.lane.ended.connect(self._on_ended)
        self._watcher = ViewWatcher(viewer, self, cursor=False, calm=_CALM, patience=_PATIENCE)
        self._watcher.moved.connect(self.look)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_REDRAW)
        self._pause.timeout.connect(self._redraw_stale)
        controls.box.toggled.connect(self._toggle)
        controls.settings.on_change(self.look)

    @property
    def on(self) -> bool:
        """Whether the box is ticked."""
        return bool(self._controls.box.isChecked())

    def stop(self) -> None:
        """Untick the box."""
        self._controls.box.setChecked(False)

    def _toggle(self, on: bool) -> None:
        if not on:
            self._end()
            return
        self._watcher.start()
        self._while_on.callback(self._watcher.stop)
        removed = self._viewer.layers.events.removed
        removed.connect(self._on_removed)
        self._while_on.callback(removed.disconnect, self._on_removed)
        # Not for each job anew: what one leaves behind would then hardly ever be collected.
        self._while_on.enter_context(short_collections())
        self.look(unhide=True)

    def _end(self) -> None:
        self._while_on.close()
        self.lane.cancel()
        self._show_all()
        self._follow([])
        self._controls.say("")

    def look(self, event: Any = None, unhide: bool = False) -> None:
        """Predict what is on screen now, or say why not; what was asked for before is dropped."""
        if not self.on:
            return
        try:
            image, request = self._request()
            place = self._place(image, unhide)
        except ValueError as reason:
            self._wait(str(reason))
            return
        self._image, self._maker, self._done = image, request.maker, -1
        if self._is_predicted(*place):
            self.lane.cancel()
            self._controls.say("Live: this slice is predicted already.")
            return
        self.lane.start(
            "Showing boundaries live",
            partial(tasks.live, self._desk, request, self._controls.settings.read(), *place),
        )

    def _wait(self, reason: str) -> None:
        self.lane.cancel()
        self._show_all()
        self._controls.say(reason)

    def _show_all(self) -> None:
        overlays.show_only([one for one in self._layers if one in self._viewer.layers], None)

    def _is_predicted(self, z: int, y: slice, x: slice) -> bool:
        """Show what is in view from a preview or a predicted volume, where that is what Live would find."""
        assert self._image is not None
        layers = overlays.layers_on(self._viewer, self._image)
        if not overlays.have_whole(layers, z, y, x, self._maker):
            return False
        overlays.show_only(layers, self._maker)
        self._follow(layers)
        return True

    def _place(self, image: napari.layers.Image, unhide: bool) -> tuple[int, slice, slice]:
        """Return the slice and the pixels (y, x) of it that are on screen.

        Raises
        ------
        ValueError
            Live has to wait; the error says why.
        """
        if self._elsewhere_busy():
            raise ValueError("Live waits while the volume is predicted.")
        if not shows_slices(self._viewer):
            raise ValueError("Live waits: it works on slices (Y, X). Switch back to the 2D view of them.")
        layers = overlays.layers_on(self._viewer, image)
        if unhide:
            overlays.bring_up(layers)
        elif layers and not any(layer.visible for layer in layers):
            raise ValueError(f"Live waits: the layer “{layers[0].name}” is hidden.")
        part = part_in_view(self._viewer, image)
        if part is None:
            raise ValueError(f"Live waits: “{image.name}” is out of view.")
        return slice_in_view(self._viewer, image), *part

    def _on_part(self, found: tasks.LiveFound) -> None:
        if not self.on or self._image not in self._viewer.layers:
            return
        part = found.part
        self._show(part.picture, found.names)
        if part.done != self._done:
            self._done, self._stale = part.done, part
            if not self._pause.isActive():
                self._redraw_stale()

    def _show(self, picture: Picture, names: tuple[str, ...]) -> None:
        assert self._image is not None
        self._follow([])  # making the layers may take older ones away
        self._follow(overlays.live_layers(self._viewer, self._image, names, picture, self._maker))

    def _redraw_stale(self) -> None:
        """Show what came in since, in the overlay and in words: each makes Qt paint the whole window."""
        if self._stale is not None and self._layers:
            self._controls.say(live_words(self._stale))
            self._stale = None
            for layer in self._layers:
                layer.refresh(thumbnail=False, highlight=False, extent=False)
            self._pause.start()

    def _on_ended(self) -> None:
        if self.lane.outcome == "failed":  # and would again, wherever one looks
            self.stop()
            self._controls.say(self.lane.failure)

    def _follow(self, layers: list[napari.layers.Layer]) -> None:
        """Look again when one of these layers is hidden or shown."""
        for layer in self._layers:
            layer.events.visible.disconnect(self.look)
        self._layers = layers
        for layer in layers:
            layer.events.visible.connect(self.look)

    def _on_removed(self, event: Any) -> None:
        if event.value in self._layers:  # by the user, who does not want it
            self.stop()
