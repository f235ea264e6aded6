"""From the first click to labels in a file, through kill -9: with real mouse and keys, by xdotool."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from napari.components import ViewerModel
from napari.layers import Labels

from napari_dtn.nn.checkpoint import load_model
from napari_dtn.phantom import PhantomSettings, make_phantom
from napari_dtn.predict import as_uint8, predict_slice
from napari_dtn.settings import PredictSettings
from napari_dtn.volume.opening import open_volume, volume_from_array
from support.click_window import PLACES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("xdotool") is None, reason="xdotool is not installed"),
]
PATIENCE = 60  # s
SETTLED = 0.15  # s after which the window has seen what the mouse did
NONE, ALL = "There is nothing to take back.", "There is nothing to do again."


class Window:
    """A napari in a process of its own, which is used as a person uses it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._told = folder, folder / "told.json"
        self._told.unlink(missing_ok=True)
        arguments = [str(folder / name) for name in ("arrays.npz", "objects", "told.json")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.click_window", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def state(self, ready: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """Return what the window tells once it has come to rest, and is ready."""
        asked, told = time.monotonic() + SETTLED, {}
        while time.monotonic() < asked + PATIENCE:
            assert self.process.poll() is None, "the window is gone"
            told = json.loads(self._told.read_text()) if self._told.exists() else {"time": 0}
            if told["time"] > asked and not told["busy"] and ready(told):
                return told
            time.sleep(0.05)
        raise AssertionError(f"the window has not come to that: {told}")

    def click(self, name: str, button: int = 1) -> None:
        """Click on a voxel, a button or an entry of a menu."""
        at = self.state(lambda told: name in told["screen"])["screen"][name]
        xdotool("mousemove", *at, "sleep", 0.1, "click", button)

    def drag(self, key: str, *names: str) -> None:
        """Draw from voxel to voxel while a key is down."""
        told = self.state()
        first, *others = (told["screen"][name] for name in names)
        moves = [word for at in others for word in ("mousemove", *at, "sleep", 0.1)]
        xdotool("windowfocus", told["window"], "mousemove", *first, "sleep", 0.1)
        xdotool("keydown", key, "mousedown", 1, "sleep", 0.1, *moves, "mouseup", 1, "keyup", key)

    def key(self, *keys: str) -> str:
        """Press keys, and return what the panel says then."""
        xdotool("windowfocus", self.state()["window"], "sleep", 0.05, "key", *keys)
        return str(self.state()["status"])

    def key_until(self, said: str, keys: str) -> None:
        """Press keys until the panel says something."""
        for _ in range(30):
            if self.key(keys) == said:
                return
        raise AssertionError(f"{keys} has never led to: {said}")

    def has_in_work(self, *names: str) -> None:
        """Wait until the object in work holds these places and no others."""
        self.state(lambda told: set(told["work"]) == set(names))

    def labels(self) -> np.ndarray:
        """Return what is on the disk."""
        return np.asarray(zarr.open_array(str(self._folder / "objects" / "objects.zarr" / "0"), mode="r")[:])

    def keeps(self, **ids: int) -> None:
        """Wait until these places have these ids on the disk, and the others none."""
        wanted = {name: ids.get(name, 0) for name in PLACES}
        self.state(lambda _: {name: self.labels()[at] for name, at in PLACES.items()} == wanted)


def xdotool(*words: object) -> None:
    subprocess.run(["xdotool", *map(str, words)], check=True, timeout=PATIENCE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small phantom and its boundaries by the bundled model."""
    phantom = make_phantom(PhantomSettings(shape=(4, 224, 224), seed=3))
    volume = volume_from_array(phantom.image, phantom.voxel_size, "em")
    model, settings = load_model("dtn-snemi3d", "cpu"), PredictSettings(backend="eager", precision="float32")
    boundaries = [as_uint8(predict_slice(model, volume, z, settings)) for z in range(volume.shape[0])]
    np.savez(tmp_path / "arrays.npz", image=phantom.image, boundaries=np.stack(boundaries))
    return tmp_path


@pytest.fixture
def window(folder: Path) -> Iterator[Callable[[], Window]]:
    """Return what opens the window; none of them outlives the test."""
    opened: list[Window] = []

    def show() -> Window:
        opened.append(Window(folder))
        return opened[-1]

    yield show
    for one in opened:
        one.process.kill()
        one.process.wait()


def make_objects(window: Window) -> None:
    """Click, extend, exclude, through the slices, keep; two more; merge and split them."""
    window.click("first")
    window.has_in_work("first", "wrong")
    window.click("more")
    window.has_in_work("first", "wrong", "more")
    window.click("wrong", button=3)
    window.has_in_work("first", "more")
    window.key("shift+s")
    window.has_in_work("first", "more", "above")
    window.key("Return")
    kept = {"first": 1, "more": 1, "above": 1}
    window.keeps(**kept)
    for name in ("third", "fourth"):
        window.click(name)
        window.has_in_work(name)
        window.key("c")
    window.keeps(**kept, third=2, fourth=3)
    window.drag("alt", "third", "fourth")
    window.keeps(**kept, third=2, fourth=2)
    window.click("third")
    window.has_in_work("third", "fourth")
    window.click("third")
    window.click("fourth", button=3)
    window.has_in_work("third")
    window.click("click.split")
    window.keeps(**kept, third=2, fourth=4)
    window.has_in_work()


def take_all_back_and_do_it_again(window: Window) -> None:
    made = window.labels()
    window.key_until(NONE, "ctrl+z")
    assert not window.labels().any()
    window.key_until(ALL, "ctrl+shift+z")
    assert np.array_equal(window.labels(), made)


def test_clicks_become_labels_in_a_file_through_a_crash(folder: Path, window: Callable[[], Window]) -> None:
    first = window()
    first.click("click.on")
    first.state(lambda told: told["on"])
    make_objects(first)
    take_all_back_and_do_it_again(first)
    made = first.labels()
    first.click("fifth")
    first.has_in_work("fifth")
    first.process.kill()
    assert first.process.wait(PATIENCE) == -signal.SIGKILL

    second = window()
    second.click("click.on")
    second.state(lambda told: told["dialog"] == "QMessageBox")
    second.click("&Yes")
    second.state(lambda told: told["on"])
    assert np.array_equal(second.labels(), made)
    second.has_in_work("fifth")
    second.key("Return")
    second.keeps(first=1, more=1, above=1, third=2, fourth=4, fifth=5)
    made = second.labels()

    second.click("click.objects_menu")
    second.click("click.save_labels")
    dialog = second.state(lambda told: told["dialog"] == "QFileDialog")["window"]
    xdotool("windowfocus", dialog, "sleep", 0.2, "type", "--delay", 30, "kept.zarr")
    xdotool("key", "Return")
    second.state(lambda told: told["saved"].startswith("The labels are in"))
    second.key("ctrl+q")
    xdotool("windowfocus", second.state(lambda told: told["dialog"])["window"], "key", "ctrl+q")
    assert second.process.wait(PATIENCE) == 0

    again = open_volume(folder / "kept.zarr")
    assert again.voxel_size == (30, 6, 6)
    assert np.array_equal(np.asarray(again.data[:]), made)
    (layer,) = ViewerModel().open(folder / "kept.zarr", plugin="napari-dtn")
    assert isinstance(layer, Labels)
    assert np.array_equal(np.asarray(layer.data[0] if layer.multiscale else layer.data), made)
