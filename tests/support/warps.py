"""Warps whose answers are known, and others."""

from __future__ import annotations

import numpy as np
import torch

from napari_dtn.nn.tps import lattice, spline_grid
from napari_dtn.warp import Warp

ORIGIN = (100, 200)
TILE = 224


def warp_of(
    fiducials: np.ndarray, level: int = 4, origin: tuple[int, int] = ORIGIN, tile: int = TILE
) -> Warp:
    """The warp of a tile whose fiducial points went to these places, ``(K, 2)`` normalised ``(x, y)``."""
    side, size = round(len(fiducials) ** 0.5), tile >> (level - 1)
    grid = spline_grid(torch.from_numpy(fiducials)[None], size, size)[0]
    return Warp(grid.numpy(), fiducials, lattice(side).numpy(), level, origin)


def affine(matrix: np.ndarray, shift: tuple[float, float] = (0, 0), **where: object) -> Warp:
    """A warp that is affine in normalised (x, y)."""
    return warp_of(lattice(4).numpy() @ matrix.T + shift, **where)


def random_warp(seed: int, deviation: float, **where: object) -> Warp:
    """A warp whose fiducial points went by chance, by so many half widths of the tile."""
    return warp_of(lattice(4).numpy() + np.random.default_rng(seed).normal(0, deviation, (16, 2)), **where)
