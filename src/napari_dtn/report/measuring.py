"""The warps of a volume, slice by slice, in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from napari_dtn.metrics import boundary_target
from napari_dtn.predict import Predictor
from napari_dtn.predict.warping import tile_warps
from napari_dtn.report.structure import Float, Structure, structure_of
from napari_dtn.settings import Roi
from napari_dtn.warp import Piece, Warp

_STEP = 8  # pixels between two measurements
_SHIFTS = 20  # of the structure against the warp, for what chance does
_KEPT = 2000  # measurements of a slice that are kept for the volume's figures


@dataclass(frozen=True)
class SliceRow:
    """The warps of a slice at one level, in numbers.

    Parameters
    ----------
    z, level
        Which.
    tiles
        How many.
    displacement
        Mean distance by which places move, in nm.
    deviation
        Root mean square distance of the fiducial points from their means over the tiles, in nm: 0 for a warp
        that does not depend on the image.
    area_5, area_50, area_95
        Quantiles of the area change, the Jacobian determinant.
    folded
        Share of the places at which the warp folds over.
    rho_distance, rho_width
        Spearman's correlation of the area change with the distance from the boundary, and with the width of
        the process, where the warp looks.
    chance_distance, chance_width
        Deviation of the same over shifted structures: what chance does.
    """

    z: int
    level: int
    tiles: int
    displacement: float
    deviation: float
    area_5: float
    area_50: float
    area_95: float
    folded: float
    rho_distance: float
    rho_width: float
    chance_distance: float
    chance_width: float


@dataclass(frozen=True, eq=False)
class SliceMeasured:
    """A slice is measured.

    Parameters
    ----------
    done, total
        Slices.
    rows
        Its numbers, one a level.
    samples
        By level: some places, ``(N, 3)``: log of the area change, distance from the boundary, width, in nm.
    fiducials
        By level: the fiducial points of all tiles, normalised, ``(tiles, K, 2)``.
    pieces
        By level: the parts of the slice with their warps.
    """

    done: int
    total: int
    rows: tuple[SliceRow, ...]
    samples: dict[int, Float]
    fiducials: dict[int, Float]
    pieces: dict[int, tuple[Piece, ...]]


def measure(predictor: Predictor, roi: Roi | None = None, truth: Any = None) -> Iterator[SliceMeasured]:
    """Measure the warps of a volume.

    Parameters
    ----------
    predictor
        A model set up for the volume.
    roi
        What of it; all by default.
    truth
        Ids ``(Z, Y, X)`` whose borders are the boundaries; otherwise the model's own are taken.

    Raises
    ------
    ValueError
        The model has no transformer, or several classes without a truth; the truth has another shape; or
        the region is too small.
    """
    _check(predictor, truth)
    zs, y, x = (roi or Roi()).within(predictor.volume.shape)
    _check_size(y, x)
    for done, z in enumerate(range(zs.start, zs.stop), start=1):
        boundary = _boundary(predictor, z, y, x, truth)
        structure = structure_of(boundary, _pixel_size(predictor))
        pieces = _pieces(predictor, z, y, x)
        measured = {level: _Level(some, structure, (y.start, x.start)) for level, some in pieces.items()}
        rows = tuple(one.row(z, level, _pixel_size(predictor)) for level, one in measured.items())
        yield SliceMeasured(
            done,
            zs.stop - zs.start,
            rows,
            {level: one.samples(z) for level, one in measured.items()},
            {level: np.stack([piece.warp.fiducials for piece in some]) for level, some in pieces.items()},
            pieces,
        )


def _check(predictor: Predictor, truth: Any) -> None:
    card = predictor.model.card
    if not card.network.transformer_levels:
        raise ValueError(f"The model {card.name} has no transformer, so it has no warp to report on.")
    if truth is None and predictor.classes > 1:
        raise ValueError(f"The model {card.name} predicts {predictor.classes} classes; give ids as --truth.")
    if truth is not None and tuple(truth.shape) != predictor.volume.shape:
        raise ValueError(f"The truth has the shape {truth.shape}, the volume {predictor.volume.shape}.")


def _check_size(y: slice, x: slice) -> None:
    before = (_STEP - 1) // 2  # pixels of a step that lie before its middle
    if any((side.start + before) // _STEP == (side.stop + before) // _STEP for side in (y, x)):
        raise ValueError(
            f"The region y {y.start}:{y.stop}, x {x.start}:{x.stop} lies between two measurements, which are "
            f"{_STEP} pixels apart; take a larger one."
        )


def _pixel_size(predictor: Predictor) -> tuple[float, float]:
    _, y, x = predictor.volume.voxel_size or predictor.model.card.voxel_size or (1.0, 1.0, 1.0)
    return y, x


def _boundary(predictor: Predictor, z: int, y: slice, x: slice, truth: Any) -> NDArray[np.bool_]:
    if truth is None:
        return np.asarray(predictor.predict(z, y, x)[0] >= 0.5)
    return boundary_target(np.asarray(truth[z, y, x]))


def _pieces(predictor: Predictor, z: int, y: slice, x: slice) -> dict[int, tuple[Piece, ...]]:
    grid = predictor.grid
    found: dict[int, list[Piece]] = {}
    for row in grid.rows(y):
        tiles = [grid.tile(row, column) for column in grid.columns(x)]
        for tile, warps in tile_warps(predictor, z, tiles):
            sides = [_common(own, side) for own, side in zip(grid.owned(tile), (y, x), strict=True)]
            for warp in warps if all(side.start < side.stop for side in sides) else ():
                found.setdefault(warp.level, []).append(Piece(warp, *sides))
    return {level: tuple(some) for level, some in sorted(found.items())}


def _common(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


class _Level:
    """The warps of a slice at one level, measured on a lattice of places."""

    def __init__(self, pieces: tuple[Piece, ...], structure: Structure, corner: tuple[int, int]) -> None:
        self._warps = [piece.warp for piece in pieces]
        points = [piece.points(_STEP).reshape(-1, 2) for piece in pieces]
        self._places = np.concatenate(points)
        self._looked = np.concatenate([p.warp.look(at) for p, at in zip(pieces, points, strict=True)])
        self._log_area = np.concatenate([piece.log_area(_STEP).ravel() for piece in pieces])
        self._structure, self._corner = structure, corner

    def row(self, z: int, level: int, pixel_size: tuple[float, float]) -> SliceRow:
        moved = np.linalg.norm((self._looked - self._places) * pixel_size, axis=1)
        low, middle, high = np.exp(np.quantile(self._log_area, (0.05, 0.5, 0.95), method="nearest"))
        (rho_d, chance_d), (rho_w, chance_w) = (
            self._correlation(field, z) for field in (self._structure.distance, self._structure.width)
        )
        return SliceRow(
            z=z,
            level=level,
            tiles=len(self._warps),
            displacement=float(moved.mean()),
            deviation=_deviation(self._warps, pixel_size),
            area_5=float(low),
            area_50=float(middle),
            area_95=float(high),
            folded=float(np.isneginf(self._log_area).mean()),
            rho_distance=rho_d,
            rho_width=rho_w,
            chance_distance=chance_d,
            chance_width=chance_w,
        )

    def samples(self, z: int) -> Float:
        """Return some places inside of processes; see :class:`SliceMeasured`."""
        fields = self._structure.distance, self._structure.width
        table = np.stack([self._log_area, *(self._at(field) for field in fields)], axis=1)
        table = table[(table[:, 1] > 0) & np.isfinite(table[:, 0])]
        chosen = np.random.default_rng(z).permutation(len(table))[:_KEPT]
        return np.asarray(table[chosen])

    def _at(self, field: Float, shift: tuple[int, int] = (0, 0)) -> Float:
        """Return a field where the warp looks; shifted, it goes on at the other side."""
        y, x = (np.rint(self._looked) - self._corner + shift).astype(int).T
        if shift == (0, 0):
            y, x = y.clip(0, field.shape[0] - 1), x.clip(0, field.shape[1] - 1)
        return np.asarray(field[y % field.shape[0], x % field.shape[1]])

    def _correlation(self, field: Float, seed: int) -> tuple[float, float]:
        """Return Spearman's correlation with the area change, and its deviation over shifted fields."""
        generator = np.random.default_rng(seed)
        shifts = generator.integers(
            np.array(field.shape) // 4, np.array(field.shape) * 3 // 4 + 1, (_SHIFTS, 2)
        )
        by_chance = [_spearman(self._log_area, self._at(field, (int(y), int(x)))) for y, x in shifts]
        return _spearman(self._log_area, self._at(field)), float(np.std(by_chance))


def _spearman(log_area: Float, field: Float) -> float:
    """Inside of processes; 0 where either is the same everywhere."""
    inside = field > 0
    ranks = [rankdata(values[inside]) for values in (log_area, field)]
    if inside.sum() < 3 or any(np.ptp(one) == 0 for one in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _deviation(warps: list[Warp], pixel_size: tuple[float, float]) -> float:
    """Root mean square distance of the fiducial points from their means over the tiles, in nm."""
    points = np.stack([warp.arrows[:, 1] for warp in warps]) * pixel_size
    return float(np.sqrt(np.square(points - points.mean(0)).sum(-1).mean()))
