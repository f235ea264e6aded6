"""The line that names bad slices: found in the background, for the layer that is chosen now."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dtn.phantom import Phantom
from support.panel import PATIENCE, press


@pytest.fixture
def damaged(tiny_phantom: Phantom) -> np.ndarray:
    image = np.concatenate([tiny_phantom.image, tiny_phantom.image[::-1]])  # slice 4 repeats slice 3
    image[1] = 0
    return image


@pytest.fixture
def note(panel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("napari_dtn._napari.slice_note._DELAY", 0)
    return press(panel, "bad_slices")


def wait_for(qtbot, note, text: str) -> None:
    qtbot.waitUntil(lambda: note.text() == text and not note.isHidden(), timeout=PATIENCE)


def test_it_names_the_bad_slices_of_the_chosen_layer(qtbot, viewer, panel, note, damaged) -> None:
    viewer.add_image(damaged, name="em")
    wait_for(qtbot, note, "2 bad slices: 1 black (100 %); 4 repeats 3")
    assert note.toolTip() == "1 black (100 %)\n4 repeats 3\nLooked at 8 of 8 slices, each as a whole."
    good = viewer.add_image(damaged[2:4], name="good")
    press(panel, "image").setCurrentText("good")
    assert note.isHidden()
    qtbot.waitUntil(lambda: not note.lane.busy, timeout=PATIENCE)
    assert note.isHidden()
    viewer.layers.remove(good)
    wait_for(qtbot, note, "2 bad slices: 1 black (100 %); 4 repeats 3")


def test_a_layer_that_goes_away_is_forgotten(qtbot, viewer, panel, note, damaged) -> None:
    layer = viewer.add_image(damaged, name="em")
    viewer.layers.remove(layer)
    qtbot.wait(50)
    qtbot.waitUntil(lambda: not note.lane.busy, timeout=PATIENCE)
    assert note.isHidden()


@pytest.mark.parametrize("dtype", [bool, np.uint32])
def test_masks_and_ids_are_not_judged(qtbot, viewer, note, damaged, dtype) -> None:
    viewer.add_image(damaged.astype(dtype), name="ids")
    qtbot.wait(50)
    qtbot.waitUntil(lambda: not note.lane.busy, timeout=PATIENCE)
    assert note.isHidden()


def test_colours_are_left_alone(qtbot, viewer, note, told) -> None:
    viewer.add_image(np.zeros((20, 20, 3), np.uint8), rgb=True)
    qtbot.wait(50)
    assert not note.lane.busy
    assert not told
