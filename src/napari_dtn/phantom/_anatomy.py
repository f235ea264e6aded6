"""Neurite ids, distance to the nearest border and membranes of every section."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_dtn.phantom._noise import Bend, Floats, Shape, SmoothNoise
from napari_dtn.phantom._tracks import Tracks

Ids = NDArray[np.uint16]
Window = tuple[slice, slice]

SUBSECTIONS = (-0.33, 0.0, 0.33)  # a section is 30 nm thick; averaging over it blurs slanting membranes
BENDS = ((8.0, 110.0, 8.0), (4.0, 40.0, 4.5), (3.0, 17.0, 1.5))  # sections, pixels, amplitude in pixels
STRETCHING = (0.6, 160.0, 0.8)  # sections also stretch, each by itself, when they are cut and dried
GLIA = 9.0  # pixels from every disc at which glia fills the tissue between neurites
REACH = 38  # pixels past a disc that are searched: glia, a membrane there, and the bend
ROUNDING = 2.0  # pixels by which the corners of neurites are smoothed
MEMBRANE_INSIDE = 1.2  # pixels between the middle of a border of usual cleft and the first labelled pixel
SMALLEST_PROFILE = 40  # pixels; a smaller cross-section is a grazed tip, which no annotator would label


@dataclass(frozen=True)
class Anatomy:
    """What is where, shape (Z, Y, X) each.

    Parameters
    ----------
    owners
        Neurite + 1, membranes included; above the number of neurites, the pieces of glia.
    labels
        The same with 0 in membranes and between them: the truth.
    distance
        Pixels to the nearest border between two neurites.
    membrane
        Share of membrane in a pixel's column of tissue, 0 to 1.
    """

    owners: Ids
    labels: Ids
    distance: Floats
    membrane: Floats


def section_anatomy(shape: Shape, tracks: Tracks, rng: np.random.Generator) -> Anatomy:
    """Grow neurites of the tracks until they touch, in coordinates bent by smooth noise."""
    bends = [Bend.draw(rng, shape, *bend) for bend in BENDS]
    stretching = Bend.draw(rng, shape, *STRETCHING)
    gap = SmoothNoise.draw(rng, shape, 3, 24)
    y0, x0 = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape[1:]), indexing="ij")
    owners, labels = np.empty(shape, np.uint16), np.empty(shape, np.uint16)
    distance, membrane = np.empty(shape, np.float32), np.zeros(shape, np.float32)
    for z in range(shape[0]):
        cleft = (1.5 + 0.6 * gap.at(z)).clip(0.8, 3.2)
        grid = stretching.apply(z, y0, x0)
        for depth in SUBSECTIONS:
            found, pixels = _nearest(*_bent(bends, z + depth, *grid), z + depth, tracks)
            membrane[z] += _membrane(pixels, cleft) / len(SUBSECTIONS)
            if depth == 0:
                owners[z], distance[z], labels[z] = found, pixels, _inside(found, pixels, cleft)
    _number_glia(owners, labels, tracks.neurites + 1)
    return Anatomy(owners, labels, distance, membrane)


def _number_glia(owners: Ids, labels: Ids, glia: int) -> None:
    """Give every piece of glia that hangs together in 3D an id of its own, from ``glia`` on, in place."""
    pieces, _ = ndimage.label(labels == glia)
    for ids in (owners, labels):
        here = (ids == glia) & (pieces > 0)
        ids[here] = glia + pieces[here] - 1


def _bent(bends: list[Bend], z: float, y: Floats, x: Floats) -> tuple[Floats, Floats]:
    for bend in bends:
        y, x = bend.apply(z, y, x)
    return y, x


def _nearest(y: Floats, x: Floats, z: float, tracks: Tracks) -> tuple[Ids, Floats]:
    """Find the neurite + 1, the last for glia, and the distance to the border, both (Y, X), at y, x."""
    positions, radii, angles = tracks.place(z)
    long = np.sqrt(tracks.stretch)
    seen = _unbend(y, x, positions)
    best, second = np.full_like(y, GLIA), np.full_like(y, 1e3)
    owners = np.full(y.shape, tracks.neurites + 1, np.uint16)
    for neurite, discs in enumerate(np.split(np.arange(len(radii)), tracks.first[1:])):
        window = _window(seen[discs], radii[discs] * long[discs] + REACH, y.shape)
        d = _distance(y[window], x[window], positions[discs], radii[discs], angles[discs], long[discs])
        nearest = best[window]
        np.minimum(second[window], np.maximum(nearest, d), out=second[window])
        np.copyto(owners[window], neurite + 1, where=d < nearest)
        np.minimum(nearest, d, out=nearest)
    return owners, _to_border(second - best)


def _unbend(y: Floats, x: Floats, positions: Floats) -> Floats:
    """Find about where in the image the coordinates y, x take the values ``positions`` (n, 2)."""
    at = np.rint(positions).astype(int).clip(0, np.array(y.shape) - 1)
    bent = np.stack([y[tuple(at.T)], x[tuple(at.T)]], -1)
    return np.asarray(positions - (bent - at), np.float32)


def _window(positions: Floats, reach: Floats, shape: tuple[int, ...]) -> Window:
    """Box of the image around what is within ``reach`` (n,) of the positions (n, 2); empty where none is."""
    low = (positions - reach[:, None]).min(0).clip(0, shape).astype(int)
    high = (positions + reach[:, None]).max(0).clip(0, shape).astype(int)
    return slice(low[0], high[0]), slice(low[1], high[1])


def _distance(y: Floats, x: Floats, positions: Floats, radii: Floats, angles: Floats, long: Floats) -> Floats:
    """Signed distance to the union of a neurite's stretched discs, rounded where two of them meet."""
    discs = zip(positions, radii, angles, long, strict=True)
    return reduce(_round_minimum, (_to_disc(y - cy, x - cx, *disc) for (cy, cx), *disc in discs))


def _to_disc(dy: Floats, dx: Floats, radius: np.float32, angle: np.float32, long: np.float32) -> Floats:
    yy, yx, xx = _metric(angle, long)
    square = yy * dy
    square += yx * dx
    square *= dy
    square += xx * np.square(dx, out=dx)
    return np.asarray(np.sqrt(square, out=square) - radius)


def _metric(angle: np.float32, long: np.float32) -> tuple[np.float32, np.float32, np.float32]:
    """Coefficients of dy^2, dy dx and dx^2 in the squared length along a stretched disc's own axes."""
    c, s, along, across = np.cos(angle), np.sin(angle), long**-2, long**2
    return along * c * c + across * s * s, 2 * c * s * (along - across), along * s * s + across * c * c


def _round_minimum(first: Floats, second: Floats, width: float = 16) -> Floats:
    """Smaller of two distances, less where they are alike: the corner between two discs is filled."""
    blend = np.maximum(width - np.abs(first - second), 0)
    return np.asarray(np.minimum(first, second) - blend**2 / (4 * width), np.float32)


def _to_border(lead: Floats) -> Floats:
    """Turn the lead of the nearest neurite over the second into pixels, by its slope."""
    # On a border and on a neurite's middle line the slope changes sign: their neighbours know its size.
    slope = np.maximum(ndimage.maximum_filter(np.hypot(*np.gradient(lead)), 3), 0.7)
    pixels = ndimage.gaussian_filter((lead / slope).clip(0, 200), ROUNDING, truncate=3)
    # Smoothing rounds the corners, but also lifts |x| to about sqrt(x^2 + 2/pi sigma^2): take that back.
    return np.asarray(np.sqrt(np.maximum(pixels**2 - np.float32(2 / np.pi * ROUNDING**2), 0)))


def _membrane(distance: Floats, cleft: Floats) -> Floats:
    """Two dark leaves, one on each side of the cleft, that merge where it is narrow; 0 to 1."""
    leaves = np.exp(-(((distance - cleft) / 1.5) ** 2)) + np.exp(-(((distance + cleft) / 1.5) ** 2))
    undercoat = 0.22 * np.exp(-((distance / 5.5) ** 2))
    return np.asarray(np.minimum(leaves, 1) * (1 - undercoat) + undercoat, np.float32)


def _inside(owners: Ids, distance: Floats, cleft: Floats) -> Ids:
    labels = np.where(distance > MEMBRANE_INSIDE + 0.5 * (cleft - 1), owners, 0).astype(np.uint16)
    pieces, _ = ndimage.label(labels)
    labels[np.bincount(pieces.ravel())[pieces] < SMALLEST_PROFILE] = 0
    return labels
