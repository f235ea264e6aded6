"""The benchmark of teaching: an annotator without mistakes, runs that are kept, and what the rows say."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import ndimage

from napari_dtn.metrics import boundary_target
from napari_dtn.teach.planning import Amount, plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_dtn.phantom import Phantom


@pytest.fixture
def strokes(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(project / "benchmarks")
    yield import_module("strokes")
    del sys.modules["strokes"]


@pytest.fixture
def finetune(strokes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    module = import_module("finetune")
    monkeypatch.setattr(module, "RUNS", tmp_path / "runs")
    yield module
    for name in ("finetune", "isbi", "common"):
        del sys.modules[name]


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


def row(method: str, strokes: int, auc: float) -> dict[str, Any]:
    return {"method": method, "strokes": strokes, "roc_auc": auc}


def test_the_verdict_is_about_means_over_the_seeds(finetune: Any) -> None:
    rows = [
        row("all slices", 0, 0.96),
        *(row("fine-tuned", 10, auc) for auc in (0.94, 0.96)),
        *(row("forest", 10, auc) for auc in (0.90, 0.91)),
    ]
    assert finetune.verdict(rows) == ["10 strokes: fine-tuned 0.9500, 0.0100 below all slices; forest 0.9050"]


def test_a_run_that_has_ended_is_read_and_not_repeated(
    finetune: Any, tiny_phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def once(task: Any) -> dict[str, Any]:
        asked.append(task.method)
        return {"roc_auc": 0.75}

    monkeypatch.setitem(finetune.METHODS, "forest", once)
    known = np.zeros(tiny_phantom.labels.shape, np.uint8)
    task = finetune.Task(
        "forest", 10, 0, tiny_phantom.image, tiny_phantom.labels, known, tmp_path / "run", None
    )
    assert finetune._row(task) == finetune._row(task)
    assert asked == ["forest"]


def test_another_device_makes_the_steps_of_a_processor(finetune: Any) -> None:
    for amount in (Amount((1000, 1000), 2, 2), Amount((1_000_000, 1_000_000), 2, 2)):
        here, made = (
            plan(amount, 224, finetune.FineTuneSettings(**finetune._on(device, amount)), device).train
            for device in ("cpu", "cuda")
        )
        assert replace(made, device=here.device, precision=here.precision) == here
        assert made.precision == "float32"
