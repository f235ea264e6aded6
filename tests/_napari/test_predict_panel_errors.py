"""What can go wrong in the panel: one readable notification each, and the panel stays usable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QMessageBox

from napari_dtn.nn.frugal import FrugalRunner
from napari_dtn.predict import Predictor
from support.panel import choose, finish, press

EM = np.random.default_rng(0).integers(30, 220, (4, 90, 70), dtype=np.uint8)


def bad_layers() -> dict[str, tuple]:
    return {
        "nothing": (None, "There is no image layer"),
        "labels": (lambda v: v.add_labels(EM.astype(int), name="ids"), "“ids” is a Labels layer"),
        "colour": (
            lambda v: v.add_image(np.zeros((8, 8, 3)), rgb=True, name="c"),
            "“c” is a colour image (RGB)",
        ),
        "5D": (lambda v: v.add_image(np.zeros((1, 2, 3, 8, 8)), name="movie"), "“movie” has 5 axes"),
        "4D": (lambda v: v.add_image(np.zeros((2, 3, 8, 8)), name="movie"), "“movie” has 4 axes"),
        "black": (lambda v: v.add_image(np.zeros_like(EM), name="black"), "is it empty?"),
    }


@pytest.mark.parametrize("button", ["preview", "run", "warp"])
@pytest.mark.parametrize("kind", bad_layers())
def test_a_wrong_layer_is_one_readable_notification(
    qtbot, panel, viewer, tiny_dtn, tmp_path, told, kind, button
) -> None:
    add, words = bad_layers()[kind]
    choose(panel, tiny_dtn)
    if add:
        add(viewer)
    told.clear()
    press(panel, "output").setText(str(tmp_path / "out.zarr"))
    press(panel, button).click()
    finish(qtbot, panel)
    assert len(told) == 1, [note.message for note in told]
    assert words in told[0].message
    assert "Traceback" not in told[0].message
    assert press(panel, "preview").isEnabled()
    assert press(panel, "run").isEnabled()


def foreign(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3, np.float32)}, path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (None, "Choose a .safetensors file|No model"),
        (foreign, "was not written by napari-dtn"),
        (lambda path: path.write_bytes(b"rubbish"), "is not a safetensors file"),
    ],
    ids=["missing", "foreign", "rubbish"],
)
def test_a_bad_model_file_is_one_readable_notification(
    qtbot, panel, viewer, tmp_path, told, make, words
) -> None:
    viewer.add_image(EM, name="em")
    path = tmp_path / "model.safetensors"
    if make:
        make(path)
    choose(panel, path)
    press(panel, "preview").click()
    finish(qtbot, panel)
    assert len(told) == 1
    assert any(part in told[0].message for part in words.split("|"))
    panel.add_model(path)
    finish(qtbot, panel)
    assert len(told) == 2
    assert press(panel, "model").findData(str(path)) < 0


def test_an_estimate_that_fails_is_no_longer_awaited(qtbot, panel, viewer, tmp_path, told) -> None:
    viewer.add_image(EM, name="em")
    path = tmp_path / "model.safetensors"
    foreign(path)
    choose(panel, path)
    press(panel, "estimate").click()
    finish(qtbot, panel)
    assert len(told) == 1
    assert press(panel, "status").text() == "No estimate was made."


def test_no_model_says_so(panel, viewer, told) -> None:
    viewer.add_image(EM, name="em")
    press(panel, "model").clear()
    press(panel, "preview").click()
    assert "No model is chosen" in told[0].message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("Given groups=1, expected input"), "Given groups=1"),
        (RuntimeError("CUDA out of memory. Tried to allocate 9 GiB"), "not enough memory"),
        (MemoryError(), "not enough memory"),
    ],
    ids=["runtime", "cuda", "memory"],
)
@pytest.mark.parametrize("button", ["preview", "run", "warp"])
def test_an_error_in_the_job_is_one_notification(
    qtbot, ready, told, monkeypatch, tiny_dtn, button, error, words
) -> None:
    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(FrugalRunner, "__call__", fail)
        patch.setattr(Predictor, "warps", fail)
        press(ready, button).click()
        finish(qtbot, ready)
    assert len(told) == 1
    assert words in told[0].message
    press(ready, "preview").click()
    finish(qtbot, ready)
    assert len(told) == 1


def test_an_output_that_is_not_ours_is_not_replaced(qtbot, ready, tmp_path, told, monkeypatch) -> None:
    (tmp_path / "out.zarr").mkdir()
    (tmp_path / "out.zarr" / "thesis.txt").write_text("years of work")
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    press(ready, "run").click()
    finish(qtbot, ready)
    assert "is no OME-Zarr image, so it is not replaced" in told[0].message
    assert (tmp_path / "out.zarr" / "thesis.txt").exists()


@pytest.mark.parametrize("text", ["", "/proc/none/out.zarr"])
def test_a_bad_output_is_one_notification(qtbot, ready, told, text) -> None:
    press(ready, "output").setText(text)
    press(ready, "run").click()
    finish(qtbot, ready)
    assert len(told) == 1
    assert press(ready, "run").isEnabled()
