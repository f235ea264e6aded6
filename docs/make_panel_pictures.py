"""The pictures of docs/first-steps.md: ``python docs/make_panel_pictures.py``, on a display."""

from __future__ import annotations

import tempfile
from pathlib import Path

import napari
from shots import shoot, wait


def main() -> None:
    """A preview, Live with the warp of a tile, closer, and a prediction in progress."""
    viewer = napari.Viewer(title="napari-dtn")
    viewer.window.resize(1400, 875)
    image, truth = viewer.open_sample("napari-dtn", "phantom")
    truth.visible = False
    viewer.layers.selection.active = image
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Predict boundaries")
    viewer.reset_view()
    viewer.dims.set_current_step(0, 8)
    controls, boundaries = panel.controls, f"{image.name} boundaries"

    def idle() -> bool:
        return controls.device.count() > 1 and not any(lane.busy for lane in panel._lanes)

    def all_live() -> bool:
        return controls.live.note.text().startswith("Live: all") and idle()

    controls.preview.click()
    shoot(viewer, "preview", lambda: idle() and boundaries in viewer.layers)
    viewer.layers.remove(boundaries)
    controls.output.setText("boundaries.zarr")
    controls.live.box.click()
    controls.warp.click()
    shoot(viewer, "predict-panel", all_live)
    viewer.scene.camera.zoom *= 2
    shoot(viewer, "warp", all_live)
    controls.live.box.click()
    controls.warp.click()
    viewer.layers.remove(boundaries)
    viewer.reset_view()
    viewer.dims.set_current_step(0, 3)
    with tempfile.TemporaryDirectory() as folder:
        controls.output.setText(str(Path(folder) / "boundaries.zarr"))
        controls.run.click()
        shoot(viewer, "progress", lambda: controls.progress.value() > controls.progress.maximum() // 3)
        controls.cancel.click()
        wait(idle)
    viewer.close()


if __name__ == "__main__":
    main()
