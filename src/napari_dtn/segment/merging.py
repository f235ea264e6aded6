"""Evidence becomes the probability that two fragments belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dtn.segment.graph import FEATURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dtn.segment.graph import RegionGraph


def merge_probabilities(graph: RegionGraph) -> NDArray[np.float32]:
    """Return how probable it is that the two fragments of each edge belong to one object, shape (E,).

    Within a slice what counts is the boundary between them; across slices how much of the smaller one the
    other covers.
    """
    boundary = graph.features[:, FEATURES.index("boundary median")]
    share = graph.features[:, FEATURES.index("share of the smaller")]
    return np.where(graph.across, 0.9 * share, 1 - boundary).clip(0, 1).astype(np.float32)
