"""A napari with the click panel in a process of its own, which tells where everything is on the screen.

``python -m support.click_window ARRAYS.npz FOLDER TOLD.json``
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QPoint, QTimer
from qtpy.QtWidgets import QAbstractButton, QApplication, QWidget

from support.canvas import canvas_of, place_of

Z = 2
#: Voxels of the phantom that the test is about.
PLACES = {
    "first": (Z, 170, 123),
    "more": (Z, 148, 191),  # the neurite beside it
    "above": (0, 148, 191),
    "wrong": (Z, 150, 100),  # the other end of the first
    "third": (Z, 48, 192),
    "fourth": (Z, 48, 100),
    "fifth": (Z, 105, 132),
}


def main(arrays: str, folder: str, told: str) -> None:
    """Open the window, and tell every tenth of a second what is in it."""
    viewer = napari.Viewer(title="napari-dtn")
    viewer.window._qt_window.setGeometry(0, 0, 1280, 800)
    place: dict[str, Any] = {"scale": (30, 6, 6), "units": ("nm",) * 3}
    stored = np.load(arrays)
    image = viewer.add_image(stored["image"], name="em", **place)
    role = {"metadata": {"napari_dtn": {"role": "boundaries"}}, "visible": False}
    viewer.add_image(stored["boundaries"], name="em boundaries", **role, **place)
    viewer.layers.selection.active = image
    viewer.dims.set_point(0, 30.0 * Z)
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Segment by clicking")
    viewer.reset_view()
    panel.controls.folder.setText(folder)
    timer = QTimer()
    timer.timeout.connect(lambda: _tell(panel, Path(told)))
    timer.start(100)
    napari.run()


def _tell(panel: QWidget, told: Path) -> None:
    part = told.with_suffix(".part")
    part.write_text(json.dumps(_state(panel)))
    part.replace(told)


def _state(panel: QWidget) -> dict[str, Any]:
    dialog = QApplication.activeModalWidget()
    lanes, canvas = (panel._lane, panel._shapes.lane), canvas_of(panel)
    work = panel._desk.session.mask if panel._desk.session is not None else None
    return {
        "time": time.monotonic(),
        "window": int((dialog or panel.window()).winId()),
        "dialog": None if dialog is None else type(dialog).__name__,
        "on": panel._layers is not None,
        "busy": any(lane.busy for lane in lanes) or panel._desk.waiting,
        "work": [] if work is None else [name for name, at in PLACES.items() if work[at]],
        "status": panel.controls.status.text(),
        "saved": panel.controls.kept.status.text(),
        "screen": {name: _xy(canvas.mapToGlobal(place_of(panel, at))) for name, at in PLACES.items()}
        | {one.objectName(): _middle(one) for one in panel.findChildren(QAbstractButton) if one.isVisible()}
        | _buttons(dialog)
        | _actions(panel.controls.kept.menu),
    }


def _buttons(dialog: QWidget | None) -> dict[str, list[int]]:
    buttons = [] if dialog is None else dialog.findChildren(QAbstractButton)
    return {one.text(): _middle(one) for one in buttons}


def _actions(menu: Any) -> dict[str, list[int]]:
    if not menu.isVisible():
        return {}
    places = {one.objectName(): menu.actionGeometry(one).center() for one in menu.actions()}
    return {name: _xy(menu.mapToGlobal(at)) for name, at in places.items()}


def _middle(widget: QWidget) -> list[int]:
    return _xy(widget.mapToGlobal(widget.rect().center()))


def _xy(at: QPoint) -> list[int]:
    return [at.x(), at.y()]


if __name__ == "__main__":
    main(*sys.argv[1:])
