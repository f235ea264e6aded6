"""The pictures of docs/warp.md, of the phantom: ``python docs/make_warp_pictures.py``, on a display.

The animation needs no display: ``python docs/make_warp_pictures.py animation``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image
from shots import IMAGES, shoot

from napari_dtn.colours import AREA, ORANGE, SKY, WHITE, YELLOW
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.phantom import PhantomSettings, make_phantom
from napari_dtn.predict import Predictor
from napari_dtn.predict.warping import pixel_patch, tile_warps
from napari_dtn.volume.opening import volume_from_array
from napari_dtn.warp import Piece, line_segments, mosaic, outlines

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari
    from qtpy.QtWidgets import QWidget

SHAPE, Z = (8, 512, 512), 4
FRAMES, CIRCLE, SIDE = 36, 90.0, 4.0  # frames, radius in pixels of the slice, inches


def animation() -> None:
    """A pixel goes round, with its learned patch and the square of a U-Net."""
    phantom = make_phantom(PhantomSettings(shape=SHAPE))
    predictor = Predictor.of(load_model("dtn-snemi3d"), volume_from_array(phantom.image, phantom.voxel_size))
    grid = predictor.grid
    rows = [[grid.tile(row, column) for column in range(grid.counts[1])] for row in range(grid.counts[0])]
    found = [one for row in rows for one in tile_warps(predictor, Z, row)]
    pieces = [Piece(warp, *grid.owned(tile)) for tile, (warp,) in found]
    frames = [_frame(phantom.image[Z], predictor, pieces, 2 * np.pi * n / FRAMES) for n in range(FRAMES)]
    palette = Image.fromarray(np.concatenate(frames[:: FRAMES // 4])).quantize(128)
    indexed = [Image.fromarray(one).quantize(palette=palette, dither=0).convert("RGB") for one in frames]
    iio.imwrite(IMAGES / "warp.gif", [np.asarray(one) for one in indexed], duration=110, loop=0)


def _frame(image: np.ndarray, predictor: Predictor, pieces: list[Piece], angle: float) -> np.ndarray:
    middle = np.array(image.shape) / 2
    y, x = (int(at) for at in middle + CIRCLE * np.array([np.sin(angle), np.cos(angle)]))
    figure = Figure(figsize=(SIDE, SIDE), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1))
    _background(axis, image, pieces)
    patch = pixel_patch(predictor, (y, x), predictor.warps(Z, y, x))
    for mask, color in ((patch.plain, WHITE), (patch.skip, SKY), (patch.warped, ORANGE)):
        for line in outlines(mask, patch.origin):
            axis.plot(line[:, 1], line[:, 0], color=color, linewidth=2)
    axis.plot(x, y, "+", color=YELLOW, markersize=10, markeredgewidth=2)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _background(axis: Any, image: np.ndarray, pieces: list[Piece]) -> None:
    area, _ = mosaic(pieces, 8)
    limit, extent = np.log(2), (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
    axis.imshow(image, cmap="gray", extent=extent)
    colours = LinearSegmentedColormap.from_list("area", AREA)
    axis.imshow(area, cmap=colours, vmin=-limit, vmax=limit, extent=extent, alpha=0.7)
    for piece in pieces:
        for (y, x), (down, right) in line_segments(piece, 32, 16):
            axis.plot([x, x + right], [y, y + down], color=SKY, linewidth=0.5, alpha=0.7)
    axis.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])


def panel() -> None:
    """The panel over the phantom: lattice and lines; areas; a patch; a comparison."""
    import napari

    phantom = make_phantom(PhantomSettings(shape=SHAPE))
    viewer = napari.Viewer(title="napari-dtn")
    viewer.window.resize(1300, 820)
    place: dict[str, Any] = {"scale": phantom.voxel_size, "units": ("nm",) * 3}
    image = viewer.add_image(phantom.image, name="phantom", **place)
    viewer.add_labels(phantom.labels, name="phantom truth", visible=False, **place)
    viewer.layers.selection.active = image
    viewer.dims.set_current_step(0, Z)
    _, dock = viewer.window.add_plugin_dock_widget("napari-dtn", "Warp")
    viewer.reset_view()
    boxes = dock.controls.boxes
    _shot(viewer, dock, "warp-grid", lambda: [boxes[name].setChecked(True) for name in ("lattice", "grid")])
    others = [box for name, box in boxes.items() if name != "folds"]
    _shot(viewer, dock, "warp-area", lambda: [box.toggle() for box in others])
    _shot(viewer, dock, "warp-patch", lambda: _point(viewer, dock))
    dock.controls.patch.setCurrentText("Off")
    _shot(viewer, dock, "warp-compare", dock.controls.compare.click)
    viewer.close()


def _point(viewer: napari.Viewer, dock: QWidget) -> None:
    for box in dock.controls.boxes.values():
        box.setChecked(False)
    dock.controls.effective.setChecked(True)
    viewer.mouse_over_canvas = True
    z, y, x = viewer.layers["phantom"].data_to_world((Z, 260, 240))
    viewer.cursor.position = (z, y, x)
    dock.controls.patch.setCurrentText("Under the cursor")
    viewer.cursor.position = (z, y, x + 1)


def _shot(viewer: napari.Viewer, dock: QWidget, name: str, action: Callable[[], Any]) -> None:
    action()
    shoot(viewer, name, lambda: not dock._turn.isActive() and not any(lane.busy for lane in dock._lanes))


if __name__ == "__main__":
    animation()
    if "animation" not in sys.argv:
        panel()
