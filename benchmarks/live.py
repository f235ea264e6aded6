"""Live boundaries: how soon they are there, how alive the window stays, and that memory stays flat.

    python benchmarks/live.py [--quick] [--minutes 20] [--json PATH] [--model NAME_OR_FILE] [--memory MB]

First new slices of 1024 x 1024 pixels, one after the other: when the first of the overlay is there, when all
of it, and beside it what the backend alone takes for the same tiles. Then a scroll through a zarr of 1 TB,
made of chunks that are computed when they are read: steps through the slices, pans, zooms, and ways back. It
logs the gaps of a 10 ms timer of the window's thread (goals: 99th percentile 100 ms, longest 300 ms; a scroll
with Live off is beside it, for what napari itself takes) and the resident memory. napari's own cache of what
it reads, by default a quarter of the machine's memory, is held at 256 MB.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from heartbeat import Heartbeat, open_panel, phantom_like, random_model, wait

from napari_dtn._napari.view import camera_of

if TYPE_CHECKING:
    import napari
    from qtpy.QtWidgets import QWidget

    from napari_dtn._napari.tasks import LiveFound

SHAPE = (1000, 32_768, 32_768)  # uint8: 1.07 TB
CHUNK = 512
LEVELS = 6
NAPARI_CACHE = 256 * 10**6
Row = dict[str, Any]


def terabyte(shape: tuple[int, int, int] = SHAPE) -> list[Any]:
    """Return lazy arrays, level by level, whose chunks are the phantom's, computed when they are read."""
    import zarr
    from zarr.storage import MemoryStore

    from napari_dtn.volume.opening import volume_from_array

    phantom = phantom_like((16, CHUNK, CHUNK))

    class Computed(MemoryStore):
        async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
            level, _, place = key.partition("/c/")
            if not place:
                return await super().get(key, prototype, byte_range)
            z, at = int(place.split("/")[0]) % len(phantom), (np.arange(CHUNK) << int(level)) % CHUNK
            return prototype.buffer.from_bytes(phantom[z][np.ix_(at, at)].tobytes())

    group = zarr.group(Computed())
    arrays = [
        group.create_array(
            str(level),
            shape=(shape[0], shape[1] >> level, shape[2] >> level),
            chunks=(1, CHUNK, CHUNK),
            dtype="u1",
            compressors=None,
        )
        for level in range(LEVELS)
    ]
    return [volume_from_array(array).data for array in arrays]  # as the package's reader gives them to napari


class Clock:
    """When parts of the overlay are there, in seconds after something was asked for."""

    def __init__(self, panel: QWidget) -> None:
        self._panel = panel
        panel._live.lane.stepped.connect(self._on_part)  # after Live's own, which redraws
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._began, self.first, self.all = time.perf_counter(), 0.0, 0.0

    def _on_part(self, found: LiveFound) -> None:
        part, now = found.part, time.perf_counter() - self._began
        if part.done and not self.first:
            self.first = now
        if part.level == 0 and part.done == part.total:
            self.all = now


def backend_alone(panel: QWidget, z: int) -> float:
    """Return the seconds that the network takes for the tiles of a slice, from memory."""
    from napari_dtn.predict import use_threads

    predictor = panel._live._desk._live.predictor
    use_threads(predictor.settings)
    _, height, width = predictor.volume.shape
    tiles = predictor.grid.over(slice(0, height), slice(0, width))
    images = np.stack([image for *_, image in predictor.source.tiles(z, tiles)])
    size = predictor.settings.batch_size
    began = time.perf_counter()
    for first in range(0, len(images), size):
        predictor.probabilities(images[first : first + size])
    return time.perf_counter() - began


def latency(viewer: napari.Viewer, panel: QWidget, slices: int) -> list[Row]:
    """Go to new slices of 1024 x 1024 pixels, and back."""
    clock, found = Clock(panel), []
    for z in range(slices):
        viewer.dims.set_current_step(0, z)
        clock.reset()
        if z == 0:
            panel.controls.live.box.click()
        wait(lambda: clock.all > 0, 600)
        found.append((clock.first, clock.all, backend_alone(panel, z)))
    overlay, back = viewer.layers["phantom boundaries"], []
    for z in range(slices - 1):
        began = time.perf_counter()
        viewer.dims.set_current_step(0, z)
        back.append(time.perf_counter() - began)
        assert overlay._slice.image.raw.any()
    first, everything, backend = 1e3 * np.median(found[1:], axis=0)
    over = 1e3 * np.median([one[1] - one[2] for one in found[1:]])
    return [
        row("backend alone, tiles of a 1024 x 1024 slice", backend, "ms"),
        row("new slice: first of the overlay", first, "ms", f"below {backend + 500:.0f}"),
        row("new slice: all of the overlay", everything, "ms"),
        row("new slice: all of the overlay, less the backend", over, "ms", "below 500"),
        row("a slice seen before", 1e3 * float(np.median(back)), "ms"),
    ]


def scroll(viewer: napari.Viewer, seconds: float, every: float, memory: list[tuple[float, int]]) -> Heartbeat:
    """Look around for so long, and log the resident memory."""
    heart, process, began = Heartbeat(), psutil.Process(), time.monotonic()
    steps = cycle(["down"] * 6 + ["right"] + ["down"] * 4 + ["out"] + ["down"] * 2 + ["in"] + ["back"] * 3)
    camera = camera_of(viewer)
    with heart.beating():
        for count, step in enumerate(steps):
            if time.monotonic() - began > seconds:
                break
            move(viewer, camera, step)
            due = began + (count + 1) * every
            wait(lambda due=due: time.monotonic() > due)
            memory.append((time.monotonic() - began, process.memory_info().rss))
    return heart


def move(viewer: napari.Viewer, camera: Any, step: str) -> None:
    """Do one thing that a reader does."""
    if step in ("down", "back"):
        depth = viewer.dims.nsteps[0]
        z = viewer.dims.current_step[0] + (1 if step == "down" else -1)
        viewer.dims.set_current_step(0, z % depth)
    elif step == "right":
        zero, y, x = camera.center
        camera.center = (zero, y, (x + 6 * 700) % (6 * SHAPE[2]))
    else:
        camera.zoom *= 0.5 if step == "out" else 2


def row(measure: str, value: float, unit: str, goal: str = "") -> Row:
    """Return a row of the table."""
    return {"measure": measure, "value": round(float(value), 1), "unit": unit, "goal": goal}


def heart_rows(heart: Heartbeat, what: str, goals: tuple[str, str]) -> list[Row]:
    """Return the gaps of a scroll."""
    found = heart.row(what)
    return [
        row(f"{what}: gap of a 10 ms timer, 99th percentile", found["p99_ms"], "ms", goals[0]),
        row(f"{what}: longest gap", found["max_ms"], "ms", goals[1]),
    ]


def memory_rows(memory: list[tuple[float, int]]) -> list[Row]:
    """Return the memory at eight moments, and how it grew once the caches were full."""
    times, sizes = np.array(memory).T
    moments = np.linspace(0, len(times) - 1, 8).astype(int)
    rows = [
        row(f"resident memory after {times[at] / 60:.1f} min", sizes[at] / 2**20, "MiB") for at in moments
    ]
    half = len(times) // 2
    slope = np.polyfit(times[half:] / 60, sizes[half:] / 2**20, 1)[0]
    return [*rows, row("growth in the second half", slope, "MiB/min", "about 0")]


def open_viewer(name: str, data: Any) -> napari.Viewer:
    """Show an array, or those of several levels."""
    import napari

    viewer = napari.Viewer(title="live")
    viewer.window.resize(1500, 950)
    look = {"scale": (30, 6, 6), "units": ("nm",) * 3, "contrast_limits": (0, 255)}
    viewer.add_image(data, name=name, multiscale=isinstance(data, list), **look)
    return viewer


def choose(panel: QWidget, model: str, memory: int) -> None:
    """Choose the model, and how much is kept."""
    panel.add_model(model)
    wait(lambda: bool(panel.controls.model_info.text()), 300)
    panel.controls.live.settings._form.memory.value = memory


def measure(options: argparse.Namespace, model: str) -> list[Row]:
    """Open napari twice: over small slices, and over the terabyte."""
    from napari.utils import resize_dask_cache

    resize_dask_cache(NAPARI_CACHE)
    viewer = open_viewer("phantom", phantom_like((16, 1024, 1024)))
    panel = open_panel(viewer)
    choose(panel, model, options.memory)
    rows = latency(viewer, panel, 3 if options.quick else 12)
    viewer.close()
    seconds = 20 if options.quick else 60 * options.minutes
    viewer = open_viewer("terabyte", terabyte())
    panel = open_panel(viewer)
    choose(panel, model, options.memory)
    camera = camera_of(viewer)
    camera.zoom = 1 / 6
    rows += heart_rows(scroll(viewer, min(60, seconds / 4), options.every, []), "Live off", ("", ""))
    panel.controls.live.box.click()
    wait(lambda: panel.controls.live.note.text().startswith("Live:"), 300)
    memory: list[tuple[float, int]] = []
    heart = scroll(viewer, seconds, options.every, memory)
    rows += heart_rows(heart, "Live on", ("below 100", "below 300"))
    rows += memory_rows(memory)
    panel.controls.live.box.click()
    wait(lambda: not panel._live.lane.busy, 60)
    viewer.close()
    return rows


def main() -> None:
    """Measure, and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few slices and a short scroll, under a minute")
    parser.add_argument("--json", type=Path, help="write the rows to this file; - is standard output")
    parser.add_argument("--seed", type=int, default=0, help="of the random model")
    parser.add_argument("--minutes", type=float, default=20, help="of the scroll")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two movements")
    parser.add_argument("--memory", type=int, default=256, help="most memory that Live keeps, in MB")
    parser.add_argument("--model", help="bundled name or file; by default the bundled one, or a random one")
    options = parser.parse_args()
    if options.quick:
        options.memory, options.every = 64, 0.5
    from napari_dtn.nn.bundled import bundled_models

    with tempfile.TemporaryDirectory() as folder:
        chosen = options.model or next(iter(bundled_models()), "") or random_model(Path(folder), options.seed)
        rows = measure(options, chosen)
    from common import report  # not earlier: it loads torch, which napari would then not have to

    report(rows, options)


if __name__ == "__main__":
    main()
