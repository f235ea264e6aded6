r"""Thin-plate splines: control points in, sampling grid out (paper Sec. 2.2, Eqs. 1-3).

K fiducial points sit on a fixed lattice :math:`F'` in the output map; the network says where each of them
looks in the input map, :math:`F`. The spline that carries one to the other is, for an output point
:math:`q = (x, y)`,

.. math::

    T(q) = A \, (1, x, y)^T + \sum_k w_k \, \phi(\lVert q - F'_k \rVert), \qquad \phi(r) = r^2 \ln r,

whose K + 3 coefficients solve a linear system with the *constant* matrix

.. math::

    \Delta = \begin{pmatrix} \Phi & 1 & F' \\ 1^T & 0 & 0 \\ F'^T & 0 & 0 \end{pmatrix},
    \qquad \Phi_{jk} = \phi(\lVert F'_j - F'_k \rVert).

With :math:`Q` the rows :math:`(\phi(\lVert q - F'_1 \rVert), \dots, 1, x, y)` of all pixels, the whole grid
is one product with a constant matrix: :math:`B F`, :math:`B = (Q \Delta^{-1})_{:, :K}`.

Coordinates are normalised, ``(x, y)`` in [-1, 1] with -1 and 1 at the centres of the border pixels
(``align_corners=True``), here and everywhere in the product.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from napari_dtn.nn.autocasting import computing_in


def lattice(side: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return the fiducial points at rest: the cell centres of a ``side x side`` division of [-1, 1].

    They lie strictly inside (-1, 1), so that a tanh reaches them and the network can start at the
    identity.

    Returns
    -------
    Tensor
        Shape ``(side * side, 2)``, ``(x, y)``, row by row.
    """
    centres = (2 * torch.arange(side, dtype=dtype) + 1) / side - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)


def pixel_centres(height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return the normalised coordinates of all pixels, shape ``(height * width, 2)``, ``(x, y)``."""
    y, x = torch.meshgrid(_axis(height, dtype), _axis(width, dtype), indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)


def _axis(size: int, dtype: torch.dtype) -> Tensor:
    return torch.linspace(-1, 1, size, dtype=dtype) if size > 1 else torch.zeros(1, dtype=dtype)


def _phi(squared: Tensor) -> Tensor:
    """r^2 ln r from r^2; its limit at 0 is 0."""
    return 0.5 * squared * torch.where(squared > 0, squared, torch.ones_like(squared)).log()


def _rows(points: Tensor, fiducials: Tensor) -> Tensor:
    """The rows of Q: kernel values to every fiducial point, then 1, x, y."""
    squared = (points[:, None] - fiducials[None]).square().sum(-1)
    return torch.cat([_phi(squared), torch.ones_like(points[:, :1]), points], dim=1)


def spline_matrix(points: Tensor, side: int) -> Tensor:
    """Return the constant matrix that carries moved fiducial points to ``points``.

    Parameters
    ----------
    points
        Output points, shape ``(P, 2)``, float64.
    side
        Fiducial points along each side of the lattice.

    Returns
    -------
    Tensor
        ``B`` of shape ``(P, side * side)``, float64: ``B @ F`` are the points in the input map.
    """
    rest = lattice(side)
    count = len(rest)
    delta = torch.zeros(count + 3, count + 3, dtype=torch.float64)
    delta[:count] = _rows(rest, rest)
    delta[count:, :count] = delta[:count, count:].T
    solved: Tensor = torch.linalg.solve(delta.T, _rows(points, rest).T)
    return solved.T[:, :count]


@lru_cache(maxsize=64)
def _grid_matrix(height: int, width: int, side: int, device: torch.device) -> Tensor:
    # torch.inference_mode would otherwise leave an inference tensor in the cache, useless for training.
    with torch.inference_mode(False), torch.no_grad():
        return spline_matrix(pixel_centres(height, width), side).float().to(device)


def constant_grid_matrix(height: int, width: int, side: int, device: torch.device) -> Tensor:
    """Return the cached matrix of a map; a compiler is to be told that it is a constant."""
    return _grid_matrix(height, width, side, device)


def spline_grid(fiducials: Tensor, height: int, width: int) -> Tensor:
    """Return the sampling grid of moved fiducial points (Eq. 3).

    Computed outside autocast: in bfloat16 a coordinate of a 28 pixel map is off by up to 0.1 pixel.

    Parameters
    ----------
    fiducials
        Where each lattice point looks in the input map: ``(N, K, 2)``, ``(x, y)``, K a square number.
    height, width
        Size of the map.

    Returns
    -------
    Tensor
        ``(N, height, width, 2)``, ``(x, y)``: for every output pixel the point it samples.
    """
    batch = fiducials.shape[0]
    # A traced graph has a batch of any size; everything else is a constant of it.
    side, height, width = round(int(fiducials.shape[1]) ** 0.5), int(height), int(width)
    with computing_in(fiducials.device.type):
        if fiducials.dtype == torch.float64:
            matrix = spline_matrix(pixel_centres(height, width), side).to(fiducials.device)
        else:
            matrix = constant_grid_matrix(height, width, side, fiducials.device)
            fiducials = fiducials.float()
        return (matrix @ fiducials).view(batch, height, width, 2)


def fiducials_of(grid: Tensor, side: int) -> Tensor:
    """Return the fiducial points ``(N, side * side, 2)`` that made a grid ``(N, H, W, 2)``.

    The grid is linear in them, so least squares gives them back, on any map of at least
    ``side x side`` pixels.
    """
    inverse = _grid_inverse(grid.shape[1], grid.shape[2], side).to(grid.dtype).to(grid.device)
    return inverse @ grid.flatten(1, 2)


@lru_cache(maxsize=8)
def _grid_inverse(height: int, width: int, side: int) -> Tensor:
    """Least squares by the normal equations, ``(K, P)``; the matrix is well conditioned."""
    with torch.inference_mode(False), torch.no_grad():
        matrix = spline_matrix(pixel_centres(height, width), side)
        inverse: Tensor = torch.linalg.solve(matrix.T @ matrix, matrix.T)
        return inverse


def fold_over(grid: Tensor) -> Tensor:
    """Return the share of the map on which the warp turns itself inside out.

    Parameters
    ----------
    grid
        ``(N, H, W, 2)``.

    Returns
    -------
    Tensor
        ``(N,)``: share of pixel cells whose signed area, the finite-difference Jacobian determinant, is
        negative; 0 for a map of one row or column, which has no cells.
    """
    dx = grid[:, :-1, 1:] - grid[:, :-1, :-1]
    dy = grid[:, 1:, :-1] - grid[:, :-1, :-1]
    determinant = dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]
    cells = max(determinant[0].numel(), 1)
    return (determinant < 0).float().sum(dim=(1, 2)) / cells
