"""Organelles: ellipses placed in neurites, each drawn by the profile of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_dtn.phantom._anatomy import Anatomy, Ids
from napari_dtn.phantom._noise import Floats
from napari_dtn.phantom._tracks import Tracks

ANYWHERE = 0  # owner of a stamp that may cross membranes
CLEARANCE = 4.5  # pixels that every other organelle keeps from the middle of a border
MITOCHONDRIA_APART = 70  # pixels between two centres in one neurite


class Stamp(NamedTuple):
    """An ellipse in one section: centre and half axes in pixels, angle and phase in radians."""

    kind: str
    owner: int
    y: float
    x: float
    long: float
    short: float
    angle: float = 0
    strength: float = 1
    phase: float = 0


class Local(NamedTuple):
    """What a profile sees, in pixels: depth inside the ellipse, distance to the border, own axes."""

    depth: Floats
    border: Floats
    u: Floats
    v: Floats
    phase: float


Profile = Callable[[Local], Floats]


def _step(depth: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-(2.2 * depth).clip(-30, 30))), np.float32)


def _line(depth: Floats, width: float) -> Floats:
    return np.asarray(np.exp(-((depth / width) ** 2)), np.float32)


def _mitochondrion(at: Local) -> Floats:
    bent = at.v + 2.5 * np.sin(at.u * 0.19 + at.phase)
    cristae = np.sin(bent * 0.9 + at.phase) * np.cos(at.u * 0.13 + 2 * at.phase)
    matrix = (88 + 15 * cristae) * _step(at.depth - 0.5)
    return np.asarray(np.maximum(matrix, 112 * _line(at.depth - 1.3, 1.4)))


def _vesicle(at: Local) -> Floats:
    return 60 * _line(at.depth - 0.9, 1.1) + 32 * _step(at.depth - 1)


def _tubule(at: Local) -> Floats:
    return 140 * _step(at.depth)


def _cistern(at: Local) -> Floats:
    return 84 * _line(at.depth - 0.8, 1.1) - 6 * _step(at.depth - 2)


def _microtubule(at: Local) -> Floats:
    return 55 * _step(at.depth)


def _density(at: Local) -> Floats:
    # Densest on the membrane, fading into the cytoplasm on both sides and towards the rim of the synapse.
    return np.asarray(85 * np.exp(-((at.border / 5.0) ** 2)) * _step(0.5 * at.depth - 1))


# Darkness in grey values below clear cytoplasm.
PROFILES: dict[str, Profile] = {
    "mitochondrion": _mitochondrion,
    "vesicle": _vesicle,
    "tubule": _tubule,
    "cistern": _cistern,
    "microtubule": _microtubule,
    "density": _density,
}


def draw(canvas: Floats, stamp: Stamp, owners: Ids, border: Floats) -> None:
    """Draw a stamp into the darkness of one section where that is lighter, all arrays (Y, X)."""
    reach = stamp.long + 4
    ends = [
        (max(int(centre - reach), 0), min(int(centre + reach) + 1, size))
        for centre, size in zip((stamp.y, stamp.x), canvas.shape, strict=True)
    ]
    if any(start >= stop for start, stop in ends):
        return
    window = (slice(*ends[0]), slice(*ends[1]))
    y, x = (np.arange(start, stop, dtype=np.float32) for start, stop in ends)
    u, v = _turn(y[:, None] - np.float32(stamp.y), x - np.float32(stamp.x), stamp.angle)
    depth = _depth(stamp, u, v)
    if stamp.owner != ANYWHERE:
        depth = np.minimum(depth, border[window] - CLEARANCE)
        depth[owners[window] != stamp.owner] = -20
    dark = stamp.strength * PROFILES[stamp.kind](Local(depth, border[window], u, v, stamp.phase))
    np.maximum(canvas[window], dark, out=canvas[window])


def _depth(stamp: Stamp, u: Floats, v: Floats) -> Floats:
    long, short = max(stamp.long, 0.8), max(stamp.short, 0.8)
    lobes = 1 + 0.07 * np.cos(3 * np.arctan2(v, u) + stamp.phase)  # no organelle is a perfect ellipse
    return np.asarray((1 - np.hypot(u / long, v / short) * lobes) * short, np.float32)


def _turn(y: Floats, x: Floats, angle: float) -> tuple[Floats, Floats]:
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * y + s * x, c * x - s * y


@dataclass(frozen=True)
class Rule:
    """How often small organelles of a kind begin, per pixel of a section, and their sizes as (low, high)."""

    kind: str
    births: float
    long: tuple[float, float]
    ratio: tuple[float, float]
    sections: tuple[int, int]


RULES = (
    Rule("tubule", 1 / 8_000, (2.0, 6.0), (0.3, 0.8), (2, 6)),
    Rule("cistern", 1 / 24_000, (4.0, 11.0), (0.35, 0.9), (1, 4)),
    Rule("microtubule", 1 / 5_000, (1.2, 1.7), (0.8, 1.0), (4, 14)),
    Rule("vesicle", 1 / 5_000, (3.2, 4.4), (0.85, 1.0), (1, 2)),
)


class Room(NamedTuple):
    """A neurite in one section: its pixels as yx (n, 2) and their distance to the border (n,)."""

    neurite: int
    z: int
    pixels: NDArray[np.int64]
    distance: Floats

    @property
    def owner(self) -> int:
        """Owner of stamps that stay in this neurite."""
        return self.neurite + 1

    @property
    def deepest(self) -> float:
        """Largest distance to the border."""
        return float(self.distance.max())

    def choose(self, depth: float, rng: np.random.Generator) -> tuple[float, float]:
        """Choose the y, x of a pixel at least this far from the border."""
        y, x = self.pixels[rng.choice(np.flatnonzero(self.distance >= depth))]
        return float(y), float(x)


Placed = Iterator[tuple[int, Stamp]]


def furnish(
    tracks: Tracks, anatomy: Anatomy, mitochondria: float, boutons: float, rng: np.random.Generator
) -> list[list[Stamp]]:
    """List the stamps of every section: small organelles anywhere, large ones around one home section each.

    ``mitochondria`` and ``boutons`` are the chances of a neurite to have them.
    """
    sections = len(anatomy.labels)
    homes = rng.integers(sections, size=tracks.neurites)
    crowded = rng.random(tracks.neurites) < boutons
    stamps: list[list[Stamp]] = [[] for _ in range(sections)]
    for room in _rooms(anatomy, tracks.neurites):
        found = [placed for rule in RULES for placed in _scatter(rule, room, rng)]
        if homes[room.neurite] == room.z:
            found += _mitochondria(room, mitochondria, rng)
            found += _bouton(room, rng) if crowded[room.neurite] else []
        for z, stamp in found:
            if 0 <= z < sections:
                stamps[z].append(_follow(stamp, tracks, room, z))
    return stamps


def _follow(stamp: Stamp, tracks: Tracks, room: Room, z: int) -> Stamp:
    """Move a stamp that was placed in the room's section along with the neurite to section z."""
    dy, dx = tracks.centre(room.neurite, z) - tracks.centre(room.neurite, room.z)
    return stamp._replace(y=stamp.y + float(dy), x=stamp.x + float(dx))


def _rooms(anatomy: Anatomy, neurites: int) -> Iterator[Room]:
    for z, labels in enumerate(anatomy.labels):
        for index, box in enumerate(ndimage.find_objects(labels)[:neurites]):
            if box is not None:
                pixels = np.argwhere(labels[box] == index + 1) + np.array([box[0].start, box[1].start])
                yield Room(index, z, pixels, anatomy.distance[z][tuple(pixels.T)])


def _scatter(rule: Rule, room: Room, rng: np.random.Generator) -> Placed:
    for place in rng.integers(len(room.pixels), size=rng.poisson(rule.births * len(room.pixels))):
        if room.distance[place] > CLEARANCE + 1.5:
            y, x = map(float, room.pixels[place])
            long = rng.uniform(*rule.long)
            short, angle, phase = long * rng.uniform(*rule.ratio), rng.uniform(0, np.pi), rng.uniform(0, 6.3)
            stamp = Stamp(rule.kind, room.owner, y, x, long, short, angle, rng.uniform(0.6, 1), phase)
            yield from ((room.z + dz, stamp) for dz in range(rng.integers(*rule.sections)))


def _mitochondria(room: Room, chance: float, rng: np.random.Generator) -> Placed:
    """Yield the sections of a neurite's mitochondria: tapering tubes in its thick parts."""
    if room.deepest < 12:
        return
    taken: list[tuple[float, float]] = []
    for _ in range(1 + len(room.pixels) // 9000):
        y, x = room.choose(0.55 * room.deepest, rng)
        if rng.random() < chance and all(np.hypot(y - b, x - a) > MITOCHONDRIA_APART for b, a in taken):
            taken.append((y, x))
            yield from _tube(room, y, x, rng)


def _tube(room: Room, y: float, x: float, rng: np.random.Generator) -> Placed:
    short, half = min(0.55 * room.deepest, rng.uniform(9, 17)), int(rng.integers(3, 12))
    long, angle, phase = short * rng.uniform(1.0, 2.1), rng.uniform(0, np.pi), rng.uniform(0, 6.3)
    drift_y, drift_x = rng.normal(0, 1.5, 2)
    for dz in range(-half, half + 1):
        taper = np.sqrt(1 - (dz / (half + 1)) ** 2)
        ellipse = (y + drift_y * dz, x + drift_x * dz, long * taper, short * taper, angle + 0.04 * dz)
        yield room.z + dz, Stamp("mitochondrion", room.owner, *ellipse, phase=phase + 2.4 * dz)


def _bouton(room: Room, rng: np.random.Generator) -> Placed:
    """Yield a cluster of vesicles and the densities of the synapse that it crowds around."""
    if not 12 < room.deepest < 60:
        return
    y, x = room.choose(min(0.6 * room.deepest, 20), rng)
    yield from _synapse(room, y, x, int(rng.integers(2, 4)))
    for dz in range(-7, 8):
        for dy, dx in _crowd(30 * np.exp(-((dz / 7) ** 2)), rng):
            radius, strength = rng.uniform(3.1, 4.3), rng.uniform(0.6, 1)
            yield room.z + dz, Stamp("vesicle", room.owner, y + dy, x + dx, radius, radius, strength=strength)


def _synapse(room: Room, y: float, x: float, half: int) -> Placed:
    """Yield densities at the border nearest to y, x, over ``half`` sections to either side."""
    from_here = np.hypot(*(room.pixels - [y, x]).T)
    at_y, at_x = map(float, room.pixels[np.argmin(from_here + 20 * room.distance)])
    for dz in range(-half, half + 1):
        radius = 3 + 11 * float(np.sqrt(1.2 - (dz / (half + 1)) ** 2))
        yield room.z + dz, Stamp("density", ANYWHERE, at_y, at_x, radius, radius)


def _crowd(radius: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Scatter offsets (n, 2) that keep about a vesicle's width apart, dense at the middle."""
    steps = np.arange(-54, 55, 9.0)
    lattice = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    places = lattice + rng.normal(0, 1.8, lattice.shape)
    kept = rng.random(len(places)) < 0.95 * np.exp(-((places / radius) ** 2).sum(1) / 2)
    return np.asarray(places[kept])
