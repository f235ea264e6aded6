"""What a learned warp does to a slice: arrays in, geometry out."""

from napari_dtn.warp.fields import Piece, arrow_segments, line_segments, mosaic, moves
from napari_dtn.warp.patch import Patch, elongation, outlines, patch_of
from napari_dtn.warp.tile import Place, Warp

__all__ = [
    "Patch",
    "Piece",
    "Place",
    "Warp",
    "arrow_segments",
    "elongation",
    "line_segments",
    "mosaic",
    "moves",
    "outlines",
    "patch_of",
]
