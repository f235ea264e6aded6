"""Pictures of napari for the documentation."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

IMAGES = Path(__file__).parent / "images"


def wait(ready: Callable[[], bool]) -> None:
    """Let the window live until it is ready."""
    from qtpy.QtWidgets import QApplication

    while not ready():
        QApplication.processEvents()
        time.sleep(0.01)


def shoot(viewer: napari.Viewer, name: str, ready: Callable[[], bool]) -> None:
    """Keep a picture of the window, once it is ready and had time to settle."""
    wait(ready)
    settled = time.monotonic() + 1
    wait(lambda: time.monotonic() > settled and ready())
    path = IMAGES / f"{name}.png"
    viewer.screenshot(path=str(path), canvas_only=False, flash=False)
    Image.open(path).convert("RGB").quantize(200).save(path, optimize=True)
