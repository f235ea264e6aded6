"""What is known about objects, as a table for spreadsheets."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_dtn.shapes.facts import ObjectFacts

COLUMNS = (
    *("id", "name", "volume_um3", "voxels", "slices"),
    *("z_first", "y_first", "x_first", "z_end", "y_end", "x_end"),
    *("centroid_z", "centroid_y", "centroid_x"),
)


def save_table(objects: Iterable[ObjectFacts], path: str | Path) -> Path:
    """Write a table of objects as CSV, one row each.

    Parameters
    ----------
    objects
        Of a session (``session.objects.all()``) or of any labels (``measure_objects(volume)``).
    path
        Of the file; one that is there is replaced. Boxes and centroids are in voxels, ends excluded;
        ``volume_um3`` is empty where the voxel size is not known.
    """
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(_row(one) for one in objects)
    return Path(path)


def _row(facts: ObjectFacts) -> list[Any]:
    firsts, ends = zip(*facts.box, strict=True)
    centroid = (f"{value:.2f}" for value in facts.centroid)
    volume = f"{facts.um3:.6g}" if facts.um3 else ""
    return [facts.id, facts.name, volume, facts.voxels, facts.slices, *firsts, *ends, *centroid]
