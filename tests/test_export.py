"""Exported models give other programs what the model gives here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_dtn.cli import main
from napari_dtn.nn.backends import make_runner
from napari_dtn.nn.checkpoint import load_model

if TYPE_CHECKING:
    from pathlib import Path

TILES = np.random.default_rng(0).standard_normal((3, 1, 32, 32)).astype(np.float32)


def expected(path: Path) -> np.ndarray:
    return make_runner(load_model(path, "cpu"), "eager", "float32")(torch.from_numpy(TILES)).numpy()


def test_onnx_runtime_runs_an_exported_file(tiny_model: Path, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    out = tmp_path / "new" / "tiny.onnx"
    assert main(["export", str(tiny_model), "--to", "onnx", "-o", str(out)]) == 0
    session = runtime.InferenceSession(out, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probability"], {"image": TILES})
    np.testing.assert_allclose(found, expected(tiny_model), atol=1e-4)


def test_openvino_reads_an_exported_file(tiny_model: Path, tmp_path: Path) -> None:
    ov = pytest.importorskip("openvino")
    out = tmp_path / "tiny.xml"
    assert main(["export", str(tiny_model), "--to", "openvino", "-o", str(out)]) == 0
    compiled = ov.compile_model(out, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(compiled({"image": TILES})["probability"], expected(tiny_model), atol=1e-4)


def test_a_package_passes_the_test_of_bioimageio(tiny_model: Path, tmp_path: Path) -> None:
    core = pytest.importorskip("bioimageio.core")
    out = tmp_path / "tiny.zip"
    assert main(["export", str(tiny_model), "--to", "bioimageio", "-o", str(out)]) == 0
    summary = core.test_description(out)
    assert summary.status == "passed", summary.format()


def test_what_is_there_is_not_touched(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tiny.onnx"
    out.write_text("precious")
    assert main(["export", str(tiny_model), "--to", "onnx", "-o", str(out)]) == 2
    assert out.read_text() == "precious"
    assert "--overwrite" in capsys.readouterr().err


def test_the_second_file_of_an_export_is_not_touched_either(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    out = tmp_path / "tiny.xml"
    out.with_suffix(".bin").write_text("precious")
    assert main(["export", str(tiny_model), "--to", "openvino", "-o", str(out)]) == 2
    assert out.with_suffix(".bin").read_text() == "precious"
    assert not out.exists()
    assert main(["export", str(tiny_model), "--to", "openvino", "-o", str(out), "--overwrite"]) == 0


def test_a_wrong_suffix_names_the_right_one(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tiny_model), "--to", "openvino", "-o", str(tmp_path / "a.onnx")]) == 2
    assert "must end in .xml" in capsys.readouterr().err
