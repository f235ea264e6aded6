"""What a user does with the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 60_000  # ms


def press(panel: QWidget, name: str) -> QWidget:
    """Return a control by its object name."""
    found = panel.findChild(QWidget, f"predict.{name}")
    assert found is not None, name
    return found


def choose(panel: QWidget, model: Path) -> None:
    panel.controls.add_model(str(model), choose=True)


def finish(qtbot, panel: QWidget) -> None:
    qtbot.waitUntil(lambda: not any(lane.busy for lane in panel._lanes), timeout=PATIENCE)
