"""Boundaries on disk -> labels on disk: whole volumes, block by block."""

from napari_dtn.segmenting.running import SegmentDone, segment, segment_steps

__all__ = ["SegmentDone", "segment", "segment_steps"]
