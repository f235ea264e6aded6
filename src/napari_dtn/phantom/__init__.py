"""A synthetic serial-section electron micrograph with its true ids, for demos, tests and first steps.

Neurites are packed discs that slide past each other from section to section (``_tracks``); a pixel belongs to
the neurite whose disc is nearest, an additively weighted Voronoi diagram in which thin axons bulge into thick
dendrites, in coordinates bent by smooth noise; glia fills the rest. The distance to the border draws the
membranes (``_anatomy``), organelles are stamped as ellipses (``_organelles``), and a microscope looks at it
all (``_picture``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from napari_dtn.phantom._anatomy import section_anatomy
from napari_dtn.phantom._organelles import furnish
from napari_dtn.phantom._picture import cytoplasm_look, darkness, photograph
from napari_dtn.phantom._tracks import lay_tracks
from napari_dtn.settings import VoxelSize, check_fields

VOXEL_SIZE: VoxelSize = (30.0, 6.0, 6.0)
SMALLEST_SHAPE = (1, 32, 32)


@dataclass(frozen=True)
class PhantomSettings:
    """What the phantom holds.

    Parameters
    ----------
    shape
        Sections, rows and columns.
    seed
        Seed of everything random; the same settings give the same volume.
    neurite_radius
        Median radius of a neurite, in pixels.
    mitochondria
        Chance that a thick enough neurite has a mitochondrion.
    boutons
        Share of the middle-sized neurites that hold a cluster of vesicles and a synapse.
    jitter
        Largest shift of a section along each axis, in pixels; the labels shift with it.
    brightness
        Standard deviation of the brightness between sections, in grey values.
    noise
        Standard deviation of the noise of the detector, in grey values.
    """

    shape: tuple[int, int, int] = (16, 512, 512)
    seed: Annotated[int, {"min": 0}] = 0
    neurite_radius: Annotated[float, {"min": 8.0, "max": 60.0}] = 19.0
    mitochondria: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.35
    boutons: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.35
    jitter: Annotated[int, {"min": 0, "max": 16}] = 2
    brightness: Annotated[float, {"min": 0.0, "max": 40.0}] = 12.0
    noise: Annotated[float, {"min": 0.0, "max": 60.0}] = 4.0

    def __post_init__(self) -> None:
        check_fields(self)
        if len(self.shape) != 3 or any(
            n < least for n, least in zip(self.shape, SMALLEST_SHAPE, strict=True)
        ):
            raise ValueError(
                f"shape is {self.shape}; give (sections, rows, columns) of at least {SMALLEST_SHAPE}."
            )


@dataclass(frozen=True)
class Phantom:
    """A synthetic volume and its truth.

    Parameters
    ----------
    image
        uint8, shape (Z, Y, X).
    labels
        uint16, same shape: neurite ids that are consistent through z; 0 is membrane and extracellular space.
    voxel_size
        Nanometres, ZYX.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint16]
    voxel_size: VoxelSize = VOXEL_SIZE


def make_phantom(settings: PhantomSettings | None = None) -> Phantom:
    """Make the synthetic volume that the settings describe.

    Parameters
    ----------
    settings
        Defaults to ``PhantomSettings()``: 16 sections of 512 x 512 pixels, made in some seconds.
    """
    settings = settings or PhantomSettings()
    rng = np.random.default_rng(settings.seed)
    sections, rows, columns = settings.shape
    corners = rng.integers(0, 2 * settings.jitter + 1, (sections, 2))
    # The tissue is a little larger than the volume, and each section is a shifted window into it.
    tissue = (sections, rows + 2 * settings.jitter, columns + 2 * settings.jitter)
    tracks = lay_tracks(tissue, settings.neurite_radius, rng)
    anatomy = section_anatomy(tissue, tracks, rng)
    stamps = furnish(tracks, anatomy, settings.mitochondria, settings.boutons, rng)
    look = cytoplasm_look(int(anatomy.owners.max()), rng)
    image, labels = np.empty(settings.shape, np.uint8), np.empty(settings.shape, np.uint16)
    for z, (y, x) in enumerate(corners):
        window = np.s_[y : y + rows, x : x + columns]
        dark = darkness(anatomy, z, stamps[z], look, rng)[window]
        image[z] = photograph(dark, settings.brightness, settings.noise, rng)
        labels[z] = anatomy.labels[z][window]
    return Phantom(image, labels)
