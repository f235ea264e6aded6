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
    from qtpy.QtWidgets import QWidget

FULL, QUICK = (24, 1024, 1024), (4, 512, 512)
BOXES = ("lattice", "grid", "displacement", "area", "folds")


class Handing:
    """Times what the window's thread does for a drawing."""

    def __init__(self) -> None:
        from napari_dtn._napari import warp_layers

        self.spent: list[float] = []
        self._showing = warp_layers.showing
        warp_layers.showing = self

    def __call__(self, *what: Any) -> Iterator[None]:
        begun = time.thread_time()
        for _ in self._showing(*what):
            yield
        self.spent.append(1e3 * (time.thread_time() - begun))


def scroll(viewer: napari.Viewer, panel: QWidget, handing: Handing, slices: range) -> dict[str, Any]:
    """Go through slices, wait for each drawing, and return the gaps in numbers."""
    heart, waited = Heartbeat(), []
    with heart.beating():
        for z in slices:
            drawn, begun = len(handing.spent), time.perf_counter()
            viewer.dims.set_current_step(0, z)
            wait(lambda drawn=drawn: len(handing.spent) > drawn)
            waited.append(time.perf_counter() - begun)
    spent = handing.spent[-len(slices) :]
    return {
        "drawing_ms": round(sum(spent) / len(spent), 1),
        "there_s": round(sum(waited) / len(waited), 2),
    }, heart


def measure(shape: tuple[int, int, int], model: str) -> list[dict[str, Any]]:
    """Open napari, and scroll through a volume of this shape."""
    import napari

    viewer = napari.Viewer(title="warp")
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
    rows.append(opening.row("first slice, load torch"))
    for phase, slices in (("new slices", range(1, shape[0])), ("back", range(shape[0] - 2, -1, -1))):
        numbers, heart = scroll(viewer, panel, handing, slices)
        rows.append({**heart.row(phase), **numbers})
    viewer.close()
    facts = {"slice": f"{shape[1]} x {shape[2]}", "model": model}
    return [{**row, **facts} for row in rows]


def main() -> None:
    """Measure, and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small volume, under a minute")
    parser.add_argument("--json", type=Path, help="write the rows to this file; - is standard output")
    parser.add_argument("--seed", type=int, default=0, help="has no effect: nothing here is random")
    parser.add_argument("--model", default="dtn-snemi3d", help="bundled name or file")
    options = parser.parse_args()
    rows = measure(QUICK if options.quick else FULL, options.model)
    from common import report  # not earlier: it loads torch, which is part of what is measured

    report(rows, options)


if __name__ == "__main__":
    main()
