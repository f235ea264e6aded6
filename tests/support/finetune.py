"""What a user does with the panel that teaches: mouse, keys, controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from support.canvas import canvas_of, place_of

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 60_000  # ms


def control(panel: QWidget, name: str) -> QWidget:
    """Return a control by its object name."""
    found = panel.findChild(QWidget, f"finetune.{name}")
    assert found is not None, name
    return found


def rest(qtbot, panel: QWidget) -> None:
    """Wait until nothing runs and nothing waits."""
    qtbot.wait(30)
    idle = lambda: not any(lane.busy for lane in panel._lanes) and not panel.annotating.desk.waiting  # noqa: E731
    qtbot.waitUntil(idle, timeout=PATIENCE)


def begin(qtbot, panel: QWidget) -> None:
    """Press “New annotation”, and wait for the layer."""
    control(panel, "on").click()
    qtbot.waitUntil(lambda: panel.annotating.layer is not None, timeout=PATIENCE)
    rest(qtbot, panel)


def annotation(panel: QWidget) -> np.ndarray:
    """Return what the store holds, as the disk has it."""
    return np.asarray(panel.annotating.annotations.labels[:])


def drag(qtbot, panel: QWidget, start: tuple[int, int, int], end: tuple[int, int, int]) -> None:
    """Draw from voxel to voxel with the left button, in small steps."""
    canvas, (first, last) = canvas_of(panel), (place_of(panel, at) for at in (start, end))
    QTest.mouseMove(canvas, first)
    QTest.mousePress(canvas, Qt.LeftButton, Qt.NoModifier, first)
    for share in np.linspace(0, 1, 12):
        QTest.mouseMove(canvas, first + (last - first) * float(share))
        qtbot.wait(5)
    QTest.mouseRelease(canvas, Qt.LeftButton, Qt.NoModifier, last)
    rest(qtbot, panel)


def key(qtbot, panel: QWidget, code, modifiers=Qt.NoModifier) -> None:
    QTest.keyClick(canvas_of(panel), code, modifiers)
    rest(qtbot, panel)


def start_from(panel: QWidget, model: Path) -> None:
    """Choose the model of a file."""
    box = control(panel, "model")
    box.addItem(model.stem, str(model))
    box.setCurrentIndex(box.count() - 1)


def say_all(qtbot, panel: QWidget, said: np.ndarray) -> None:
    """Annotate a whole array at once, through the panel's own way to the store."""
    full = tuple(slice(0, side) for side in said.shape)
    panel.annotating.ask(lambda annotations: "said" if annotations.paint(full, said) else "")
    rest(qtbot, panel)
