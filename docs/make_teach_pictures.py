"""The picture of docs/teaching.md, of a phantom: ``python docs/make_teach_pictures.py``, on a display."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import napari
from qtpy.QtWidgets import QWidget
from shots import shoot, wait

from napari_dtn.phantom import PhantomSettings, make_phantom

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from strokes import paint

STROKES, SHOWN = 8, 3  # the slice in view


def main() -> None:
    """Strokes on a few slices, and what they have taught when the training ends."""
    phantom = make_phantom(PhantomSettings(shape=(8, 384, 384), seed=3))
    viewer = napari.Viewer(title="napari-dtn")
    viewer.window.resize(1280, 800)
    viewer.add_image(255 - phantom.image, name="em", scale=(30, 6, 6), units=("nm",) * 3)
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Teach the model")
    control = lambda name: panel.findChild(QWidget, f"finetune.{name}")  # noqa: E731
    idle = lambda: not any(lane.busy for lane in panel._lanes) and not panel.annotating.desk.waiting  # noqa: E731
    with tempfile.TemporaryDirectory() as folder:
        control("folder").setText(str(Path(folder) / "em objects"))
        control("on").click()
        wait(lambda: panel.annotating.layer is not None and idle())
        said = paint(phantom.labels, (1, SHOWN, 6), STROKES, seed=1)
        whole = tuple(slice(0, side) for side in said.shape)
        panel.annotating.ask(lambda annotations: "said" if annotations.paint(whole, said) else "")
        wait(idle)
        viewer.reset_view()
        viewer.dims.set_current_step(0, SHOWN)
        control("tabs").setCurrentIndex(1)
        control("train").click()
        wait(lambda: panel.teaching.running)
        shoot(viewer, "teach-panel", lambda: not panel.teaching.running and idle())
        control("cancel").click()
        wait(idle)
        panel._leave()
    viewer.close()


if __name__ == "__main__":
    main()
