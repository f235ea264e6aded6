"""The legend of the warp layers, on the canvas."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from napari_dtn._napari.warp_drawing import (
    AREA,
    ARROWS,
    CHANGED,
    EFFECTIVE,
    FIDUCIALS,
    FOLDS,
    GRID,
    MOVES,
    PATCH,
)

if TYPE_CHECKING:
    import napari.viewer

_WORDS = {
    FIDUCIALS: "yellow points: where the fiducial points look",
    ARROWS: "orange arrows: from their places at rest",
    GRID: "blue lines: a straight grid, as the warp bends it",
    MOVES: "small arrows: where each place looks (right vermilion, up yellow, left blue, down pink)",
    AREA: "area map: blue looks closer, orange wider; at the bar's ends half and twice the area",
    FOLDS: "vermilion crosses: the warp folds over",
    PATCH: "yellow cross: the pixel; orange: its learned patch; white: a U-Net's square; "
    "blue: what the skip connections see unwarped",
    EFFECTIVE: "yellow glow: how much each pixel decides about it",
    CHANGED: "vermilion: only the DTN says boundary; blue: only the other does",
}
_WIDTH = 52  # letters: what a narrow canvas has room for
_SIZE = 9  # points
_EXAGGERATED = (FIDUCIALS, ARROWS, GRID, MOVES)


class Legend:
    """Words in a corner of the canvas; what stood there before comes back.

    Parameters
    ----------
    viewer
        On whose canvas.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = viewer
        self._before: tuple[str, bool] | None = None

    @property
    def _overlay(self) -> Any:
        """The canvas's text, which napari 0.9 moved."""
        canvas = getattr(self._viewer, "canvas", None)
        return self._viewer.text_overlay if canvas is None else canvas.overlays.text

    def show(self, shown: Sequence[str], factor: float) -> None:
        """Say what the layers with these names show."""
        if not shown:
            self.clear()
            return
        overlay = self._overlay
        if self._before is None:
            self._before = overlay.text, overlay.visible
        words = legend_words(shown, factor)
        if not overlay.visible or overlay.text != words:
            overlay.visible = False  # the canvas finds room for it when it appears, and at no other time
            overlay.font_size, overlay.box, overlay.text = _SIZE, True, words
            overlay.visible = True

    def clear(self) -> None:
        """Bring back what stood there."""
        if self._before is not None:
            self._overlay.text, self._overlay.visible = self._before
            self._before = None


def legend_words(shown: Sequence[str], factor: float) -> str:
    """Return a line for each layer, and one for an exaggeration."""
    lines = [words for what, words in _WORDS.items() if what in shown]
    if factor != 1 and any(what in shown for what in _EXAGGERATED):
        lines.append(f"displacements drawn {factor:g} times as long as they are")
    return "\n".join(part for line in lines for part in wrap(line, _WIDTH, subsequent_indent="   "))
