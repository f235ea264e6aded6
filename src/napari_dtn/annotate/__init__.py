"""What people say about pixels: annotations, where they come from, and where the next should be."""

from napari_dtn.annotate.ranking import Candidate, Look, Suggestion, candidates, rank
from napari_dtn.annotate.regions import Fold, Region, hold_out
from napari_dtn.annotate.sources import LEAVE
from napari_dtn.annotate.store import Annotations, open_annotations
from napari_dtn.annotate.thumbnails import thumbnail

__all__ = [
    "LEAVE",
    "Annotations",
    "Candidate",
    "Fold",
    "Look",
    "Region",
    "Suggestion",
    "candidates",
    "hold_out",
    "open_annotations",
    "rank",
    "thumbnail",
]
