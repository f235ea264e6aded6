"""What a model's warp does over a volume: figures, tables and a page."""

from napari_dtn.report.measuring import SliceMeasured, SliceRow, measure
from napari_dtn.report.writing import SliceReported, write_report

__all__ = ["SliceMeasured", "SliceReported", "SliceRow", "measure", "write_report"]
