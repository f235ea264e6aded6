"""The patch of a pixel, against the input gradient of real networks and in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import maximum_filter
from skimage.draw import polygon2mask

from napari_dtn.nn.dtn import DenseTransformerNetwork, build_network
from napari_dtn.nn.tps import fiducials_of, lattice
from napari_dtn.settings import NetworkSettings
from napari_dtn.warp import Warp, elongation, outlines, patch_of
from napari_dtn.warp.receptive import plain_square, square
from support.warps import affine, random_warp, warp_of

ORIGIN = (100, 200)
SHAPE = NetworkSettings()  # 5 levels, a pair at level 4: the paper's
PIXELS = [(212, 312), (203, 290), (240, 355), (100, 200), (323, 423), (101, 330)]


@pytest.fixture(autouse=True)
def _plain_pooling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mean sees the pixels that a maximum chooses from, all at once."""
    monkeypatch.setattr("napari_dtn.nn.dtn.halve", lambda features: F.avg_pool2d(features, 2, ceil_mode=True))


def sees(network: DenseTransformerNetwork, pixel: tuple[int, int], size: int) -> np.ndarray:
    """What of the image an output pixel depends on: the support of its input gradient."""
    image = torch.rand(1, network.settings.input_maps, size, size, requires_grad=True)
    network(image)[0, 0, *pixel].backward()
    return (image.grad[0] != 0).any(0).numpy()


def all_alive(settings: NetworkSettings, move: float = 0.0) -> DenseTransformerNetwork:
    """A network with positive weights, so that no path is cut by a rectifier; the warp is moved by chance."""
    torch.manual_seed(0)
    network = build_network(settings).eval()
    for name, weight in network.named_parameters():
        if ".localise." not in name and weight.ndim == 4:
            torch.nn.init.uniform_(weight, 0.1, 1.0)
    for encoder in network.encoders.values():
        shift = move * torch.randn(encoder.localise.rest.shape)
        encoder.localise.move = lambda seen, shift=shift: shift.expand(seen.shape[0], -1)
    return network


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def box_mask(box: tuple[slice, slice], size: int) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[box] = True
    return mask


@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.parametrize("pixel", [(40, 33), (41, 46), (0, 79), (5, 2)])
def test_the_square_of_a_unet_is_the_support_of_its_gradient(levels: int, pixel: tuple[int, int]) -> None:
    settings = NetworkSettings(base_channels=2, levels=levels, transformer_levels=())
    seen = sees(all_alive(settings), pixel, 80)
    expected = box_mask(plain_square(settings, pixel, 80), 80)
    np.testing.assert_array_equal(seen, expected)


def test_the_square_of_a_skip_connection_is_the_support_without_the_deeper_levels() -> None:
    settings = NetworkSettings(base_channels=2, levels=3, transformer_levels=())
    network = all_alive(settings)
    torch.nn.init.zeros_(network.up[1].grow.weight)  # nothing comes up from the deepest map
    torch.nn.init.zeros_(network.up[1].grow.bias)
    seen = sees(network, (40, 33), 80)
    np.testing.assert_array_equal(seen, box_mask(square(settings, (40, 33), 80, 2), 80))


@pytest.mark.parametrize("pixel", PIXELS)
@pytest.mark.parametrize("skip", ["warped", "direct"])
def test_the_identity_gives_exactly_the_square_of_the_unet(pixel: tuple[int, int], skip: str) -> None:
    patch = patch_of([affine(np.eye(2))], replace(SHAPE, skip=skip), pixel, ORIGIN, 224)
    expected = box_mask(plain_square(SHAPE, (pixel[0] - 100, pixel[1] - 200), 224), 224)
    np.testing.assert_array_equal(patch.warped, expected)
    np.testing.assert_array_equal(patch.learned, patch.plain)
    assert patch.area_ratio == 1
    assert patch.place.solutions == 1


def test_nested_identities_give_it_too() -> None:
    warps = [affine(np.eye(2), level=level) for level in (4, 1, 2)]
    settings = replace(SHAPE, transformer_levels=(1, 2, 4))
    patch = patch_of(warps, settings, (212, 312), ORIGIN, 224)
    np.testing.assert_array_equal(patch.learned, patch.plain)
    assert not patch.skip.any()  # with a pair at the first level nothing stays out of the warp


def test_a_unet_has_its_square() -> None:
    patch = patch_of([], replace(SHAPE, transformer_levels=()), (212, 312), ORIGIN, 224)
    np.testing.assert_array_equal(patch.learned, patch.plain)


@pytest.mark.parametrize("seed", range(5))
def test_the_pixel_lies_in_its_patch_wherever_the_determinant_is_positive(seed: int) -> None:
    warp = random_warp(seed, 0.06)
    lattice_points = np.stack(np.meshgrid(*(o + np.arange(224.0) for o in ORIGIN), indexing="ij"), -1)
    assert (warp.determinant(lattice_points) > 0).all()
    for pixel in PIXELS:
        patch = patch_of([warp], SHAPE, pixel, ORIGIN, 224)
        if patch.place.solutions:
            assert patch.warped[pixel[0] - 100, pixel[1] - 200]


def test_an_affine_warp_bends_the_square_as_its_matrix_does() -> None:
    matrix = np.array([[0.6, 0.15], [0.0, 0.5]])
    warp = affine(matrix)
    patch = patch_of([warp], SHAPE, (212, 312), ORIGIN, 224)
    # In pixels y, x: the square of the layers between encoder and decoder, around the place, through T,
    # as four corners; then 2 (2^4 - 1) pixels of the layers ahead of the encoder on each side.
    place = round(patch.place.y) - 100, round(patch.place.x) - 200
    y, x = square(SHAPE, place, 224, depth=5, level=4)
    corners = np.array(
        [(y.start, x.start), (y.start, x.stop - 1), (y.stop - 1, x.stop - 1), (y.stop - 1, x.start)]
    )
    bent = polygon2mask((224, 224), warp.look(corners + ORIGIN) - ORIGIN)
    expected = maximum_filter(bent, 2 * 30 + 1)
    assert (patch.warped ^ expected).sum() < 0.02 * expected.sum()
    y, x = plain_square(SHAPE, (112, 112), 224)
    assert patch.area_ratio < 0.6
    assert patch.plain.sum() == (y.stop - y.start) * (x.stop - x.start)


@pytest.mark.parametrize("pairs", [(2,), (1, 2)])
def test_the_gradient_of_a_warped_network_stays_in_the_patch(pairs: tuple[int, ...]) -> None:
    settings = NetworkSettings(base_channels=2, levels=3, transformer_levels=pairs, decoder="quadrilaterals")
    network = all_alive(settings, move=0.25)
    with torch.no_grad():
        grids = network.warp(torch.rand(1, 1, 80, 80))
    warps = [
        Warp(g[0].double().numpy(), fiducials_of(g.double(), 4)[0].numpy(), lattice(4).numpy(), level, (0, 0))
        for level, g in grids.items()
    ]
    for pixel in [(40, 33), (55, 41), (45, 50), (30, 40)]:
        patch = patch_of(warps, settings, pixel, (0, 0), 80)
        seen = sees(network, pixel, 80)
        # Bilinear reading and writing add up to a pixel of the map, 2 of the image, on each side.
        learned, plain = (maximum_filter(mask, 2 * 4 + 1) for mask in (patch.learned, patch.plain))
        assert (seen & ~learned).mean() < 0.05
        assert overlap(seen, learned) > max(0.8, overlap(seen, plain) + 0.05)


def test_a_pixel_that_is_filled_in_says_so() -> None:
    patch = patch_of([affine(0.5 * np.eye(2))], SHAPE, (102, 312), ORIGIN, 224)
    assert patch.place.solutions == 0
    assert patch.skip[2, 112]


def test_elongation_is_the_ratio_of_the_axes() -> None:
    y, x = np.mgrid[-60:61, -60:61]
    ellipse = ((x + y) / 40 / np.sqrt(2)) ** 2 + ((x - y) / 10 / np.sqrt(2)) ** 2 <= 1
    assert elongation(ellipse) == pytest.approx(4, rel=0.02)
    assert elongation(np.ones((9, 9), bool)) == pytest.approx(1)
    assert elongation(np.ones((5, 15), bool)) == pytest.approx(3)


def test_an_outline_runs_along_the_edge_of_the_pixels() -> None:
    mask = np.zeros((10, 12), bool)
    mask[0:4, 3:12] = True  # two sides along the border of the tile
    (line,) = outlines(mask, (100, 200))
    np.testing.assert_allclose(line.min(0), (99.5, 202.5))
    np.testing.assert_allclose(line.max(0), (103.5, 211.5))
    np.testing.assert_array_equal(line[0], line[-1])


def test_a_warp_that_looks_wider_makes_the_patch_wider() -> None:
    rest = lattice(4).numpy()
    small, large = (
        patch_of([warp_of(factor * rest)], SHAPE, (212, 312), ORIGIN, 224).learned.sum()
        for factor in (0.8, 0.95)
    )
    assert small < large
