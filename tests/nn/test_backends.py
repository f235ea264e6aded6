"""Every backend gives what eager float32 gives, up to its precision; a missing one says how to get it."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from napari_dtn.nn import extras
from napari_dtn.nn.backends import make_runner
from napari_dtn.nn.checkpoint import Model, ModelCard, load_model, save_model
from napari_dtn.nn.dtn import build_network
from napari_dtn.settings import NetworkSettings

if TYPE_CHECKING:
    from pathlib import Path

EXPORTED = {"openvino": "openvino", "onnx": "onnxruntime"}


@pytest.fixture(params=EXPORTED)
def exported(request: pytest.FixtureRequest) -> str:
    """A backend that runs an exported graph, where it is installed."""
    pytest.importorskip(EXPORTED[request.param])
    return request.param


@pytest.fixture
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model, "cpu")


def several_classes(folder: Path) -> Model:
    """A model of three classes, neighbouring slices and two pairs."""
    settings = NetworkSettings(base_channels=4, levels=3, context=1, n_classes=3, transformer_levels=(1, 2))
    network = build_network(settings)
    for encoder in network.encoders.values():
        torch.nn.init.normal_(encoder.localise.place.weight, std=0.3)
    path = folder / "classes.safetensors"
    save_model(path, network.state_dict(), ModelCard("classes", settings, 32, class_names=("a", "b", "c")))
    return load_model(path, "cpu")


def test_exported_graphs_are_eager_float32_for_batches_of_any_size(model: Model, exported: str) -> None:
    run, tiles = make_runner(model, exported, "float32"), torch.randn(5, 1, 32, 32)
    expected = make_runner(model, "eager", "float32")(tiles)
    for count in (1, 2, 5):
        torch.testing.assert_close(run(tiles[:count]), expected[:count], rtol=0, atol=1e-4)


def test_the_same_weights_for_larger_tiles_are_another_graph(model: Model, exported: str) -> None:
    larger = replace(model, card=replace(model.card, patch_size=48))
    make_runner(model, exported, "float32")
    run, tiles = make_runner(larger, exported, "float32"), torch.randn(2, 1, 48, 48)
    torch.testing.assert_close(run(tiles), make_runner(model, "eager", "float32")(tiles), rtol=0, atol=1e-4)


def test_exported_graphs_of_several_classes_and_pairs(tmp_path: Path, exported: str) -> None:
    model, tiles = several_classes(tmp_path), torch.randn(2, 3, 32, 32)
    out = make_runner(model, exported, "float32")(tiles)
    torch.testing.assert_close(out, make_runner(model, "eager", "float32")(tiles), rtol=0, atol=1e-4)
    torch.testing.assert_close(out.sum(dim=1), torch.ones(2, 32, 32))


def test_openvino_keeps_the_warp_in_float32(model: Model) -> None:
    pytest.importorskip("openvino")
    tiles = torch.randn(4, 1, 32, 32)
    exact, close = (make_runner(model, "openvino", precision) for precision in ("float32", "bfloat16"))
    assert (exact(tiles) - close(tiles)).abs().max() < 0.05
    steps = [
        tuple(operation.get_rt_info()[name].astype(str) for name in ("layerType", "runtimePrecision"))
        for operation in close.compiled.get_runtime_model().get_ops()
        if "coders." in operation.get_friendly_name()
    ]
    # The product of the spline, the sampled map, coordinates as whole pixels, sums, means for holes.
    warp = ("MatMul", "GridSample", "Gather", "Convert", "ScatterNDUpdate", "Pooling")
    assert {precision for kind, precision in steps if kind in warp} == {"f32"}
    assert {kind for kind, _ in steps} >= set(warp)


def test_a_tile_does_not_know_its_batch(model: Model) -> None:
    pytest.importorskip("openvino")
    run, tiles = make_runner(model, "openvino"), torch.randn(5, 1, 32, 32)
    assert torch.equal(run(tiles)[3:4], run(tiles[3:4]))


@pytest.mark.parametrize("backend", EXPORTED)
def test_a_backend_that_is_missing_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, model: Model, backend: str
) -> None:
    monkeypatch.setitem(sys.modules, EXPORTED[backend], None)
    with pytest.raises(ImportError, match=rf"pip install 'napari-dtn\[{backend}\]'"):
        make_runner(model, backend)


@pytest.mark.parametrize("backend", EXPORTED)
def test_exported_graphs_run_on_the_processor_alone(model: Model, backend: str) -> None:
    elsewhere = replace(model, device=torch.device("cuda"))
    with pytest.raises(ValueError, match=rf"'{backend}'.*device is 'cuda'; choose device 'cpu'"):
        make_runner(elsewhere, backend)


def test_openvino_reports_nothing_home() -> None:
    pytest.importorskip("openvino")
    program = """
from napari_dtn.nn.extras import openvino_installed
openvino_installed()
import sys
from openvino.tools.ovc import telemetry_utils
print(telemetry_utils.tm.__name__, "openvino_telemetry" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "False"]


def test_threads_that_hide_a_module_take_turns() -> None:
    hidden, done, again = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with extras._without("reports_home"):
            hidden.set()
            done.wait(10)

    def second() -> None:
        hidden.wait(10)
        with extras._without("reports_home"):
            again.set()

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(first), pool.submit(second)]
        too_early = again.wait(0.2)
        done.set()
        for run in runs:
            run.result()
    assert not too_early
    assert "reports_home" not in sys.modules


def test_a_menu_of_backends_imports_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "import_module", lambda name: pytest.fail(f"{name} is imported"))
    assert extras.is_installed("eager")
    assert isinstance(extras.is_installed("openvino"), bool)
