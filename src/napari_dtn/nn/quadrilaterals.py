r"""Undo a warp by inverting it: find the warped cell that holds a pixel, and read there.

Four neighbouring points of the grid, in pixels of the restored map, are the corners of a cell, a
quadrilateral that the bilinear map

.. math::

    T(u, v) = a + u \, e + v \, f + u v \, g, \qquad u, v \in [0, 1],

    a = T_{i, j}, \quad e = T_{i, j+1} - a, \quad f = T_{i+1, j} - a, \quad
    g = a - T_{i, j+1} - T_{i+1, j} + T_{i+1, j+1}

fills. All cells together are the warp at every point between the samples; a ring of cells around them goes
on by one sample beyond the border, with the grid continued linearly and the values of the border. With
:math:`h = m - a` and the cross product :math:`p \times q = p_x q_y - p_y q_x`, a pixel m of the cell has

.. math::

    (h - v f) \times (e + v g) = h \times e + (e \times f + h \times g) \, v + g \times f \, v^2 = 0,

a quadratic in v whose derivative, at a root, is the Jacobian determinant
:math:`(e + v g) \times (f + u g)` of the cell at m. So a cell holds a pixel at most once with positive
orientation: at the root with the *positive* square root of the discriminant, which is that determinant.

The restored map reads the warped map at :math:`T^{-1}(m) = (j + u, i + v)`, bilinearly:

* several cells hold m (the warp folds over): of those with a positive determinant at m the one whose
  centre (j + 1/2, i + 1/2) is nearest to m, the first in reading order if there are several;
* none does (the border is pulled inwards by more than the ring, or only cells turned over are there): the
  neighbours fill in, by :func:`~napari_dtn.nn.sampling.fill_holes`, with weight 1 at pixels that were read
  and 0 at the others.

Why the ring: a border pulled inwards by a tenth of a pixel would turn its pixels from read to filled at
once. With the ring they go on reading the border's values.

Why cells, and not Newton's method on the spline: the closed form finds every solution, so the rules can be
kept, where Newton's method finds one, or none, depending on where it starts; and it asks for no more than the
grid.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_dtn.nn.autocasting import computing_in
from napari_dtn.nn.sampling import fill_holes, full_precision

FLAT = 1e-2
"""Area of a cell, in pixels, below which the gradient no longer grows as one over the area."""

_PAIRS = 2**21
"""Pairs of a cell and a pixel that are looked at together; a bound on memory for wild warps."""


def invert(values: Tensor, grid: Tensor) -> Tensor:
    r"""Bring a warped map back to the pixels it came from, by reading it at the inverse of the warp.

    Differentiable in both. Which cell holds a pixel is taken as given; the place in the cell is an implicit
    function of its corners, :math:`d(u, v) = -J^{-1} \, dT` with the cell's Jacobian matrix J.

    Parameters
    ----------
    values
        ``(N, C, H, W)``, the warped map.
    grid
        ``(N, H, W, 2)``, normalised ``(x, y)``: the grid that it was sampled with.

    Returns
    -------
    Tensor
        ``(N, C, H, W)``, float32 (float64 for float64 input).
    """
    with computing_in(values.device.type):
        cells = _cells(_with_ring(_in_pixels(full_precision(grid))))
        holder = torch.ops.napari_dtn.holders(cells.detach(), *grid.shape[:3])
        return fill_holes(_read(full_precision(values), cells, holder))


def _in_pixels(grid: Tensor) -> Tensor:
    """Normalised ``(N, H, W, 2)`` -> ``(2, N, H, W)``, x and y in pixels."""
    height, width = grid.shape[1:3]
    return torch.stack([(grid[..., 0] + 1) * (0.5 * (width - 1)), (grid[..., 1] + 1) * (0.5 * (height - 1))])


def _with_ring(points: Tensor) -> Tensor:
    """``(2, N, H, W)`` -> ``(2, N, H + 2, W + 2)``: continued linearly by one point on each side."""
    for axis, one_pixel in ((-2, (0.0, 1.0)), (-1, (1.0, 0.0))):
        first, last = points.narrow(axis, 0, 1), points.narrow(axis, -1, 1)
        before = after = points.new_tensor(one_pixel).view(2, 1, 1, 1)
        if points.shape[axis] > 1:
            before, after = points.narrow(axis, 1, 1) - first, last - points.narrow(axis, -2, 1)
        points = torch.cat([first - before, points, last + after], axis)
    return points


def _cells(points: Tensor) -> Tensor:
    """Points ``(2, N, H + 2, W + 2)`` -> a, e, f, g of every cell, ``(4, 2, N * (H + 1) * (W + 1))``."""
    a, right = points[..., :-1, :-1], points[..., :-1, 1:]
    below, across = points[..., 1:, :-1], points[..., 1:, 1:]
    return torch.stack([a, right - a, below - a, a - right - below + across]).flatten(2)


def _cross(p: Tensor, q: Tensor) -> Tensor:
    return p[0] * q[1] - p[1] * q[0]


def _place(cells: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Solve T(u, v) = m with positive orientation.

    Parameters
    ----------
    cells
        a, e, f, g of one cell for each pixel, ``(4, 2, P)``.
    pixels
        m, ``(2, P)``, x and y.

    Returns
    -------
    tuple of Tensor
        u, v and the determinant there, each ``(P,)``; not a number, or infinite, where there is no solution.
    """
    a, e, f, g = cells
    h = pixels - a
    square, linear, constant = _cross(g, f), _cross(e, f) + _cross(h, g), _cross(h, e)
    determinant = (linear.square() - 4 * square * constant).sqrt()
    # Two forms of the same root; each is taken where it does not subtract nearly equal numbers.
    v = torch.where(linear > 0, -2 * constant / (linear + determinant), (determinant - linear) / (2 * square))
    along = e + v * g
    u = ((h - v * f) * along).sum(0) / along.square().sum(0)
    return u, v, determinant


def _slack(cells: Tensor, height: int, width: int) -> float:
    """Rounding of a coordinate, generously: no pixel may fall between two cells, nor off the border."""
    return 16 * torch.finfo(cells.dtype).eps * max(height, width)


def _holders(cells: Tensor, batch: int, height: int, width: int) -> Tensor:
    """Find the cell that each pixel is read in, by looking at all pixels in the bounding box of each cell.

    Parameters
    ----------
    cells
        ``(4, 2, K)``.
    batch, height, width
        N, H and W of the map.

    Returns
    -------
    Tensor
        ``(N * H * W,)``, index of the cell, -1 where there is none.
    """
    shape = (batch, height, width)
    first, extent = _boxes(cells, height, width)
    count = extent[0] * extent[1]
    ends = count.cumsum(0)
    total = int(ends[-1])
    nearest = cells.new_full((batch * height * width,), torch.inf, dtype=torch.float32)
    holder = torch.full_like(nearest, -1, dtype=torch.int64)
    for start in range(0, total, _PAIRS):
        pair = torch.arange(start, min(start + _PAIRS, total), device=cells.device)
        cell = torch.searchsorted(ends, pair, right=True)
        rank = pair - (ends - count)[cell]
        row = rank // extent[0, cell]
        pixels = torch.stack([first[0, cell] + rank - row * extent[0, cell], first[1, cell] + row])
        distance, candidate = _nearest(cells, cell, pixels, shape)
        holder = torch.where(distance < nearest, candidate, holder)
        nearest = torch.minimum(nearest, distance)
    return holder


def _holders_unknown(cells: Tensor, batch: int, height: int, width: int) -> Tensor:
    return cells.new_empty((batch * height * width,), dtype=torch.int64)


# An operation of its own: how much there is to look at depends on the values, which no compiler could follow.
# (The decorator custom_op would load the compiler, some seconds of work, also to run without it.)
torch.library.define("napari_dtn::holders", "(Tensor cells, int batch, int height, int width) -> Tensor")
torch.library.impl("napari_dtn::holders", "default", _holders)
torch.library.register_fake("napari_dtn::holders", _holders_unknown)


def _boxes(cells: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """First pixel, and numbers of pixels, x and y, of each cell's bounding box within the map, ``(2, K)``."""
    a, e, f, g = cells
    corners = torch.stack([a, a + e, a + f, a + e + f + g])
    slack = _slack(cells, height, width)
    size = cells.new_tensor([[width], [height]])
    first = (corners.amin(0) - slack).ceil().clamp(min=0)
    extent = (torch.minimum((corners.amax(0) + slack).floor() + 1, size) - first).clamp(min=0)
    # A corner that is not a number: the cell is nowhere, and the loss will say so.
    return first.nan_to_num(0).long(), extent.nan_to_num(0).long()


def _nearest(cells: Tensor, cell: Tensor, pixels: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Of the cells that hold a pixel the nearest one, from all pairs ``(P,)`` of a cell and a pixel.

    Returns
    -------
    tuple of Tensor
        Four times the squared distance, infinite where no cell holds the pixel, and the cell, each
        ``(N * H * W,)``.
    """
    batch, height, width = shape
    columns, per_image = width + 1, (height + 1) * (width + 1)
    u, v, determinant = _place(cells.index_select(2, cell), pixels)
    slack = _slack(cells, height, width)
    held = (torch.minimum(u, v) >= -slack) & (torch.maximum(u, v) <= 1 + slack) & (determinant > 0)
    column, row, image = _column_row_image(cell, shape)
    squared = (2 * (pixels[0] - column) - 1).square() + (2 * (pixels[1] - row) - 1).square()
    target = (image * height + pixels[1]) * width + pixels[0]
    # In float32, whose integers are exact to 2 ** 24: MPS has no minimum of int64.
    far = torch.full((batch * height * width,), torch.inf, device=cells.device)
    distance = far.scatter_reduce(0, target, torch.where(held, squared.float(), torch.inf), "amin")
    tied = held & (squared == distance[target])
    within = (row + 1) * columns + column + 1
    lowest = far.scatter_reduce(0, target, torch.where(tied, within.float(), torch.inf), "amin")
    before = torch.arange(batch, device=cells.device).repeat_interleave(height * width) * per_image
    return distance, lowest.nan_to_num(posinf=0).long() + before


def _column_row_image(cell: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """j, i and the image of cells; j and i are -1 for those of the ring on the left and above."""
    rows, columns = shape[1] + 1, shape[2] + 1
    row = cell // columns
    return cell - row * columns - 1, row % rows - 1, row // rows


def _read(values: Tensor, cells: Tensor, holder: Tensor) -> Tensor:
    """Read ``values`` bilinearly in the cell of each pixel.

    Returns
    -------
    Tensor
        ``(N, C + 1, H, W)``: what was read, 0 where no cell holds the pixel; in the last channel 1 where one
        does, otherwise 0.
    """
    batch, channels, height, width = values.shape
    held, cell = holder >= 0, holder.clamp(min=0)
    u, v = _implicit_place(cells.index_select(2, cell), held, (height, width))
    column, row, image = _column_row_image(cell, (batch, height, width))
    pixels = values.movedim(1, -1).reshape(-1, channels)
    out = torch.zeros_like(pixels)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = torch.where(held, (u if right else 1 - u) * (v if down else 1 - v), 0.0)
        y, x = (row + down).clamp(0, height - 1), (column + right).clamp(0, width - 1)
        out = out + pixels.index_select(0, (image * height + y) * width + x) * weight[:, None]
    coverage = held.view(batch, 1, height, width).to(values.dtype)
    return torch.cat([out.view(batch, height, width, channels).movedim(-1, 1), coverage], dim=1)


def _implicit_place(cells: Tensor, held: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Place of each pixel ``(N * H * W,)`` in its cell, with the gradient of the implicit function."""
    height, width = size
    with torch.no_grad():
        number = torch.arange(len(held), device=cells.device)
        pixels = torch.stack([number % width, number // width % height])
        u, v, _ = _place(cells, pixels)
        u, v = (torch.where(held, place, 0.0).clamp(0, 1) for place in (u, v))
    a, e, f, g = cells
    moved = a + u * e + v * f + u * v * g
    moved = moved - moved.detach()  # 0, but for its gradient
    right, below = (e + v * g).detach(), (f + u * g).detach()  # the columns of J
    area = _cross(right, below).clamp(min=FLAT)
    return u - _cross(moved, below) / area, v - _cross(right, moved) / area
