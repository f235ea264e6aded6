r"""Sample a map through a warp, and put it back: two maps, each the adjoint of the other.

The encoder (paper Eq. 4) *gathers*: every output pixel p reads the input map U at the point T(p), with
bilinear weights. The decoder (Eqs. 6-7) *scatters*: every pixel p hands its value V(p) to the four pixels
around T(p), with the same weights,

.. math::

    N(m) = \sum_p w(T(p), m) \, V(p), \qquad S(m) = \sum_p w(T(p), m), \qquad
    w(t, m) = h(t_x - m_x) \, h(t_y - m_y),

with the hat :math:`h(d) = \max(0, 1 - |d|)`, and takes the weighted mean N / S. As
:math:`\langle \mathrm{sample}(U), V \rangle = \langle U, \mathrm{splat}(V) \rangle`, one is the other's
gradient.

Where S is small no sample came near, and the neighbours fill in (Eqs. 8-10): see :func:`restore`.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_dtn.nn import rows
from napari_dtn.nn.autocasting import computing_in
from napari_dtn.settings import Filling, Sampler

HOLE = 0.5
"""S below which a pixel takes part of its value from its neighbours: half a sample's weight."""

_BILINEAR, _ZEROS, _ALIGN = 0, 0, True


def sample(values: Tensor, grid: Tensor, sampler: Sampler = "native") -> Tensor:
    """Read a map at the points of a grid, bilinearly (Eq. 4); points outside read 0.

    Parameters
    ----------
    values
        ``(N, C, H, W)``.
    grid
        ``(N, H', W', 2)``, normalised ``(x, y)``.
    sampler
        ``native``, ``dense`` or ``indexed``.

    Returns
    -------
    Tensor
        ``(N, C, H', W')``, float32 (float64 for float64 input).
    """
    with computing_in(values.device.type):
        values, grid = full_precision(values), full_precision(grid)
        if sampler == "native" and _eager_on_cpu(values):
            return rows.gather(values, grid)
        if sampler != "dense":
            return _grid_sample(values, grid)
        size = (int(values.shape[2]), int(values.shape[3]))
        weights = _hat_weights(grid, size)
        out: Tensor = torch.einsum("npm,ncm->ncp", weights, values.flatten(2))
        return out.view(*out.shape[:2], *grid.shape[1:3])


def splat(
    values: Tensor, grid: Tensor, size: tuple[int, int] | None = None, sampler: Sampler = "native"
) -> Tensor:
    """Hand every value to the four pixels around its grid point: the adjoint of :func:`sample`.

    Parameters
    ----------
    values
        ``(N, C, H', W')``.
    grid
        ``(N, H', W', 2)``, normalised ``(x, y)``.
    size
        Height and width of the output; that of ``values`` by default.
    sampler
        ``native``, ``dense`` or ``indexed``.

    Returns
    -------
    Tensor
        ``(N, C, H, W)``, the numerator of Eq. 7; for ones as values it is the denominator S.
    """
    size = size or (int(values.shape[2]), int(values.shape[3]))
    with computing_in(values.device.type):
        values, grid = full_precision(values), full_precision(grid)
        if sampler == "indexed":
            return rows.add(values, grid, size)
        if sampler == "native":
            return rows.scatter(values, grid, size) if _eager_on_cpu(values) else _splat(values, grid, size)
        weights = _hat_weights(grid, size)
        out: Tensor = torch.einsum("npm,ncp->ncm", weights, values.flatten(2))
        return out.view(*out.shape[:2], *size)


def _eager_on_cpu(tensor: Tensor) -> bool:
    """Where a value may decide what is done next: a graph has no choice, a GPU would have to wait."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def full_precision(tensor: Tensor) -> Tensor:
    """Return float64 as it is, anything else as float32."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _grid_sample(values: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(values, grid, mode="bilinear", padding_mode="zeros", align_corners=_ALIGN)


def _splat(values: Tensor, grid: Tensor, size: tuple[int, int]) -> Tensor:
    scattered: Tensor = _Splat.apply(values.contiguous(), grid, size)  # type: ignore[no-untyped-call]
    return scattered


class _Splat(torch.autograd.Function):
    """The input gradient of ``grid_sample``, as an operation with gradients of its own.

    With L = <splat(V, g), G> = <V, sample(G, g)> the gradients are dL/dV = sample(G, g), and dL/dg is the
    grid gradient of ``sample(G, g)`` weighted by V.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Tensor, size: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(values, grid)
        like = values.new_empty((values.shape[0], values.shape[1], *size))
        return _sampler_backward(values, like, grid, (True, False))[0]

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor, Tensor, None]:
        values, grid = ctx.saved_tensors
        gradient = incoming[0].contiguous()
        to_values = _grid_sample(gradient, grid)
        to_grid = _sampler_backward(values, gradient, grid, (False, True))[1]
        return to_values, to_grid, None


def _sampler_backward(
    outgoing: Tensor, values: Tensor, grid: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    kernel = torch.ops.aten.grid_sampler_2d_backward
    pair: tuple[Tensor, Tensor] = kernel(outgoing, values, grid, _BILINEAR, _ZEROS, _ALIGN, wanted)
    return pair


def _hat_weights(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear weights of all points to all pixels, ``(N, H'W', HW)``: an outer product of two hats."""
    points = grid.flatten(1, 2)
    x = _hat(points[..., 0], size[1])
    y = _hat(points[..., 1], size[0])
    return (y[..., :, None] * x[..., None, :]).flatten(2)


def _hat(coordinate: Tensor, size: int) -> Tensor:
    pixel = (coordinate + 1) * (0.5 * (size - 1))
    index = torch.arange(size, device=coordinate.device, dtype=coordinate.dtype)
    height = 1 - (pixel[..., None] - index).abs()
    # Unlike clamp, maximum halves the gradient at its kink, so that a point that lies exactly on a pixel, as
    # at the identity, gets the central difference of its neighbours and not twice that.
    return torch.maximum(height, torch.zeros_like(height))


def restore(
    values: Tensor,
    grid: Tensor,
    sampler: Sampler = "native",
    hole: float = HOLE,
    filling: Filling = "neighbours",
) -> Tensor:
    r"""Bring a warped map back to the pixels it came from (Eqs. 6-10).

    The weighted mean N / S where enough samples arrived; where S falls below ``hole`` the value passes
    smoothly over to the mean of the neighbours on the restored map (pull-push). With the smooth step
    :math:`s(u) = u^2 (3 - 2u)` and :math:`u = \min(1, S / \mathrm{hole})`,

    .. math:: R(m) = s(u) \, N / S + (1 - s(u)) \, R_{coarse}(m),

    and s(u) / S is a polynomial in S, so nothing is ever divided by a vanishing S and gradients stay finite.

    Parameters
    ----------
    values
        ``(N, C, H, W)``, the warped map.
    grid
        ``(N, H, W, 2)``, the grid that it was sampled with.
    sampler
        ``native``, ``dense`` or ``indexed``.
    hole
        The threshold on S.
    filling
        ``neighbours``, or what takes the place of :math:`R_{coarse}`: ``nothing``, or the ``warped`` map.

    Returns
    -------
    Tensor
        ``(N, C, H, W)``, float32 (float64 for float64 input).
    """
    both = splat(torch.cat([values, torch.ones_like(values[:, :1])], dim=1), grid, sampler=sampler)
    with computing_in(values.device.type):
        if filling == "neighbours":
            return fill_holes(both, hole, look=sampler == "native")
        near, share = _mean(both, hole)
        return near if filling == "nothing" else torch.addcmul(near, 1 - share, full_precision(values))


def _mean(both: Tensor, hole: float) -> tuple[Tensor, Tensor]:
    """Weighted sums and S -> s(u) N / S, and the share s(u) that it has of a pixel."""
    weight = both[:, -1:]
    inverse = _soft_inverse(weight, hole)
    return both[:, :-1] * inverse, weight * inverse


def fill_holes(both: Tensor, hole: float = HOLE, look: bool = True) -> Tensor:
    """Divide by the weights, and fill holes from ever coarser averages of their surroundings (pull-push).

    Parameters
    ----------
    both
        ``(N, C + 1, H, W)``: weighted sums, and as the last channel the sums of the weights, S.
    hole
        The S below which a pixel takes part of its value from its surroundings.
    look
        Whether to stop, on a CPU, at the first average that has no holes; the result is the same.

    Returns
    -------
    Tensor
        ``(N, C, H, W)``.
    """
    weight = both[:, -1:]
    if weight.shape[2] == 1 and weight.shape[3] == 1:
        return _mean(both, 1e-3)[0]
    near, share = _mean(both, hole)
    if look and _eager_on_cpu(weight) and bool(weight.min() >= hole):
        return near
    coarse = fill_holes(_halve(both), hole, look)
    far = F.interpolate(coarse, size=near.shape[2:], mode="bilinear", align_corners=False)
    return torch.addcmul(near, 1 - share, far)


def _halve(tensor: Tensor) -> Tensor:
    return F.avg_pool2d(tensor, 2, ceil_mode=True, count_include_pad=False)


def _soft_inverse(weight: Tensor, hole: float) -> Tensor:
    """1 / S above the threshold; below it s(S / hole) / S, which is 0 at 0 and meets 1 / S in C1."""
    below = weight * (3 - 2 * weight / hole) / hole**2
    return torch.where(weight < hole, below, 1 / weight.clamp(min=hole))
