"""How alive the window stays while a volume is predicted, and while objects are clicked.

    python benchmarks/heartbeat.py [--quick] [--json PATH] [--model NAME_OR_FILE]

Opens napari on the display, predicts a volume of 100 x 1024 x 1024 voxels through the panel, then clicks
on objects with the mouse and keeps them, in slices and through the slices, teaches the bundled model for two
minutes, and logs the gaps of a 10 ms timer of the window's thread. Goals: the 99th percentile below 100 ms,
the longest below 300 ms. The first row is opening the panel and loading torch, which happens once and has no
goal.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import napari
    from qtpy.QtWidgets import QWidget

    from napari_dtn.phantom import Phantom

BEAT = 10  # ms
FULL, QUICK = (100, 1024, 1024), (6, 512, 512)
NM = {"scale": (30, 6, 6), "units": ("nm",) * 3}


class Heartbeat:
    """Gaps between the beats of a timer in the window's thread."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._last = 0.0
        self.gaps: list[float] = []

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Log the gaps, in ms, while the block runs."""
        self._last = time.perf_counter()
        self._timer.start(BEAT)
        yield
        self._timer.stop()
        self._beat()

    def _beat(self) -> None:
        now = time.perf_counter()
        self.gaps.append(1e3 * (now - self._last))
        self._last = now

    def row(self, phase: str) -> dict[str, Any]:
        """Return the gaps in numbers."""
        median, p99 = np.percentile(self.gaps, (50, 99))
        return {
            "phase": phase,
            "seconds": round(sum(self.gaps) / 1e3, 1),
            "beats": len(self.gaps),
            "median_ms": round(float(median), 1),
            "p99_ms": round(float(p99), 1),
            "max_ms": round(max(self.gaps), 1),
        }


def wait(done: Callable[[], bool], seconds: float = 7200) -> None:
    """Run Qt's event loop until something is so.

    Raises
    ------
    TimeoutError
        It did not come about.
    """
    from qtpy.QtCore import QEventLoop, QTimer

    loop, poll, limit = QEventLoop(), QTimer(), time.monotonic() + seconds
    poll.timeout.connect(lambda: loop.quit() if done() or time.monotonic() > limit else None)
    poll.start(50)
    loop.exec()
    poll.stop()
    if not done():
        raise TimeoutError(f"nothing happened within {seconds:g} s")


def open_panel(viewer: napari.Viewer) -> QWidget:
    """Open the panel as the menu does, and wait until it has found the devices."""
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Predict boundaries")
    device = panel.controls.device
    wait(lambda: device.count() > 1, 300)
    return panel


def predict_through_panel(panel: QWidget, model: str, output: Path) -> dict[str, Any]:
    """Press "Predict volume", and measure until it is done."""
    from qtpy.QtWidgets import QLineEdit, QPushButton

    panel.add_model(model)
    wait(lambda: bool(panel.controls.model_info.text()), 300)
    panel.findChild(QLineEdit, "predict.output").setText(str(output))
    run, heart = panel.findChild(QPushButton, "predict.run"), Heartbeat()
    with heart.beating():
        run.click()
        wait(lambda: run.isEnabled())
    return heart.row("predict volume")


def teach_through_panel(viewer: napari.Viewer, folder: Path, seconds: float) -> dict[str, Any]:
    """Annotate bands of three slices, press "Train", and measure until it is done."""
    from qtpy.QtWidgets import QDoubleSpinBox, QLineEdit, QPushButton

    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Teach the model")
    panel.findChild(QLineEdit, "finetune.folder").setText(str(folder))
    panel.findChild(QPushButton, "finetune.on").click()
    wait(lambda: panel.annotating.layer is not None, 300)
    for z in range(3):
        for value, x in ((1, 40), (2, 80)):
            pixels = np.mgrid[z : z + 1, 100:140, x : x + 40].reshape(3, -1)
            panel.annotating.layer.layer.data_setitem(tuple(pixels), value)
    wait(lambda: not panel.annotating.lane.busy, 300)
    panel.controls.tabs.setCurrentIndex(1)
    panel.findChild(QDoubleSpinBox, "finetune.minutes").setValue(seconds / 60)
    heart = Heartbeat()
    with heart.beating():
        panel.findChild(QPushButton, "finetune.train").click()
        wait(lambda: not panel.teaching.running)
    end = panel.controls.status.text()
    panel.findChild(QPushButton, "finetune.cancel").click()
    facts = {"volume": " x ".join(map(str, viewer.layers["phantom"].data.shape))}
    return {
        **heart.row("teach a model"),
        **facts,
        "model": panel.controls.train.model.currentText(),
        "end": end.split(":")[0],
    }


def open_clicking(viewer: napari.Viewer, folder: Path) -> QWidget:
    """Open the other panel over the image, with its true boundaries, and start clicking."""
    from qtpy.QtWidgets import QLineEdit, QPushButton

    image = viewer.layers["phantom"]
    boundaries = boundaries_like(image.data.shape)
    role = {"napari_dtn": {"role": "boundaries"}}
    viewer.add_image(boundaries, name="phantom boundaries", visible=False, metadata=role, **NM)
    viewer.layers.selection.active = image
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Segment by clicking")
    panel.findChild(QLineEdit, "click.folder").setText(str(folder))
    panel.findChild(QPushButton, "click.on").click()
    wait(lambda: panel.controls.status.text().startswith("Click"), 300)
    return panel


def click_through_panel(viewer: napari.Viewer, panel: QWidget, through: bool, clicks: int) -> dict[str, Any]:
    """Click where there is something, and keep it; measure while doing so."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QComboBox, QPushButton

    from napari_dtn._napari.view import fly_to

    image, keep = viewer.layers["phantom"], panel.findChild(QPushButton, "click.commit")
    canvas = viewer.window._qt_window._qt_viewer.canvas.native
    panel.findChild(QComboBox, "click.mode").setCurrentIndex(int(through))
    rng, heart = np.random.default_rng(int(through)), Heartbeat()

    def rest() -> None:
        wait(lambda: not panel._lane.busy and not panel._desk.waiting, 300)

    with heart.beating():
        for _ in range(clicks):
            z, y, x = (int(rng.integers(size // 4, 3 * size // 4)) for size in image.data.shape)
            fly_to(viewer, image, (z, y, x))
            QTest.mouseClick(canvas, Qt.LeftButton, Qt.NoModifier, canvas.rect().center())
            rest()
            keep.click()
            rest()
    return heart.row(f"click {'through the slices' if through else 'in slices'}")


@cache
def phantom() -> Phantom:
    """Make the phantom, once."""
    from napari_dtn.phantom import make_phantom

    return make_phantom()


def phantom_like(shape: tuple[int, int, int]) -> np.ndarray:
    """Repeat the phantom until it fills the shape."""
    return repeated(phantom().image, shape)


def boundaries_like(shape: tuple[int, int, int]) -> np.ndarray:
    """Repeat the phantom's boundaries until they fill the shape."""
    from scipy.ndimage import gaussian_filter

    from napari_dtn.metrics import boundary_target

    walls = gaussian_filter(boundary_target(phantom().labels).astype(np.float32), (0, 1, 1))
    return repeated(np.round(255 * walls).astype(np.uint8), shape)


def repeated(volume: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Lay a volume beside itself until it fills the shape."""
    times = [-(-wanted // there) for wanted, there in zip(shape, volume.shape, strict=True)]
    return np.ascontiguousarray(np.tile(volume, times)[tuple(slice(size) for size in shape)])


def random_model(folder: Path, seed: int = 0) -> str:
    """Write a model of the default size that was not trained: it takes the same time."""
    import torch

    from napari_dtn.nn.checkpoint import ModelCard, save_model
    from napari_dtn.nn.dtn import build_network
    from napari_dtn.settings import NetworkSettings

    torch.manual_seed(seed)
    card = ModelCard("random", NetworkSettings(), 224, (30.0, 6.0, 6.0))
    save_model(folder / "random.safetensors", build_network(card.network).state_dict(), card)
    return str(folder / "random.safetensors")


def measure(shape: tuple[int, int, int], model: str, seed: int = 0, clicks: int = 20) -> list[dict[str, Any]]:
    """Open napari, predict a volume of this shape, and click in it; an empty model is a random one."""
    import napari

    viewer = napari.Viewer(title="heartbeat")
    image = phantom_like(shape)
    viewer.add_image(image, name="phantom", **NM)
    opening = Heartbeat()
    with opening.beating():
        panel = open_panel(viewer)
    with tempfile.TemporaryDirectory() as folder:
        chosen = model or random_model(Path(folder), seed)
        predicting = predict_through_panel(panel, chosen, Path(folder) / "out.zarr")
        status = panel.controls.status.text()
        for layer in [one for one in viewer.layers if one.name != "phantom"]:
            viewer.layers.remove(layer)
        clicking = open_clicking(viewer, Path(folder) / "objects")
        clicked = [click_through_panel(viewer, clicking, through, clicks) for through in (False, True)]
        kept = len(clicking._desk.session.objects.all())
        clicking.controls.on.click()
        wait(lambda: clicking._desk.session is None, 60)
        teaching = teach_through_panel(viewer, Path(folder) / "annotated", 15 if shape == QUICK else 120)
    viewer.close()
    facts = {"volume": " x ".join(map(str, shape)), "model": Path(chosen).name}
    return [
        {**opening.row("open the panel, load torch"), **facts, "end": ""},
        {**predicting, **facts, "end": status.split(",")[0]},
        *({**row, **facts, "model": "", "end": f"{kept} objects"} for row in clicked),
        teaching,
    ]


def main() -> None:
    """Measure, and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small volume, under a minute")
    parser.add_argument("--json", type=Path, help="write the rows to this file; - is standard output")
    parser.add_argument("--seed", type=int, default=0, help="of the random model")
    parser.add_argument("--model", help="bundled name or file; by default the bundled one, or a random one")
    options = parser.parse_args()
    from napari_dtn.nn.bundled import bundled_models

    model = options.model or next(iter(bundled_models()), "")
    rows = measure(QUICK if options.quick else FULL, model, options.seed, 5 if options.quick else 20)
    from common import report  # not earlier: it loads torch, which is part of what is measured

    report(rows, options)


if __name__ == "__main__":
    main()
