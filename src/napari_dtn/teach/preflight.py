"""What is wrong with annotations, in plain words, before a training begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from napari_dtn.annotate.regions import NEVER_TAUGHT, Taught
from napari_dtn.settings import Box, VoxelSize
from napari_dtn.teach.pieces import Piece, read_pieces
from napari_dtn.words import size_words

FEWEST, FEW = 20, 200  # annotated pixels of a class: without so many nothing, or little, is learned
_FAR = 1.7  # times the voxel size that the model was trained on


@dataclass(frozen=True)
class Remark:
    """One thing to know before training.

    Parameters
    ----------
    kind
        ``stop`` where training would fail or learn nothing, else ``warn``.
    words
        What it is.
    remedy
        What to do.
    resample
        Factors ``(z, y, x)`` by which the volume's sides would have to grow to have the model's voxel size,
        where that is the remedy.
    """

    kind: Literal["stop", "warn"]
    words: str
    remedy: str
    resample: VoxelSize | None = None


def preflight(
    image_shape: tuple[int, int, int],
    annotation: Any,
    classes: tuple[str, ...],
    *,
    voxel_size: VoxelSize | None = None,
    trained_on: VoxelSize | None = None,
    regions: Sequence[Box] = (),
    held_out: Sequence[Box] = (),
    taught: Taught = NEVER_TAUGHT,
    volumes: tuple[str, str] = ("", ""),
) -> list[Remark]:
    """Look at annotations before training; what stops it comes first, an empty list is good news.

    Parameters
    ----------
    image_shape
        ``(Z, Y, X)`` of the volume.
    annotation
        uint8 ``(Z, Y, X)``, lazy or not: 0 not annotated, otherwise 1 + class index.
    classes
        One name a class.
    voxel_size, trained_on
        Of the volume, and of the data that the model to start from was trained on, in nm, ``(Z, Y, X)``; None
        where nobody knows.
    regions
        Boxes that hold all annotation; without any, every slice is read.
    held_out
        Boxes that will be held back.
    taught
        What the model to start from has learned of the volume before.
    volumes
        What identifies the volume, and the one that the annotation was made on, where that is known.
    """
    if tuple(annotation.shape) != tuple(image_shape):
        return [_other_shape(tuple(image_shape), tuple(annotation.shape))]
    pieces = read_pieces(annotation, regions)
    found = [
        *_another_volume(*volumes),
        *_outside(image_shape, regions),
        *_amounts(pieces, classes),
        *_one_place(pieces),
        *_learned_before(held_out, taught),
        *_voxels(voxel_size, trained_on),
    ]
    return sorted(found, key=lambda remark: remark.kind == "warn")


def _other_shape(image: tuple[int, ...], annotation: tuple[int, ...]) -> Remark:
    return Remark(
        "stop",
        f"The annotation is {_sides(annotation)} voxels, the volume {_sides(image)}.",
        "Choose the volume that was annotated, or begin a new annotation for this one.",
    )


def _another_volume(this: str, annotated: str) -> Iterator[Remark]:
    if this and annotated and this != annotated:
        yield Remark(
            "stop",
            f"The annotation was made on {annotated}, and this is {this}.",
            "Choose the volume that was annotated, or begin a new annotation for this one.",
        )


def _outside(shape: tuple[int, int, int], regions: Sequence[Box]) -> Iterator[Remark]:
    outside = [box for box in regions if any(side.stop > n for side, n in zip(box, shape, strict=True))]
    if outside:
        z = outside[0][0].start
        yield Remark(
            "warn",
            f"{len(outside)} of {len(regions)} regions reach out of the image, the first on slice {z}.",
            "What lies outside is not learned from.",
        )


def _amounts(pieces: Sequence[Piece], classes: tuple[str, ...]) -> Iterator[Remark]:
    counts = sum((np.bincount(one.known.ravel(), minlength=256) for one in pieces), np.zeros(256, np.int64))
    unknown = int(counts[len(classes) + 1 :].sum())
    if unknown:
        yield Remark(
            "stop",
            f"{unknown} annotated pixels have a value above {len(classes)}, the number of classes.",
            "Name a class for every value, or erase them.",
        )
    for name, pixels in zip(classes, counts[1:], strict=False):
        if pixels < FEW:
            kind: Literal["stop", "warn"] = "stop" if pixels < FEWEST else "warn"
            yield Remark(
                kind, _few(name, int(pixels)), f"Paint more of {name}: a stroke or two more will do."
            )


def _few(name: str, pixels: int) -> str:
    return f"Only {pixels} pixels of {name} are annotated." if pixels else f"Nothing is annotated as {name}."


def _one_place(pieces: Sequence[Piece]) -> Iterator[Remark]:
    slices = {piece.z for piece in pieces}
    if len(slices) == 1:
        yield Remark(
            "warn",
            f"All annotation is on slice {slices.pop()}.",
            "Annotate a second slice, far from it: the model learns what both have in common.",
        )


def _learned_before(held_out: Sequence[Box], taught: Taught) -> Iterator[Remark]:
    if taught.knows(held_out):
        yield Remark(
            "warn",
            "The model to start from has learned from what would be held out; its score there flatters it.",
            "Annotate a few strokes where nothing is annotated yet, or start from an earlier model.",
        )


def _voxels(size: VoxelSize | None, trained_on: VoxelSize | None) -> Iterator[Remark]:
    if size is None or trained_on is None:
        return
    ratios = [have / want for have, want in zip(size, trained_on, strict=True)]
    if any(not 1 / _FAR < ratio < _FAR for ratio in ratios[1:]):
        yield Remark(
            "warn",
            f"The volume's voxels are {size_words(size)}; the model was trained on {size_words(trained_on)}.",
            "Training will take longer to get used to it; resampled to the model's size it starts nearer.",
            (1.0, ratios[1], ratios[2]),
        )


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
