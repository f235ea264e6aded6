"""What every panel does: its controls lie over buttons that copy, and it stops when it leaves its dock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dtn._napari.copying import CopyButtons
from napari_dtn._napari.job import Lane, show_logged_warnings
from napari_dtn._napari.renaming import follow_names

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari.viewer
    from qtpy.QtGui import QCloseEvent

    from napari_dtn.recipes import Recipe


class Panel(QWidget):
    """A panel.

    Parameters
    ----------
    name
        Its object name, with which those of its controls begin.
    viewer
        Its layers are offered, and it gets what is found.
    """

    def __init__(self, name: str, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName(name)
        self._viewer = viewer
        follow_names(viewer)
        show_logged_warnings()

    def _lay_out(self, controls: QWidget, recipe: Callable[[], Recipe]) -> None:
        """Show the controls, and buttons that copy what would be run."""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(controls)
        layout.addWidget(CopyButtons(self.objectName(), recipe))

    def event(self, event: QEvent) -> bool:
        """Stop when the panel is taken out of its dock: napari hides it and keeps it."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._leave()
        return bool(super().event(event))

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Stop what runs."""
        self._leave()
        super().closeEvent(event)

    def _leave(self) -> None:
        """Stop what runs; the layers stay as they are."""
        raise NotImplementedError


def stop(lanes: list[Lane], *_: Any) -> None:
    """Cancel what runs in some lanes."""
    for lane in lanes:
        lane.cancel()
