"""A model looks round a volume, to say where annotating helps it most: a generator of Suggesting."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_dtn.annotate.ranking import LOOKS, Candidate, Look, Suggestion, candidates, entropy, panes, rank
from napari_dtn.predict.blending import blend
from napari_dtn.predict.blocks import Block
from napari_dtn.volume.intensity import normalise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_dtn.annotate.regions import Region
    from napari_dtn.predict import Predictor
    from napari_dtn.settings import Box

    Float = NDArray[np.float32]

_FLIPS = tuple(product((1, -1), repeat=2))  # steps along y and x


@dataclass(frozen=True)
class Suggesting:
    """How far the search is; at its end, where to annotate next, the best first."""

    done: int
    total: int
    suggestions: tuple[Suggestion, ...] = ()


def suggest(
    predictor: Predictor, annotated: Sequence[Region] = (), count: int = 10, looks: int = LOOKS
) -> Iterator[Suggesting]:
    """Find the patches of a volume that are best annotated next.

    Parameters
    ----------
    predictor
        The model, set up for the volume.
    annotated
        What is annotated.
    count
        How many patches.
    looks
        Parts of slices that are looked at.
    """
    places = panes(predictor.volume.shape, annotated, looks)
    found: list[Candidate] = []
    for done, place in enumerate(places):
        yield Suggesting(done, len(places))
        found += candidates(look(predictor, place))
    yield Suggesting(len(places), len(places), tuple(rank(found, annotated, count)))


def look(predictor: Predictor, place: Box) -> Look:
    """Return what a model sees in a part of a slice, over the flips of its tiles.

    Parameters
    ----------
    predictor
        The model, set up for the volume.
    place
        One slice, and the part of it.
    """
    z, y, x = place
    out = np.zeros((predictor.classes, y.stop - y.start, x.stop - x.start), np.float32)
    block = Block(0, z, y, x)
    for batch in predictor.source.batches([block], predictor.grid, predictor.settings.batch_size):
        for (_, tile), probability in zip(batch.places, _flipped(predictor, batch.images), strict=True):
            blend(out, probability * predictor.grid.window(tile), tile, (y, x))
    image = normalise(np.asarray(predictor.volume.data[z.start, y, x]), predictor.intensity)
    return Look(z.start, y, x, image, out, entropy(out))


def _flipped(predictor: Predictor, images: Float) -> Float:
    """Return the mean of the probabilities of tiles ``(N, maps, size, size)`` over their flips."""
    seen = [predictor.probabilities(images[..., ::dy, ::dx].copy())[..., ::dy, ::dx] for dy, dx in _FLIPS]
    return np.asarray(np.mean(seen, axis=0), np.float32)
