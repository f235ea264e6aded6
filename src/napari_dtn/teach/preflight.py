"""What is wrong with annotations, in plain words, before a training begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from napari_dtn.nn.checkpoint import ModelCard
from napari_dtn.settings import VoxelSize


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
    """

    kind: Literal["stop", "warn"]
    words: str
    remedy: str


def preflight(
    parent: ModelCard,
    image_shape: tuple[int, int, int],
    annotation: Any,
    classes: tuple[str, ...],
    voxel_size: VoxelSize | None = None,
    regions: int = 0,
) -> list[Remark]:
    """Look at annotations before training; the worst comes first, an empty list is good news.

    Parameters
    ----------
    parent
        Card of the model to start from.
    image_shape
        ``(Z, Y, X)`` of the volume.
    annotation
        uint8 ``(Z, Y, X)``, lazy or not: 0 not annotated, otherwise 1 + class index.
    classes
        One name a class.
    voxel_size
        Of the volume, in nm, ``(Z, Y, X)``.
    regions
        Separate regions of annotation; 0 where nobody counted.
    """
    raise NotImplementedError
