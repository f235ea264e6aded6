"""The pictures of docs/clicking.md, of the phantom: ``python docs/make_click_pictures.py``, on a display."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import napari
import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont
from shots import IMAGES, shoot, wait

from napari_dtn._napari import click_actions as actions
from napari_dtn.colours import ORANGE, SKY, WHITE

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

Z = 8
TOP, LEFT, HEIGHT, WIDTH = 190, 135, 250, 320  # of the part of a slice that is filmed
ZOOM, STRIP, COLOURS = 2, 40, 80  # pixels of a voxel, height of the words, colours of the animation
THICK, OTHER, BIG, BRANCH = (402, 228), (300, 225), (317, 423), (240, 314)
MORE = ((453, 162), (121, 418), (64, 79), (471, 63), (384, 454))
POINTER = ((0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12))
FONT = ImageFont.truetype(findfont("DejaVu Sans"), 18)


class Film:
    """Frames of the canvas, each with a pointer, words and a time."""

    def __init__(self, viewer: napari.Viewer, panel: QWidget) -> None:
        self._viewer, self._panel = viewer, panel
        self._at = (TOP + HEIGHT // 2, LEFT + WIDTH // 2)
        self._frames: list[Image.Image] = []
        self._times: list[int] = []

    def show(self, words: str, time: int, ring: str = "") -> None:
        """Add a frame; a ring around the pointer says that a button is pressed."""
        rest(self._panel)
        canvas = self._viewer.screenshot(canvas_only=True, flash=False)
        height, width = HEIGHT * ZOOM, WIDTH * ZOOM
        top, left = (canvas.shape[0] - height) // 2, (canvas.shape[1] - width) // 2
        frame = Image.new("RGB", (width, height + STRIP), "#262930")
        frame.paste(Image.fromarray(canvas[top : top + height, left : left + width, :3]))
        draw = ImageDraw.Draw(frame)
        x, y = ((at - start) * ZOOM for at, start in zip(self._at[::-1], (LEFT, TOP), strict=True))
        if ring:
            draw.circle((x, y), 14, outline=ring, width=4)
        draw.polygon([(x + right, y + down) for right, down in POINTER], WHITE, "black")
        middle = height + STRIP // 2
        draw.text((12, middle), words, WHITE, FONT, "lm")
        draw.text((width - 12, middle), f"z {self._viewer.dims.current_step[0]}", WHITE, FONT, "rm")
        self._frames.append(frame)
        self._times.append(time)

    def click(self, at: tuple[int, int], words: str, found: str, positive: bool = True) -> None:
        """Go to a place of the slice, click, left or right, and say what was found."""
        start = np.array(self._at)
        for share in (0.4, 0.8, 1.0):
            y, x = (int(one) for one in start + share * (np.array(at) - start))
            self._at = (y, x)
            self.show(words, 120)
        self.show(words, 400, SKY if positive else ORANGE)
        self._panel._on_click((self._viewer.dims.current_step[0], *at), positive)
        self.show(found, 1600)

    def keep(self, words: str) -> None:
        """Press Enter."""
        self._panel._ask(actions.committed)
        self.show(words, 1300)

    def turn(self, z: int, words: str, time: int) -> None:
        """Go to a slice."""
        self._viewer.dims.set_current_step(0, z)
        self.show(words, time)

    def save(self, name: str) -> None:
        """Write the animation, with one palette for all frames."""
        rare = Image.Quantize.MAXCOVERAGE  # colours of small things count
        palette = Image.fromarray(np.concatenate(self._frames)).quantize(COLOURS, rare)
        first, *others = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in self._frames]
        first.save(IMAGES / name, save_all=True, append_images=others, duration=self._times, loop=0)


def rest(panel: QWidget) -> None:
    """Wait until the panel has done what was asked."""
    wait(lambda: not any(lane.busy for lane in panel._lanes) and not panel._desk.waiting)


def animation(viewer: napari.Viewer, panel: QWidget) -> None:
    """Click, exclude, keep, click, extend, keep, and through the slices."""
    viewer.scene.camera.zoom = ZOOM / 6
    viewer.scene.camera.center = (6 * (TOP + HEIGHT / 2 - 0.5), 6 * (LEFT + WIDTH / 2 - 0.5))
    film = Film(viewer, panel)
    film.show("Through the slices", 900)
    film.click(THICK, "Click inside a neurite", "This is more than one")
    film.click(OTHER, "Right click: this does not belong to it", "It is gone", positive=False)
    film.keep("Enter keeps it")
    film.click(BIG, "Click on another one", "Its branch is missing")
    film.click(BRANCH, "Click on the branch", "It is one with it, through the slices")
    film.keep("Enter keeps it")
    for z in range(Z + 2, 16, 2):
        film.turn(z, "Both are kept, through the slices", 900)
    film.save("click.gif")


def picture(viewer: napari.Viewer, panel: QWidget) -> None:
    """The panel with some kept objects and one in work."""
    viewer.window.resize(1280, 800)
    viewer.reset_view()
    viewer.dims.set_current_step(0, Z)
    *kept, last = MORE
    for at in kept:
        panel._on_click((Z, *at), True)
        panel._ask(actions.committed)
        rest(panel)
    panel._on_click((Z, *last), True)
    panel.controls.folder.setText("phantom objects")
    panel.controls.objects.selectRow(0)
    shoot(viewer, "click-panel", lambda: not panel._lane.busy and not panel._desk.waiting)


def main() -> None:
    """Open the phantom and the panel, and make both."""
    viewer = napari.Viewer(title="napari-dtn")
    viewer.window.resize(1500, 900)  # the canvas has room for the animation
    image, truth = viewer.open_sample("napari-dtn", "phantom")
    truth.visible = False
    viewer.layers.selection.active = image
    viewer.dims.set_current_step(0, Z)
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Segment by clicking")
    with tempfile.TemporaryDirectory() as folder:
        panel.controls.folder.setText(str(Path(folder) / "objects"))
        panel.controls.on.click()
        wait(lambda: panel._layers is not None)
        panel.controls.mode.setCurrentIndex(1)
        animation(viewer, panel)
        picture(viewer, panel)
        viewer.close()


if __name__ == "__main__":
    main()
