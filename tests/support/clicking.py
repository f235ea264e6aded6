"""The click panel over rooms with walls, driven by mouse, keys and controls."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from support.canvas import canvas_of, place_of

SHAPE = (5, 96, 128)
PATIENCE = 60_000
FIRST, SECOND, THIRD = (2, 17, 17), (2, 17, 48), (2, 48, 48)


def control(panel: QWidget, name: str) -> QWidget:
    found = panel.findChild(QWidget, f"click.{name}")
    assert found is not None, name
    return found


def rest(qtbot, panel: QWidget) -> None:
    qtbot.wait(20)
    qtbot.waitUntil(lambda: not panel._lane.busy and not panel._desk.waiting, timeout=PATIENCE)


def begin(qtbot, panel: QWidget) -> None:
    control(panel, "threshold").setValue(80)
    control(panel, "on").click()
    qtbot.waitUntil(lambda: panel._layers is not None, timeout=PATIENCE)
    rest(qtbot, panel)
    control(panel, "threshold").setValue(80)
    rest(qtbot, panel)


def click(qtbot, panel: QWidget, voxel: tuple[int, int, int], button=None, keys=None) -> None:
    """Click on a voxel of the image, in the canvas."""
    canvas, at = canvas_of(panel), place_of(panel, voxel)
    QTest.mouseMove(canvas, at)
    QTest.mouseClick(canvas, button or Qt.LeftButton, keys or Qt.NoModifier, at)
    rest(qtbot, panel)


def key(qtbot, panel: QWidget, code, keys=None) -> None:
    QTest.keyClick(canvas_of(panel), code, keys or Qt.NoModifier)
    rest(qtbot, panel)


def labels(panel: QWidget) -> np.ndarray:
    return np.asarray(panel._viewer.layers["em objects"].data[:])


def work(panel: QWidget) -> np.ndarray:
    return np.asarray(panel._viewer.layers["em object in work"].data)
