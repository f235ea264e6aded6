"""An annotated volume as something to train on, with regions that are only ever scored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from napari_dtn.augment import Annotation, Float
from napari_dtn.patches import PatchSampler, TrainingVolume, filled, window_holding
from napari_dtn.settings import Box, NetworkSettings, TrainSettings, VoxelSize
from napari_dtn.teach.pieces import Piece, Pieces, cut, masked, read_pieces, within
from napari_dtn.teach.planning import Amount
from napari_dtn.train.data import Batch, Sampler, batches, spread
from napari_dtn.volume.intensity import Intensity

BOUNDARY_CLASSES = ("boundary", "inside")
MARGIN = 16  # pixels around what is held out, in its slice, that nothing is learned from
_SCORED_WINDOWS, _VIEWS = 24, 32
_CELL = 0.75  # of a patch: a scored pixel has this much of its surroundings


@dataclass(frozen=True)
class TeachData:
    """A volume, what is annotated in it, and the regions that are held out.

    The annotation is read when it is first needed and then stays what it was, whatever is painted later.

    Parameters
    ----------
    image
        ``(Z, Y, X)``, anything lazy that slices to NumPy.
    annotation
        uint8, the same shape: 0 not annotated, otherwise 1 + class index.
    intensity
        Statistics of the whole volume.
    held_out
        Boxes ``(z, y, x)`` whose annotation is only scored; neither it nor what is annotated within
        ``MARGIN`` pixels of it ever counts in the loss.
    regions
        Boxes that hold all annotation, one a region, held out or not; found by reading every slice where
        left open.
    classes
        One name a class.
    name
        What the volume is called.
    voxel_size
        In nm, ``(Z, Y, X)``.

    Raises
    ------
    ValueError
        Image and annotation differ in shape, or there are fewer than two classes.
    """

    image: Any
    annotation: Any
    intensity: Intensity
    held_out: tuple[Box, ...] = ()
    regions: tuple[Box, ...] = ()
    classes: tuple[str, ...] = BOUNDARY_CLASSES
    name: str = "unnamed volume"
    voxel_size: VoxelSize | None = None

    def __post_init__(self) -> None:
        if tuple(self.image.shape) != tuple(self.annotation.shape):
            raise ValueError(
                f"The image is {tuple(self.image.shape)} and the annotation {tuple(self.annotation.shape)}; "
                "is it the annotation of another volume?"
            )
        if len(self.classes) < 2:
            raise ValueError(f"classes is {self.classes}; a model tells at least two apart.")

    @property
    def n_classes(self) -> int:
        """Outputs of a network that tells the classes apart: 1 for boundary and inside."""
        return 1 if len(self.classes) == 2 else len(self.classes)

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """All that is annotated."""
        return tuple(read_pieces(self.annotation, self.regions))

    @cached_property
    def lessons(self) -> tuple[Piece, ...]:
        """What is learned from."""
        kept = (masked(one, ~within(one, self.held_out, MARGIN)) for one in self.pieces)
        return tuple(piece for pieces in kept for piece in pieces)

    @cached_property
    def questions(self) -> tuple[Piece, ...]:
        """What is only scored."""
        kept = (masked(one, within(one, self.held_out)) for one in self.pieces)
        return tuple(piece for pieces in kept for piece in pieces)

    @property
    def amount(self) -> Amount:
        """How much there is to learn from."""
        counts = sum((np.bincount(one.known.ravel(), minlength=256) for one in self.lessons), np.zeros(256))
        pixels = tuple(int(count) for count in counts[1 : len(self.classes) + 1])
        return Amount(pixels, len(self.lessons), len({one.z for one in self.lessons}))

    @property
    def normalisation(self) -> str:
        """By statistics of the whole volume."""
        return "volume z-score"

    def check(self, network: NetworkSettings) -> None:
        """Refuse a network that does not fit, and annotation that teaches nothing, with a ValueError."""
        if network.in_channels != 1:
            raise ValueError(f"in_channels is {network.in_channels}; a volume has 1.")
        if network.n_classes != self.n_classes:
            raise ValueError(f"n_classes is {network.n_classes}; {len(self.classes)} classes are annotated.")
        if not self.lessons:
            raise ValueError("Nothing is annotated outside what is held out: paint some of each class first.")
        largest = max(int(one.known.max()) for one in self.pieces)
        if largest > len(self.classes):
            raise ValueError(f"The annotation holds {largest}, and there are {len(self.classes)} classes.")

    def class_names(self, n_classes: int) -> tuple[str, ...]:
        """Return ``boundary``, or the name of each of several classes."""
        return self.classes[:1] if n_classes == 1 else self.classes

    def describe(self) -> dict[str, Any]:
        """Return what identifies the data, as plain JSON values."""
        annotated = hashlib.sha256()
        for one in self.pieces:
            annotated.update(repr(one.box).encode() + one.known.tobytes())
        return {
            "name": self.name,
            "shape": [int(side) for side in self.image.shape],
            "classes": list(self.classes),
            "annotation_sha256": annotated.hexdigest(),
            "annotated": asdict(self.amount),
            "held_out": [_numbers(box) for box in self.held_out],
            "intensity": asdict(self.intensity),
        }

    def sampler(self, network: NetworkSettings, settings: TrainSettings) -> Sampler:
        """Return what draws patches around what is annotated and not held out."""
        return PatchSampler(
            self._volume(self.lessons),
            sorted({one.z for one in self.lessons}),
            settings.patch_size,
            settings.augment,
            settings.seed,
            network.context,
            Focus(self.lessons).pixel,
        )

    def scored(self) -> dict[str, Any]:
        """Return the boxes that a validation looks at; empty where nothing is held out."""
        boxes = [_numbers(box) for box in self.held_out]
        return {"held_out": boxes} if self.questions else {}

    def validation_batches(self, network: NetworkSettings, settings: TrainSettings) -> Iterator[Batch]:
        """Yield windows with a part of the held-out annotation each, every scored pixel in one of them."""
        side = settings.patch_size
        cells = [cell for piece in self.questions for cell in cut(piece, int(_CELL * side))]
        yield from batches(
            self._window(cell, side, network.context) for cell in spread(cells, _SCORED_WINDOWS)
        )

    def views(self, patch_size: int, context: int) -> Iterator[Float]:
        """Yield windows that are spread over the volume, annotated or not, as ``(N, C, size, size)``."""
        depth, height, width = self.image.shape
        random, slices = np.random.default_rng(0), np.linspace(0, depth - 1, _VIEWS).round().astype(int)
        places = [(int(z), *random.integers((height, width)).tolist()) for z in slices]
        for image, _ in batches(self._around(place, patch_size, context, ()) for place in places):
            yield image

    def _window(self, cell: Piece, side: int, context: int) -> tuple[Float, Annotation]:
        """The window around a cell, in which nothing else is annotated."""
        middle = (cell.z, (cell.y.start + cell.y.stop) // 2, (cell.x.start + cell.x.stop) // 2)
        return self._around(middle, side, context, (cell,))

    def _around(
        self, middle: tuple[int, int, int], side: int, context: int, pieces: tuple[Piece, ...]
    ) -> tuple[Float, Annotation]:
        z, y, x = middle
        height, width = self.image.shape[1:]
        places = window_holding(y, height, side), window_holding(x, width, side)
        image, known = self._volume(pieces).window(z, *places, context)
        return filled(image, side), filled(known, side)

    def _volume(self, pieces: tuple[Piece, ...]) -> TrainingVolume:
        known = Pieces(tuple(self.image.shape), pieces)
        return TrainingVolume(self.image, known, "classes", self.intensity)


@dataclass(frozen=True)
class Focus:
    """Draws annotated pixels: a piece by the root of its size, then a class, then any pixel of it.

    So a dense region does not drown strokes, and a thin stroke is seen as often as a broad one.
    """

    pieces: tuple[Piece, ...]

    @cached_property
    def shares(self) -> Float:
        """How often each piece is drawn."""
        roots = np.sqrt([np.count_nonzero(one.known) for one in self.pieces])
        return np.asarray(roots / roots.sum())

    def pixel(self, random: np.random.Generator) -> tuple[int, int, int]:
        """Return an annotated voxel ``(z, y, x)``."""
        piece = self.pieces[int(random.choice(len(self.pieces), p=self.shares))]
        kind = random.choice(np.flatnonzero(np.bincount(piece.known.ravel())[1:]) + 1)
        y, x = np.unravel_index(random.choice(np.flatnonzero(piece.known == kind)), piece.known.shape)
        return piece.z, piece.y.start + int(y), piece.x.start + int(x)


def _numbers(box: Box) -> list[list[int]]:
    return [[side.start, side.stop] for side in box]
