"""Where to annotate next: patches that a model is unsure of, like many others, unlike what is annotated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist

from napari_dtn.settings import Box

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_dtn.annotate.regions import Region

    Float = NDArray[np.float32]

PATCH = 128
"""Side of a patch that is suggested, in pixels."""

PANE = 512
"""Side of a part of a slice that is looked at as one, about, in pixels."""

Shape = tuple[int, int, int]
LOOKS = 24
"""Panes that are looked at: about a second of a core each."""

_CLOSE = 2  # slices: what is seen in one is seen in the other
_FAR = 1e6  # where nothing is annotated
_TINY = 1e-6
# Steps that spread points over a cube evenly, however many there are: powers of the root of x^4 = x + 1.
_STEPS = np.array([0.8191725, 0.6710436, 0.5497005])


@dataclass(frozen=True, eq=False)
class Look:
    """What a model sees in a slice.

    Parameters
    ----------
    z
        The slice.
    y, x
        The part of it.
    image
        Normalised, (Y, X).
    probability
        Mean over flips, (classes, Y, X).
    entropy
        Of these means, in bits, (Y, X).
    """

    z: int
    y: slice
    x: slice
    image: Float
    probability: Float
    entropy: Float


@dataclass(frozen=True, eq=False)
class Candidate:
    """A patch that could be annotated.

    Parameters
    ----------
    z, y, x
        Its place.
    uncertainty
        Mean entropy, in bits.
    features
        What it looks like, (n,).
    """

    z: int
    y: slice
    x: slice
    uncertainty: float
    features: Float


@dataclass(frozen=True)
class Suggestion:
    """A patch to annotate next.

    Parameters
    ----------
    z, y, x
        Its place.
    uncertainty
        Mean entropy, in bits.
    unlikeness
        To what is annotated or suggested before it, from 0 to 1.
    """

    z: int
    y: slice
    x: slice
    uncertainty: float
    unlikeness: float

    @property
    def centre(self) -> tuple[int, int, int]:
        """Its middle (z, y, x)."""
        return self.z, (self.y.start + self.y.stop) // 2, (self.x.start + self.x.stop) // 2


def panes(shape: Shape, annotated: Sequence[Region] = (), count: int = LOOKS) -> list[Box]:
    """Choose the parts of a volume that are looked at: some that are annotated, others spread over it.

    Parameters
    ----------
    shape
        Of the volume, (Z, Y, X).
    annotated
        What is annotated; half of the panes at most are chosen for it.
    count
        How many; all there are where the volume has fewer.
    """
    cells = shape[0], max(round(shape[1] / PANE), 1), max(round(shape[2] / PANE), 1)
    known = dict.fromkeys(_cell(one.centre, shape, cells) for one in annotated)
    chosen = dict.fromkeys(list(known)[: count // 2])
    wanted = min(count, cells[0] * cells[1] * cells[2])
    number = 0
    while len(chosen) < wanted:
        number += 1
        chosen.setdefault(_cell(number * _STEPS % 1 * shape, shape, cells))
    return [
        (slice(z, z + 1), _part(y, cells[1], shape[1]), _part(x, cells[2], shape[2]))
        for z, y, x in sorted(chosen)
    ]


def _cell(point: Iterable[float], shape: Shape, cells: Shape) -> Shape:
    z, y, x = (int(at * count / side) for at, count, side in zip(point, cells, shape, strict=True))
    return z, y, x


def _part(number: int, count: int, length: int) -> slice:
    return slice(-(-number * length // count), -(-(number + 1) * length // count))


def candidates(look: Look, size: int = PATCH) -> list[Candidate]:
    """Cut what a model sees in a slice into patches, spread evenly.

    Parameters
    ----------
    look
        The slice, or a part of it.
    size
        Side of a patch; a part that is smaller is one patch.
    """
    corners = [(y, x) for y in _starts(look.image.shape[0], size) for x in _starts(look.image.shape[1], size)]
    return [_candidate(look, slice(y, y + size), slice(x, x + size)) for y, x in corners]


def rank(patches: Sequence[Candidate], annotated: Sequence[Region] = (), count: int = 10) -> list[Suggestion]:
    """Choose the patches to annotate next, the best first.

    One after the other the patch of the largest product is taken of

    - its uncertainty,
    - how typical it is: the root of its mean likeness :math:`e^{-d^2/2}` to all patches (information density,
      Settles and Craven 2008), so that no lone oddity comes first,
    - one and its unlikeness :math:`d/(1+d)` to the nearest that is annotated or taken.

    d is the distance of features, each of standard deviation 1, divided by the root of their number. Of
    patches that show the same place in slices close by, one is taken.

    Parameters
    ----------
    patches
        All that could be suggested, those with annotated pixels among them: these are not suggested.
    annotated
        What is annotated.
    count
        How many.
    """
    if not patches:
        return []
    distances = _distances(np.stack([one.features for one in patches]))
    typical = np.sqrt(np.exp(-(distances**2) / 2).mean(0))
    worth = typical * [one.uncertainty for one in patches]
    free = np.array([not any(_meet(one, region, 0) for region in annotated) for one in patches])
    nearest = distances[~free].min(0, initial=_FAR)
    chosen: list[Suggestion] = []
    while free.any() and len(chosen) < count:
        unlike = nearest / (nearest + 1)
        best = int(np.argmax(np.where(free, worth * (1 + unlike), -1)))
        one = patches[best]
        chosen.append(Suggestion(one.z, one.y, one.x, one.uncertainty, float(unlike[best])))
        free &= [not _meet(other, one, _CLOSE) for other in patches]
        nearest = np.minimum(nearest, distances[best])
    return chosen


def entropy(probability: Float) -> Float:
    """Return the entropy of probabilities in bits.

    Parameters
    ----------
    probability
        (classes, Y, X); a single map is that of a boundary or not.
    """
    both = np.concatenate([probability, 1 - probability]) if len(probability) == 1 else probability
    shares = np.clip(both, _TINY, 1)
    return np.asarray(-(shares * np.log2(shares)).sum(0), np.float32)


def _candidate(look: Look, y: slice, x: slice) -> Candidate:
    image, probability, unsure = look.image[y, x], look.probability[:, y, x], look.entropy[y, x]
    slope = np.hypot(*np.gradient(image)) if min(image.shape) > 1 else np.zeros_like(image)
    features = [
        *np.quantile(image, (0.1, 0.5, 0.9)),
        image.std(),
        slope.mean(),
        slope.std(),
        *probability.mean((1, 2)),
        *probability.std((1, 2)),
    ]
    rows, columns = (
        slice(part.start + one.start, part.start + min(one.stop, side))
        for part, one, side in zip((look.y, look.x), (y, x), look.image.shape, strict=True)
    )
    return Candidate(look.z, rows, columns, float(unsure.mean()), np.asarray(features, np.float32))


def _starts(length: int, size: int) -> list[int]:
    """First pixels of as few patches as cover a side, spread evenly."""
    count = max(-(-length // size), 1)
    return [round(number * max(length - size, 0) / max(count - 1, 1)) for number in range(count)]


def _distances(features: Float) -> Float:
    """Return the distances of standardised features, ``(n, n)``, divided by the root of their number."""
    spread = features.std(0)
    standard = (features - features.mean(0)) / np.where(spread > _TINY, spread, 1)
    return np.asarray(cdist(standard, standard) / np.sqrt(features.shape[1]), np.float32)


def _meet(patch: Candidate, other: Candidate | Region, slices: int) -> bool:
    """Whether two places overlap, were they in one slice, and are at most some slices apart."""
    return abs(patch.z - other.z) <= slices and all(
        a.start < b.stop and b.start < a.stop for a, b in ((patch.y, other.y), (patch.x, other.x))
    )
