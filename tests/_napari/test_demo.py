"""The demo's window: what was predicted, laid over the phantom, with the warp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_dtn._napari.demo import show
from napari_dtn.demo import run_demo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytestqt.qtbot import QtBot


def test_the_window_shows_overlay_and_warp(
    make_napari_viewer: Callable[..., Any], qtbot: QtBot, tiny_model: Path, tmp_path: Path
) -> None:
    run_demo(tmp_path, tiny_model, quick=True)
    viewer = make_napari_viewer()
    show(viewer, tmp_path)
    qtbot.waitUntil(lambda: "phantom warp tile grid" in viewer.layers, timeout=60_000)
    assert {"phantom", "phantom truth", "phantom boundaries", "phantom warp tile fiducials"} <= {
        layer.name for layer in viewer.layers
    }
    assert not viewer.layers["phantom truth"].visible
    assert tuple(viewer.layers["phantom boundaries"].scale) == (30, 6, 6)
    assert viewer.layers["phantom boundaries"].data[2].max() > 0
    assert viewer.layers.selection.active.name == "phantom"
