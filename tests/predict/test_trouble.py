"""Damaged input, a full disk, too little memory: said clearly, and nothing that was done is lost."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import zarr

from napari_dtn.cli import main
from napari_dtn.nn.checkpoint import Model, ModelCard, load_model, save_model
from napari_dtn.nn.dtn import build_network
from napari_dtn.nn.frugal import FrugalRunner
from napari_dtn.nn.torch_runner import TorchRunner
from napari_dtn.predict import LivePrediction, Predictor, View, as_uint8, predict
from napari_dtn.predict.output import is_unfinished
from napari_dtn.settings import LiveSettings, NetworkSettings, PredictSettings, Roi
from napari_dtn.volume.opening import open_volume, volume_from_array
from napari_dtn.volume.writing import JOURNAL, read_attributes
from support.engine import EM, SETTINGS, files_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model, "cpu")


# ---- unreadable chunks


LARGE = np.random.default_rng(2).integers(30, 220, (3, 384, 384), dtype=np.uint8)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Write a zarr whose chunk at slice 1, y 128:256, x 256:384 is rubbish."""
    path = tmp_path / "em.zarr"
    array = zarr.create_array(str(path), shape=LARGE.shape, chunks=(1, 128, 128), dtype="u1")
    array[:] = LARGE
    (path / "c" / "1" / "1" / "2").write_bytes(b"rubbish")
    return path


def test_an_unreadable_chunk_is_named_and_left_0_and_the_rest_goes_on(
    model: Model, damaged: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(SETTINGS, block_slices=2)
    list(predict(model, open_volume(damaged), tmp_path / "out.zarr", settings=settings))
    assert "Slice 1, y 128:256, x 256:384 cannot be read and is left 0" in caplog.text
    assert caplog.text.count("left 0") == 1
    attributes = read_attributes(tmp_path / "out.zarr")
    assert attributes["unreadable"] == [{"z": 1, "y": [128, 256], "x": [256, 384]}]
    found = open_volume(tmp_path / "out.zarr").data.compute()
    assert not found[1, 128:256, 256:384].any()
    # Where no tile sees the hole, the oracle is the volume without one.
    whole = Predictor.of(model, volume_from_array(LARGE), settings)
    whole = replace(whole, intensity=Predictor.of(model, open_volume(damaged), settings).intensity)
    list(whole.write(tmp_path / "whole.zarr"))
    expected = open_volume(tmp_path / "whole.zarr").data.compute()
    np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])
    np.testing.assert_array_equal(found[1, :96], expected[1, :96])
    np.testing.assert_array_equal(found[1, :, :224], expected[1, :, :224])
    assert (found[1, 100:128, 256:] > 0).any()


def test_unreadable_parts_are_counted_in_the_outputs_own_voxels(
    model: Model, damaged: Path, tmp_path: Path
) -> None:
    box = Roi((1, 3), (200, 384), (100, 300))
    list(predict(model, open_volume(damaged), tmp_path / "out.zarr", box, SETTINGS))
    parts = read_attributes(tmp_path / "out.zarr")["unreadable"]
    assert parts == [{"z": 0, "y": [0, 56], "x": [156, 200]}]


def test_a_broken_neighbour_does_not_stop_a_network_with_context(damaged: Path, tmp_path: Path) -> None:
    settings = NetworkSettings(base_channels=2, levels=2, transformer_levels=(), context=1)
    path = tmp_path / "context.safetensors"
    save_model(path, build_network(settings).state_dict(), ModelCard("context", settings, patch_size=64))
    list(predict(load_model(path, "cpu"), open_volume(damaged), tmp_path / "out.zarr", settings=SETTINGS))
    found = open_volume(tmp_path / "out.zarr").data.compute()
    assert [bool(plane[128:256, 256:384].any()) for plane in found] == [True, False, True]


def test_a_preview_leaves_0_what_a_volume_leaves_0(model: Model, damaged: Path, tmp_path: Path) -> None:
    predictor = Predictor.of(model, open_volume(damaged), SETTINGS)
    list(predictor.write(tmp_path / "out.zarr"))
    stored = open_volume(tmp_path / "out.zarr").data[1].compute()
    np.testing.assert_array_equal(as_uint8(predictor.predict(1)[0]), stored)
    y, x = slice(200, 300), slice(230, 380)
    np.testing.assert_array_equal(as_uint8(predictor.predict(1, y, x)[0]), stored[y, x])


@pytest.mark.parametrize("context", [0, 1])
def test_live_shows_0_there_and_keeps_nothing_of_it_on_disk(
    damaged: Path, tmp_path: Path, context: int
) -> None:
    network = NetworkSettings(base_channels=2, levels=2, transformer_levels=(), context=context)
    path = tmp_path / "m.safetensors"
    save_model(path, build_network(network).state_dict(), ModelCard("small", network, patch_size=64))
    predictor = Predictor.of(load_model(path, "cpu"), open_volume(damaged), SETTINGS)
    tiles = predictor.grid.over(slice(0, 384), slice(0, 384))
    whole = [one for one in tiles if not (64 < one.y < 256 and one.x > 192)]
    for z, seen in ((1, whole), (2, whole if context else tiles)):
        live = LivePrediction(predictor, LiveSettings(on_disk=True), tmp_path / str(z))
        list(live.steps(View(z, slice(0, 384), slice(0, 384))))
        shown = live.picture.read(0, z, slice(0, 384), slice(0, 384))
        assert np.abs(shown.astype(int) - as_uint8(predictor.predict(z))).max() <= 1
        assert len(list((tmp_path / str(z)).rglob("*.npy"))) == len(seen)


def test_one_pixel_that_is_no_number_does_not_blank_its_surroundings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network, path = (
        NetworkSettings(base_channels=2, levels=2, transformer_levels=(), context=1),
        tmp_path / "m.safetensors",
    )
    image = LARGE.astype(np.float32)
    whole = volume_from_array(image.copy())
    image[1, 200, 200] = np.nan
    save_model(path, build_network(network).state_dict(), ModelCard("context", network, patch_size=64))
    model = load_model(path, "cpu")
    expected, holed = Predictor.of(model, whole, SETTINGS), volume_from_array(image)
    list(replace(expected, volume=holed).write(tmp_path / "out.zarr"))
    found = open_volume(tmp_path / "out.zarr").data.compute() / 255
    for z in range(3):
        assert np.median(np.abs(found[z] - expected.predict(z)[0])) < 1 / 255
        assert found[z].min() > 0
    assert caplog.text.count("Slice 1 holds NaN or infinite values") == 1


def test_a_file_that_cannot_be_read_at_all_says_so(model: Model, damaged: Path, tmp_path: Path) -> None:
    for chunk in (damaged / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"rubbish")
    with pytest.raises(Exception, match="cannot be read"):
        predict(model, open_volume(damaged), tmp_path / "out.zarr", settings=SETTINGS)


# ---- the disk


LIMITED = """
import resource, sys
from napari_dtn.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(main(sys.argv[2:]))
"""


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be made here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_clear_and_is_gone_on_with(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, undisturbed = tmp_path / "em.zarr", tmp_path / "undisturbed.zarr"
    zarr.create_array(str(image), shape=EM.shape, chunks=(1, 64, 64), dtype="u1")[:] = EM
    options = ["--model", str(tiny_model), "--overlap", "8", "--block-slices", "1", "--threads", "1"]
    assert main(["predict", str(image), "-o", str(undisturbed), *options]) == 0
    with small_disk(tmp_path / "disk", "24k") as disk:
        out = disk / "out.zarr"
        command = ["predict", str(image), "-o", str(out), *options]
        capsys.readouterr()
        assert main(command) == 1
        error = capsys.readouterr().err.strip().splitlines()
        assert "cannot grow (no space left on device)" in error[-1]
        assert "run the same again to go on" in error[-1]
        done = len((out / JOURNAL).read_bytes().splitlines())
        assert 0 < done < 5
        subprocess.run(["mount", "-o", "remount,size=10m", disk], check=True)
        assert main(command) == 0
        assert files_in(out) == files_in(undisturbed)


def test_a_limit_on_files_is_said_as_a_full_disk(tiny_model: Path, tmp_path: Path) -> None:
    image = tmp_path / "em.zarr"
    zarr.create_array(str(image), shape=EM.shape, chunks=(1, 64, 64), dtype="u1")[:] = EM
    command = ["predict", image, "-o", tmp_path / "out.zarr", "--model", tiny_model]
    program = [sys.executable, "-c", LIMITED, "2500", *map(str, command)]
    done = subprocess.run(program, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 1, done.stderr
    assert "cannot grow (file too large)" in done.stderr
    assert is_unfinished(tmp_path / "out.zarr")


# ---- memory


class Hungry:
    """A network for which more than ``most`` tiles are too many."""

    def __init__(self, most: int, error: Exception | None = None) -> None:
        self.most = most
        self.error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        self.counts: list[int] = []

    def __call__(self, tiles: torch.Tensor) -> torch.Tensor:
        self.counts.append(len(tiles))
        if len(tiles) > self.most:
            raise self.error
        return torch.sigmoid(tiles[:, :1])


def test_too_large_batches_are_halved_and_it_is_said(
    model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    predictor = Predictor.of(model, volume_from_array(EM, (30, 6, 6)), replace(SETTINGS, batch_size=8))
    hungry, easy = Hungry(3), Hungry(100)
    list(replace(predictor, runner=FrugalRunner(hungry)).write(tmp_path / "out.zarr"))
    list(replace(predictor, runner=easy).write(tmp_path / "easy.zarr"))
    assert files_in(tmp_path / "out.zarr") == files_in(tmp_path / "easy.zarr")
    assert hungry.counts[:3] == [8, 4, 2]
    assert max(hungry.counts[3:]) == 2, "it was tried again"
    assert caplog.text.count("Out of memory with 8 tiles at a time; going on with 2") == 1


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("[enforce fail] can't allocate memory")])
def test_one_tile_that_does_not_fit_is_an_error(error: Exception) -> None:
    hungry = Hungry(0, error)
    with pytest.raises(type(error)):
        FrugalRunner(hungry)(torch.zeros(4, 1, 8, 8))
    assert hungry.counts == [4, 2, 1]


def test_other_errors_are_not_tried_again() -> None:
    hungry = Hungry(0, RuntimeError("expected 3 channels"))
    with pytest.raises(RuntimeError, match="3 channels"):
        FrugalRunner(hungry)(torch.zeros(4, 1, 8, 8))
    assert hungry.counts == [4]


def test_predictors_are_frugal(model: Model) -> None:
    assert isinstance(Predictor.of(model, volume_from_array(EM), PredictSettings()).runner, FrugalRunner)


def test_a_compiled_network_is_compiled_for_fewer_tiles_once_memory_has_run_out() -> None:
    """It is of one size, and fills smaller batches up to it."""
    sizes = []

    def forward(tiles: torch.Tensor) -> torch.Tensor:
        sizes.append(len(tiles))
        if len(tiles) > 3:
            raise RuntimeError("CUDA out of memory.")
        return tiles

    run = FrugalRunner(TorchRunner(forward, torch.device("cpu"), torch.float32, batch=8))
    tiles = torch.randn(7, 1, 8, 8)
    torch.testing.assert_close(run(tiles), tiles.sigmoid())
    assert sizes == [8, 3, 3, 3]
    run(tiles[:1])
    assert sizes[-1] == 3
