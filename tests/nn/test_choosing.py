"""``auto`` takes the fastest of those that give what eager float32 gives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import torch

from napari_dtn.nn import cache, choosing
from napari_dtn.nn.checkpoint import Model, load_model
from napari_dtn.nn.choosing import Choice, choose

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

TILES = torch.rand(2, 1, 32, 32)


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(choosing, "is_installed", lambda _: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    return load_model(tiny_model, "cpu")


def stand_ins(
    monkeypatch: pytest.MonkeyPatch, wait: dict[tuple[str, str], float], wrong: float = 0.0
) -> list[tuple[str, str]]:
    """Let backends take so many seconds a batch, OpenVINO be wrong by so much; return which were made."""
    made = []

    def make(_: Model, backend: str, precision: str, threads: int = 0) -> Callable[[Tensor], Tensor]:
        made.append((backend, precision))
        if (backend, precision) not in wait:
            raise RuntimeError("no such kernel")

        def run(tiles: Tensor) -> Tensor:
            time.sleep(wait[backend, precision])
            return tiles + (wrong if backend == "openvino" else 0.0)

        return run

    monkeypatch.setattr(choosing, "make_runner", make)
    return made


ALL = {
    ("eager", "float32"): 0.03,
    ("eager", "bfloat16"): 0.02,
    ("openvino", "float32"): 0.01,
    ("openvino", "bfloat16"): 0.001,
}


def test_the_fastest_wins_and_says_why(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    stand_ins(monkeypatch, ALL)
    choice = choose(model, lambda: TILES)
    assert (choice.backend, choice.precision) == ("openvino", "bfloat16")
    assert "the fastest of 4" in choice.reason
    assert "eager float32" in choice.reason


def test_what_gives_other_answers_is_left_out(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    stand_ins(monkeypatch, ALL, wrong=0.05)
    choice = choose(model, lambda: TILES)
    assert (choice.backend, choice.precision) == ("eager", "bfloat16")


def test_what_does_not_run_is_left_out(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    stand_ins(monkeypatch, {("eager", "float32"): 0.0})
    assert choose(model, lambda: TILES) == Choice("eager", "float32", "all that is installed")


def test_no_way_that_gives_the_same_answers_says_so(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    stand_ins(monkeypatch, ALL)
    nothing = torch.full_like(TILES, torch.nan)
    with pytest.raises(ValueError, match="does not give the same answers"):
        choose(model, lambda: nothing)


def test_one_trial_is_enough(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    made = stand_ins(monkeypatch, ALL)
    first = choose(model, lambda: TILES)
    count = len(made)
    assert choose(model, lambda: pytest.fail("a second trial")) == first
    assert len(made) == count


def test_a_trial_makes_do_with_the_memory_there_is(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    def make(_: Model, backend: str, precision: str, threads: int = 0) -> Callable[[Tensor], Tensor]:
        def run(tiles: Tensor) -> Tensor:
            if len(tiles) > 1:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return tiles

        return run

    monkeypatch.setattr(choosing, "make_runner", make)
    assert "the fastest of 4" in choose(model, lambda: TILES).reason


def test_a_wanted_precision_is_kept(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    stand_ins(monkeypatch, ALL)
    choice = choose(model, lambda: TILES, precision="float32")
    assert (choice.backend, choice.precision) == ("openvino", "float32")


def test_a_named_backend_is_not_tried(model: Model) -> None:
    choice = choose(model, lambda: pytest.fail("a trial"), "onnx")
    assert (choice.backend, choice.precision) == ("onnx", "float32")


def test_compiling_waits_to_be_asked_for(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    made = stand_ins(monkeypatch, ALL)
    choose(model, lambda: TILES)
    assert "compile" not in {backend for backend, _ in made}


def test_the_trial_runs_real_backends(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    monkeypatch.undo()
    choice = choose(model, lambda: TILES)
    assert choice.backend in ("eager", "openvino", "onnx")
    assert choice.precision in ("float32", "bfloat16")
