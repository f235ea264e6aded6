"""The simulated annotator: as many strokes as asked for, no mistake, nothing moved by more of them."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import ndimage

from napari_dtn.metrics import boundary_target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_dtn.phantom import Phantom


@pytest.fixture
def strokes(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(project / "benchmarks")
    yield import_module("strokes")
    del sys.modules["strokes"]


def test_strokes_say_the_truth_on_the_slices_asked_for(strokes: Any, tiny_phantom: Phantom) -> None:
    painted = strokes.paint(tiny_phantom.labels, range(1, 3), 12, seed=0)
    truth = np.where(boundary_target(tiny_phantom.labels), 1, 2)
    assert (painted[painted > 0] == truth[painted > 0]).all()
    assert set(np.unique(painted)) == {0, 1, 2}
    assert not painted[[0, 3]].any()


def test_more_strokes_add_to_the_first_and_seeds_differ(strokes: Any, tiny_phantom: Phantom) -> None:
    few, more, other = (
        strokes.paint(tiny_phantom.labels, range(4), count, seed) for count, seed in ((4, 0), (8, 0), (4, 1))
    )
    assert ((few == 0) | (few == more)).all()
    assert np.count_nonzero(more) > np.count_nonzero(few)
    assert (few != other).any()


def test_a_stroke_is_one_line_of_its_width(strokes: Any, tiny_phantom: Phantom) -> None:
    painted = strokes.paint(tiny_phantom.labels, [1], 1, seed=3)[1] == 1
    assert ndimage.label(painted, np.ones((3, 3)))[1] == 1
    assert ndimage.distance_transform_cdt(painted, "chessboard").max() <= 2
    assert 3 < np.count_nonzero(painted) <= 3 * 3 * strokes.LENGTH
