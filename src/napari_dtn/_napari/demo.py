"""``python -m napari_dtn._napari.demo FOLDER``: a finished demo in napari, with its overlay and its warp."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from qtpy.QtCore import QTimer

from napari_dtn.demo import BOUNDARIES, IMAGE, SCORES, TRUTH

if TYPE_CHECKING:
    import napari.viewer


WINDOW = (1500, 950)


def show(viewer: napari.viewer.Viewer, folder: Path) -> None:
    """Open the demo's files in a viewer, and the panel with the warp switched on."""
    (image,) = viewer.open(folder / IMAGE, plugin="napari-dtn")
    (truth,) = viewer.open(folder / TRUTH, plugin="napari-dtn")
    truth.visible = False
    viewer.open(folder / BOUNDARIES, plugin="napari-dtn")
    viewer.layers.selection.active = image
    viewer.dims.set_current_step(0, image.data.shape[0] // 2)
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Predict boundaries")
    panel.add_model(json.loads((folder / SCORES).read_text())["model_file"])
    viewer.window.resize(*WINDOW)

    def settle() -> None:
        """Fit the view beside the panel; then look at the warp, which loads the model."""
        viewer.reset_view()
        panel.controls.warp.setChecked(True)

    QTimer.singleShot(1500, settle)


def main() -> None:
    """Show the demo of the folder named on the command line, until its window is closed."""
    show(napari.Viewer(title="napari-dtn demo"), Path(sys.argv[1]))
    napari.run()


if __name__ == "__main__":
    main()
