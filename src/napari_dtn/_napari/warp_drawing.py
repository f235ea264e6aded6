"""What the warp layers show, as arrays: made in a job, so that the window only has to hand them on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dtn.colours import DIRECTIONS, ORANGE, SKY, WHITE, YELLOW
from napari_dtn.warp import Patch, Piece, arrow_segments, line_segments, mosaic, moves, outlines

if TYPE_CHECKING:
    from napari_dtn.colours import DIRECTIONS, ORANGE, SKY, WHITE, YELLOW
    from napari_dtn.predict.comparing import Opinion
from napari_dtn.warp import Warp

GRID, ARROWS, FIDUCIALS = "warp grid", "warp arrows", "warp fiducials"
MOVES, AREA, FOLDS = "warp displacement", "warp area", "warp folds"
PATCH, EFFECTIVE = "warp patch", "warp effective patch"
COMPARED, CHANGED = "warp compare", "warp changed"
# Of one tile: what follows the cursor leaves the lattice of a whole view alone.
TILE_GRID, TILE_ARROWS, TILE_FIDUCIALS = "warp tile grid", "warp tile arrows", "warp tile fiducials"

# In pixels of the image.
_SPACING, _JOINTS, _EVERY, _FINEST = 32, 16, 16, 4
_LINES = 9
_MARK = 4.0


@dataclass(frozen=True, eq=False)
class Picture:
    """A map of numbers over a part of a slice.

    Parameters
    ----------
    values
        ``(h, w)``.
    corner
        Centre of its first pixel, ``(y, x)`` in pixels of the slice.
    step
        Pixels of the slice along one of its own.
    """

    values: NDArray[Any]
    corner: tuple[float, float]
    step: int


@dataclass(frozen=True, eq=False)
class Drawing:
    """What some layers show of slice z, by the layers' names behind that of the image.

    Parameters
    ----------
    z
        The slice.
    segments
        Starts and displacements, ``(N, 2, 2)`` ``(y, x)`` in pixels of the slice.
    points
        ``(N, 2)``.
    colors
        Of segments that do not all have the colour of their layer, ``(N, 4)``.
    pictures
        Maps.
    """

    z: int
    segments: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    points: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    colors: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)


def draw_pieces(z: int, pieces: Sequence[Piece], wanted: Collection[str], factor: float = 1) -> Drawing:
    """Draw the warps of a slice.

    Parameters
    ----------
    z
        The slice.
    pieces
        Of it, at least one.
    wanted
        Names of layers.
    factor
        By how much lines, points and arrows are exaggerated.
    """
    drawing = Drawing(z)
    if GRID in wanted:
        drawing.segments[GRID] = _joined([line_segments(one, _SPACING, _JOINTS, factor) for one in pieces])
    if ARROWS in wanted or FIDUCIALS in wanted:
        arrows = _joined([arrow_segments(one, factor) for one in pieces])
        drawing.segments[ARROWS], drawing.points[FIDUCIALS] = arrows, arrows.sum(axis=1)
    if MOVES in wanted:
        arrows = _joined([moves(one, _EVERY) for one in pieces])
        drawing.segments[MOVES] = arrows * [[1], [factor]]
        drawing.colors[MOVES] = direction_colors(arrows[:, 1])
    if AREA in wanted or FOLDS in wanted:
        _draw_area(drawing, pieces, wanted)
    return drawing


def _draw_area(drawing: Drawing, pieces: Sequence[Piece], wanted: Collection[str]) -> None:
    step = max(pieces[0].warp.stride, _FINEST)
    values, corner = mosaic(pieces, step)
    y, x = (at * step + (step - 1) / 2 for at in corner)
    if AREA in wanted and values.size:  # a slice that is narrower than a step has none
        drawing.pictures[AREA] = Picture(np.nan_to_num(values, neginf=-10).astype(np.float32), (y, x), step)
    if FOLDS in wanted:
        drawing.points[FOLDS] = np.argwhere(np.isneginf(values)) * step + [y, x]


def draw_tile(z: int, warps: Sequence[Warp]) -> Drawing:
    """Draw all warps of one tile: lines of its grid, fiducial points and their arrows."""
    lines = [line for warp in warps for line in warp.grid_lines(_LINES)]
    arrows = np.concatenate([warp.arrows for warp in warps])
    segments = {TILE_GRID: paths(lines), TILE_ARROWS: arrows}
    return Drawing(z, segments, {TILE_FIDUCIALS: arrows.sum(axis=1)})


def draw_patch(z: int, patch: Patch) -> Drawing:
    """Draw the learned patch of a pixel, the square of a U-Net, that of the skip connections, and a mark."""
    from napari.utils.colormaps.standardize_color import transform_color

    y, x = patch.pixel
    cross = [np.array([(y, x - _MARK), (y, x + _MARK)]), np.array([(y - _MARK, x), (y + _MARK, x)])]
    learned, plain, skip = (outlines(one, patch.origin) for one in (patch.warped, patch.plain, patch.skip))
    parts = [(paths(plain), WHITE), (paths(skip), SKY), (paths(learned), ORANGE), (paths(cross), YELLOW)]
    colors = [np.repeat(transform_color(color), len(segments), axis=0) for segments, color in parts]
    segments = np.concatenate([segments for segments, _ in parts])
    return Drawing(z, {PATCH: segments}, colors={PATCH: np.concatenate(colors)})


def draw_effective(z: int, values: NDArray[Any], origin: tuple[int, int]) -> Drawing:
    """Draw how much the pixels of a tile decide about one of them."""
    return Drawing(z, pictures={EFFECTIVE: Picture(values, (float(origin[0]), float(origin[1])), 1)})


def draw_opinion(z: int, corner: tuple[int, int], shown: Opinion, other: Opinion) -> Drawing:
    """Draw what a model says of a region, and where the DTN and another decide differently."""
    at = (float(corner[0]), float(corner[1]))
    changed = Picture(other.changed.astype(np.float32), at, 1)
    return Drawing(z, pictures={COMPARED: Picture(shown.plane, at, 1), CHANGED: changed})


def paths(lines: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Lines ``(P, 2)`` -> segments ``(N, 2, 2)``, starts and displacements."""
    return _joined([np.stack([line[:-1], np.diff(line, axis=0)], axis=1) for line in lines])


def _joined(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate([np.zeros((0, 2, 2)), *parts])


def direction_colors(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors ``(N, 2)`` ``(y, x)`` -> ``(N, 4)``: right vermilion, down pink, left blue, up yellow."""
    anchors = np.array([[int(one[i : i + 2], 16) / 255 for i in (1, 3, 5)] for one in DIRECTIONS])
    quarter = np.arctan2(vectors[:, 0], vectors[:, 1]) / (np.pi / 2) % 4
    before = np.floor(quarter).astype(int) % 4
    share = (quarter - np.floor(quarter))[:, None]
    mixed = (1 - share) * anchors[before] + share * anchors[(before + 1) % 4]
    return np.concatenate([mixed, np.ones_like(share)], axis=1)
