"""The picture: cytoplasm, membranes and organelles, then the microscope."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_dtn.phantom._anatomy import Anatomy
from napari_dtn.phantom._noise import Floats
from napari_dtn.phantom._organelles import Stamp, draw

LEVEL = 182.0  # grey value of clear cytoplasm
CONTRAST = 1.25
MEMBRANE = 78.0  # darkness of a membrane, in grey values before the contrast
GRAINS = ((0.85, 11.0), (2.2, 8.0))  # size in pixels and darkness of the specks of cytoplasm
BLUR = 0.55  # pixels


class Look(NamedTuple):
    """Darkness and graininess of each owner's cytoplasm, shape (owners + 1,)."""

    shade: Floats
    grain: Floats


def cytoplasm_look(owners: int, rng: np.random.Generator) -> Look:
    """Make most cells clear and some dark; ``owners`` is the largest id."""
    shade, grain = rng.gamma(1.5, 9, owners + 1).clip(0, 34), rng.uniform(0.6, 1.35, owners + 1)
    return Look(shade.astype(np.float32), grain.astype(np.float32))


def darkness(anatomy: Anatomy, z: int, stamps: list[Stamp], look: Look, rng: np.random.Generator) -> Floats:
    """Darkness of section z in grey values below clear cytoplasm, shape (Y, X)."""
    owners = anatomy.owners[z]
    organelles = np.zeros(owners.shape, np.float32)
    for stamp in stamps:
        draw(organelles, stamp, owners, anatomy.distance[z])
    cytoplasm = look.shade[owners] + look.grain[owners] * _specks(owners.shape, rng)
    membrane = anatomy.membrane[z]
    membranes = cytoplasm * (1 - 0.5 * membrane) + np.float32(MEMBRANE) * membrane
    return np.asarray(np.maximum(membranes, 0.4 * cytoplasm + organelles), np.float32)


def _specks(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    total = np.zeros(shape, np.float32)
    for size, strength in GRAINS:
        specks = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), size, mode="wrap")
        total += np.float32(strength) / specks.std() * specks
    return total


def photograph(dark: Floats, brightness: float, noise: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Photograph one section: blur, lighting of its own, noise; uint8 of the same shape (Y, X)."""
    level, contrast = LEVEL + brightness * rng.standard_normal(), CONTRAST * rng.normal(1, 0.05)
    clean = level - contrast * ndimage.gaussian_filter(dark, BLUR)
    noisy = clean + noise * rng.standard_normal(dark.shape, dtype=np.float32)
    return np.asarray(np.rint(noisy).clip(0, 255), np.uint8)
