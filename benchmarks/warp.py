"""How alive the window stays while the warps of a slice are drawn, live, as one scrolls.

    python benchmarks/warp.py [--quick] [--json PATH] [--model NAME_OR_FILE]

Opens napari on the display with a volume of 1024 x 1024 pixels a slice, ticks every box of the panel "Warp",
and scrolls through slices. Logs the gaps of a 10 ms timer of the window's thread (goals: the 99th percentile
below 100 ms, the longest below 300 ms), the processor time of the window's thread for a drawing, and how long
after a movement it is there. The first slice loads torch and the model, and has no goal.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heartbeat import Heartbeat, phantom_like, wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari

FULL, QUICK = (24, 1024, 1024), (4, 512, 512)
BOXES = ("lattice", "grid", "displacement", "area", "folds")


class Handing:
    """Times what the window's thread does for a drawing: processor time, a layer at a time."""

    def __init__(self) -> None:
        from napari_dtn._napari import warp_layers

        self.spent: list[float] = []
        self._module, self._showing = warp_layers, warp_layers.showing
        warp_layers.showing = self  # type: ignore[assignment]  # a callable, if not a function

    def __call__(self, *what: Any) -> Iterator[None]:
        """Do what ``warp_layers.showing`` does."""
        steps, spent, begun = self._showing(*what), 0.0, time.thread_time()
        for step in steps:
            spent += time.thread_time() - begun
            yield step
            begun = time.thread_time()
        self.spent.append(1e3 * spent)

    def undo(self) -> None:
        """Leave the module as it was."""
        self._module.showing = self._showing


def scroll(viewer: napari.Viewer, handing: Handing, slices: range, phase: str) -> dict[str, Any]:
    """Go through slices, wait for each drawing, and return the gaps in numbers."""
    heart, waited = Heartbeat(), []
    with heart.beating():
        for z in slices:
            drawn, begun = len(handing.spent), time.perf_counter()
            viewer.dims.set_current_step(0, z)
            wait(lambda drawn=drawn: len(handing.spent) > drawn)
            waited.append(time.perf_counter() - begun)
    drawing = sum(handing.spent[-len(slices) :]) / len(slices)
    there = sum(waited) / len(waited)
    return {**heart.row(phase), "drawing_ms": round(drawing, 1), "there_s": round(there, 2)}


def measure(shape: tuple[int, int, int], model: str, viewer: napari.Viewer) -> list[dict[str, Any]]:
    """Scroll through a volume of this shape in a window."""
    viewer.add_image(phantom_like(shape), name="phantom", scale=(30, 6, 6), units=("nm",) * 3)
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Warp")
    handing, rows = Handing(), []
    panel.controls.add_model(model, unet=False, choose=True)
    viewer.dims.set_current_step(0, 0)
    opening = Heartbeat()
    with opening.beating():
        for name in BOXES:
            panel.controls.boxes[name].setChecked(True)
        wait(lambda: bool(handing.spent) and not any(lane.busy for lane in panel._lanes), 300)
    rows.append({**opening.row("first slice, load torch"), "drawing_ms": "", "there_s": ""})
    for phase, slices in (("new slices", range(1, shape[0])), ("back", range(shape[0] - 2, -1, -1))):
        rows.append(scroll(viewer, handing, slices, phase))
    handing.undo()
    facts = {"slice": f"{shape[1]} x {shape[2]}", "model": Path(model).name}
    return [{**row, **facts} for row in rows]


def main() -> None:
    """Measure, and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small volume, under a minute")
    parser.add_argument("--json", type=Path, help="write the rows to this file; - is standard output")
    parser.add_argument("--seed", type=int, default=0, help="has no effect: nothing here is random")
    parser.add_argument("--model", default="dtn-snemi3d", help="bundled name or file")
    options = parser.parse_args()
    import napari

    viewer = napari.Viewer(title="warp")
    rows = measure(QUICK if options.quick else FULL, options.model, viewer)
    viewer.close()
    from common import report  # not earlier: it loads torch, which is part of what is measured

    report(rows, options)


if __name__ == "__main__":
    main()
