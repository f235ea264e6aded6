"""Devices, samplers and warps that the tests of the network share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from napari_dtn.nn.tps import lattice, spline_grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Every test draws the same random numbers, whatever ran before it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def double_device(device: str) -> str:
    """Return a device that computes in float64."""
    if device == "mps":
        pytest.skip("MPS has no float64")
    return device


@pytest.fixture(params=["native", "dense", "indexed"])
def sampler(request: pytest.FixtureRequest, device: str) -> str:
    """Every implementation of the samplers, where the device has it."""
    if device == "mps" and request.param != "dense":
        pytest.skip("MPS has no kernel for the gradient of this sampler")
    return request.param


@pytest.fixture
def smooth_grid() -> Callable[..., Tensor]:
    """Make random thin-plate-spline grids ``(batch, height, width, 2)``, float64 on the CPU."""

    def make(batch: int, height: int, width: int, amount: float = 0.08) -> Tensor:
        rest = lattice(4)
        moved = rest + amount * torch.randn(batch, *rest.shape, dtype=torch.float64)
        return spline_grid(moved, height, width)

    return make
