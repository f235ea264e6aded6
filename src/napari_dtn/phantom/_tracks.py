"""Where the discs that make up the neurites are, section by section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dtn.phantom._noise import Floats, Shape

Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]

MARGIN = 64  # pixels of tissue around the volume, so that its edges look like its middle
FILLING = 0.98  # area of all discs over the area of the tissue: dense, as neuropil is
PACKED = 0.97  # distance of two discs that do not push, over the sum of their radii: at the start,
SLIDING = 0.8  # and from section to section, where a looser packing lets neurites pass each other
BONDED = 0.8  # the same for successive discs of one neurite


@dataclass(frozen=True)
class Tracks:
    """Discs of the neurites, in pixels and radians; the discs of a neurite follow each other.

    Parameters
    ----------
    positions
        Centres, shape (sections + 2, discs, 2) as yx: one more section at each end of the volume.
    radii
        Shape (sections + 2, discs).
    first
        First disc of each neurite, shape (neurites,).
    stretch
        Long over short axis, shape (discs,).
    angles, spin
        Direction of the long axis in section 0 and its change per section, shape (discs,) each.
    """

    positions: Floats
    radii: Floats
    first: Indices
    stretch: Floats
    angles: Floats
    spin: Floats

    @property
    def neurites(self) -> int:
        """Number of neurites."""
        return len(self.first)

    def place(self, z: float) -> tuple[Floats, Floats, Floats]:
        """Centres (discs, 2), radii and angles (discs,) at section z, which may be a fraction."""
        low = int(np.floor(z)) + 1
        high, share = min(low + 1, len(self.radii) - 1), np.float32(z + 1 - low)
        positions = self.positions[low] * (1 - share) + self.positions[high] * share
        radii = self.radii[low] * (1 - share) + self.radii[high] * share
        return positions, radii, self.angles + self.spin * np.float32(z)

    def centre(self, neurite: int, z: int) -> Floats:
        """Centre (y, x) of the neurite's first disc in section z."""
        centre: Floats = self.positions[z + 1, self.first[neurite]]
        return centre


def lay_tracks(shape: Shape, neurite_radius: float, rng: np.random.Generator) -> Tracks:
    """Pack discs into the first section of a (Z, Y, X) volume and let them wander through the others."""
    low, high = np.full(2, -MARGIN), np.array(shape[1:]) + MARGIN
    radii, owners = _draw_discs(float(np.prod(high - low)), neurite_radius, rng)
    n = len(radii)
    path = [_relax(rng.uniform(low, high, (n, 2)), radii, owners, 150, PACKED).clip(low, high)]
    for step in np.diff(_courses(shape[0], owners[-1] + 1, rng)[:, owners], axis=0):
        path.append(_relax(path[-1] + step, radii, owners, 2, SLIDING).clip(low, high))
    return Tracks(
        positions=np.array(path, np.float32),
        radii=(radii * _swelling(shape[0], n, rng)).astype(np.float32),
        first=np.flatnonzero(np.diff(owners, prepend=-1)),
        stretch=(1 + rng.exponential(0.35, n).clip(0, 1.2)).astype(np.float32),
        angles=rng.uniform(0, np.pi, n).astype(np.float32),
        spin=rng.normal(0, 0.03, n).astype(np.float32),
    )


def _draw_discs(area: float, radius: float, rng: np.random.Generator) -> tuple[Doubles, Indices]:
    """Draw radii and neurites of as many discs as fill the area; many are thin, a few very thick."""
    count = int(area / radius**2) + 8
    leading = rng.lognormal(np.log(radius), 0.6, count).clip(0.5 * radius, 3.5 * radius)
    owners = np.repeat(np.arange(count), rng.choice([1, 2, 3, 4], count, p=[0.62, 0.2, 0.12, 0.06]))
    lobes = np.where(np.diff(owners, prepend=-1) > 0, 1, rng.uniform(0.55, 0.95, len(owners)))
    radii = leading[owners] * lobes
    last = owners[np.searchsorted(np.cumsum(np.pi * radii**2), FILLING * area)]
    return radii[owners <= last], owners[owners <= last]


def _courses(sections: int, neurites: int, rng: np.random.Generator) -> Doubles:
    """Wish each neurite a bounded, winding course: displacements (sections + 2, neurites, 2)."""
    z = np.arange(sections + 2)[:, None, None]
    period, phase = rng.uniform(40, 110, (neurites, 2)), rng.random((neurites, 2))
    speed = rng.normal(0, 2.4, (neurites, 2)) * rng.lognormal(0, 0.5, (neurites, 1))
    return np.asarray(speed * period / (2 * np.pi) * np.sin(2 * np.pi * (z / period + phase)))


def _swelling(sections: int, discs: int, rng: np.random.Generator) -> Doubles:
    """Vary the calibre along z: factors (sections + 2, discs)."""
    z = np.arange(sections + 2)[:, None]
    period, phase = rng.uniform(20, 60, discs), rng.random(discs)
    return np.asarray(1 + 0.14 * np.sin(2 * np.pi * (z / period + phase)))


def _relax(positions: Doubles, radii: Doubles, owners: Indices, steps: int, tightness: float) -> Doubles:
    """Push overlapping discs apart, thin ones more, and keep successive discs of a neurite in touch."""
    order, reach = np.arange(len(radii)), np.add.outer(radii, radii)
    same = owners[:, None] == owners
    bonded = same & (np.abs(np.subtract.outer(order, order)) == 1)
    rest = np.where(bonded, BONDED, tightness) * reach
    least = np.where(bonded, -np.inf, 0)  # only bonds pull
    yields = np.where(same & ~bonded, 0, 0.4 * radii**2 / np.add.outer(radii**2, radii**2))
    for _ in range(steps):
        distance = np.hypot(*(np.subtract.outer(axis, axis) for axis in positions.T)) + 1e-6
        push = np.maximum(rest - distance, least) * yields / distance
        positions = positions + positions * push.sum(1)[:, None] - push @ positions
    return positions
