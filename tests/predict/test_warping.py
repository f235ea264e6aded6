"""The warps of a model on a volume, and the model without them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_dtn.nn.checkpoint import load_model
from napari_dtn.nn.dtn import build_network, without_warp
from napari_dtn.nn.gradient import input_gradient
from napari_dtn.predict import Predictor
from napari_dtn.predict.warping import effective_patch, frozen, pixel_patch, tile_warps
from napari_dtn.settings import PredictSettings
from napari_dtn.volume.opening import volume_from_array

EXACT = PredictSettings(backend="eager", precision="float32", overlap=8, threads=1)


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    em = np.random.default_rng(0).integers(0, 255, (2, 90, 70), dtype=np.uint8)
    return Predictor.of(load_model(tiny_model, "cpu"), volume_from_array(em), EXACT)


def test_the_warps_of_a_row_are_those_of_its_tiles(predictor: Predictor) -> None:
    row = [predictor.grid.tile(1, column) for column in range(predictor.grid.counts[1])]
    for tile, warps in tile_warps(predictor, 1, row):
        (alone,) = predictor.warps(1, tile.y + 16, tile.x + 16)
        (warp,) = warps
        assert warp.origin == alone.origin == (tile.y, tile.x)
        np.testing.assert_allclose(warp.fiducials, alone.fiducials, atol=1e-5)


def test_without_its_warp_a_network_is_that_of_the_identity() -> None:
    torch.manual_seed(0)
    from napari_dtn.settings import NetworkSettings

    settings = NetworkSettings(base_channels=4, levels=3, transformer_levels=(2,))
    network = build_network(settings).eval()
    torch.nn.init.normal_(network.encoders["2"].localise.place.weight, std=0.3)
    still = build_network(replace(settings, localisation="identity")).eval()
    still.load_state_dict({n: w for n, w in network.state_dict().items() if ".localise." not in n})
    image = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(without_warp(network)(image), still(image))
        assert not torch.allclose(network(image), still(image))


def test_a_frozen_predictor_does_not_move(predictor: Predictor) -> None:
    still = frozen(predictor)
    (warp,) = still.warps(0, 40, 40)
    np.testing.assert_allclose(warp.fiducials, warp.rest, atol=1e-6)
    assert np.abs(still.predict(0) - predictor.predict(0)).max() > 1e-4
    assert still.intensity == predictor.intensity


def test_the_gradient_is_that_of_finite_differences() -> None:
    from napari_dtn.settings import NetworkSettings

    torch.manual_seed(1)
    network = build_network(NetworkSettings(base_channels=2, levels=2, transformer_levels=())).double().eval()
    image = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    gradient = input_gradient(network, image, (7, 9))
    step = torch.zeros_like(image)
    step[0, 0, 8, 9] = 1e-6
    with torch.no_grad():
        change = (network(image + step) - network(image - step))[0, 0, 7, 9] / 2e-6
    assert float(gradient[8, 9]) == pytest.approx(abs(float(change)), rel=1e-4)


def test_the_effective_patch_lies_around_the_pixel(predictor: Predictor) -> None:
    pixel = (45, 40)
    found, tile = effective_patch(predictor, 1, pixel)
    assert tile == predictor.grid.at(*pixel)
    assert found.max() == 1
    assert found.min() >= 0
    patch = pixel_patch(predictor, pixel, predictor.warps(1, *pixel))
    assert patch.origin == (tile.y, tile.x)
    assert found[patch.learned].mean() > 3 * found[~patch.learned].mean() if (~patch.learned).any() else True
