"""Strokes as a person paints them, made from the truth: along membranes, and inside neurites."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from skimage.morphology import disk, skeletonize

from napari_dtn.metrics import boundary_target
from napari_dtn.patches import BOUNDARY, INSIDE

LENGTH = 400  # pixels that a stroke runs, at most
WIDTHS = {BOUNDARY: 3, INSIDE: 11}  # of the brush, in pixels
_AROUND = 64  # pixels within which the second stroke of a pair begins


def paint(ids: np.ndarray, slices: Sequence[int], count: int, seed: int) -> np.ndarray:
    """Paint strokes in pairs: one along a membrane, one along the middle of a neurite beside it.

    The annotator makes no mistakes: what the brush covers of another class stays as it was. The first strokes
    of a seed are the same whatever the count.

    Parameters
    ----------
    ids
        The truth, ``(Z, Y, X)``.
    slices
        Where to paint; each pair on one of them, at random.
    count
        Strokes.
    seed
        Chooses them.

    Returns
    -------
    numpy.ndarray
        uint8 ``(Z, Y, X)``: 0 not annotated, 1 boundary, 2 inside.
    """
    random = np.random.default_rng(seed)
    painted = np.zeros(ids.shape, np.uint8)
    for number in range(count):
        if number % 2 == 0:
            z = int(random.choice(slices))
            lines = {kind: skeletonize(boundary_target(ids[z]) == (kind == BOUNDARY)) for kind in WIDTHS}
            place = _any_of(np.argwhere(lines[BOUNDARY]), random)
        kind = BOUNDARY if number % 2 == 0 else INSIDE
        track = _track(lines[kind], _beside(np.argwhere(lines[kind]), place, random), random)
        _brush(painted[z], track, kind, boundary_target(ids[z]))
    return painted


def _any_of(points: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return points[random.integers(len(points))]


def _beside(points: np.ndarray, place: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A point near a place; the nearest where none is near."""
    far = np.abs(points - place).max(axis=1)
    near = points[far <= max(_AROUND, int(far.min()))]
    return _any_of(near, random)


def _track(line: np.ndarray, start: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Follow a skeleton from a point to both sides, until it ends or the stroke is long enough."""
    first = (int(start[0]), int(start[1]))
    seen = {first}
    for _ in range(2):
        place = first
        while len(seen) < LENGTH and (step := _next(line, place, seen, random)):
            seen.add(place := step)
    return np.array(sorted(seen))


def _next(
    line: np.ndarray, place: tuple[int, int], seen: set[tuple[int, int]], random: np.random.Generator
) -> tuple[int, int] | None:
    """A neighbour of a place on the line where the stroke was not yet."""
    y, x = place
    around = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    inside = (one for one in around if 0 <= one[0] < line.shape[0] and 0 <= one[1] < line.shape[1])
    free = [one for one in inside if line[one] and one not in seen]
    return free[random.integers(len(free))] if free else None


def _brush(slice_: np.ndarray, track: np.ndarray, kind: int, boundary: np.ndarray) -> None:
    """Paint one slice along a track, where the truth is of this kind."""
    covered = np.zeros(slice_.shape, bool)
    covered[tuple(track.T)] = True
    covered = ndimage.binary_dilation(covered, disk(WIDTHS[kind] // 2))
    slice_[covered & (boundary == (kind == BOUNDARY))] = kind
