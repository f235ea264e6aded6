"""A folder with the report on a warp: tables, figures, and one page that holds them all."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.report import figures
from napari_dtn.report.measuring import SliceMeasured, SliceRow, measure
from napari_dtn.report.page import page
from napari_dtn.report.structure import Float
from napari_dtn.settings import Roi
from napari_dtn.volume.guarding import check_folder

if TYPE_CHECKING:
    from napari_dtn.predict import Predictor

SLICES, STRUCTURE, PAGE = "slices.csv", "structure.csv", "index.html"


@dataclass(frozen=True)
class SliceReported:
    """A slice is measured; with the last one, the report is written."""

    done: int
    total: int
    summaries: tuple[Summary, ...] = ()


@dataclass(frozen=True)
class Summary:
    """The warps of all slices at one level: means over the slices; see :class:`SliceRow`.

    Parameters
    ----------
    slices
        How many.
    rho_distance, rho_width, chance_distance, chance_width
        Means of the slices' own: neighbouring slices are much alike, so what chance does to one of them is
        not divided by their number.
    """

    level: int
    slices: int
    displacement: float
    deviation: float
    area_5: float
    area_95: float
    folded: float
    rho_distance: float
    rho_width: float
    chance_distance: float
    chance_width: float


def write_report(
    predictor: Predictor, output: str | Path, roi: Roi | None = None, truth: Any = None
) -> Iterator[SliceReported]:
    """Measure the warps of a volume, as :func:`measure`, and write what was found into a folder.

    ``slices.csv`` has a row for each slice and level, ``structure.csv`` the area change by distance from the
    boundary and by width of the process, ``*.png`` the figures, ``index.html`` all of it in one file. An
    earlier report is replaced.

    Raises
    ------
    ValueError
        The folder is the volume's own.
    """
    check_folder(output, predictor.volume.path)
    output = Path(output)
    found: list[SliceMeasured] = []
    example: SliceMeasured | None = None
    for slice_ in measure(predictor, roi, truth):
        found.append(_without_pieces(slice_))
        if slice_.done == (slice_.total + 1) // 2:
            example = slice_
        if slice_.done < slice_.total:
            yield SliceReported(slice_.done, slice_.total)
    assert example is not None
    output.mkdir(parents=True, exist_ok=True)
    summaries = _write(
        predictor, output, found, example, "the truth" if truth is not None else "the prediction"
    )
    yield SliceReported(len(found), len(found), summaries)


def _without_pieces(measured: SliceMeasured) -> SliceMeasured:
    """The pieces of all slices would fill the memory."""
    return SliceMeasured(
        measured.done, measured.total, measured.rows, measured.samples, measured.fiducials, {}
    )


def _write(
    predictor: Predictor, output: Path, found: list[SliceMeasured], example: SliceMeasured, source: str
) -> tuple[Summary, ...]:
    rows = [row for measured in found for row in measured.rows]
    _write_table(output / SLICES, [asdict(row) for row in rows])
    levels = sorted(found[0].samples)
    samples = {level: np.concatenate([one.samples[level] for one in found]) for level in levels}
    bins = {level: binned(samples[level]) for level in levels}
    _write_table(
        output / STRUCTURE,
        [{"level": level, **one} for level in levels for one in bins[level]],
    )
    pictures: dict[str, str] = {}
    image = np.asarray(predictor.volume.data[example.rows[0].z])
    for level in levels:
        of_level = [row for row in rows if row.level == level]
        fiducials = np.concatenate([one.fiducials[level] for one in found])
        drawn = {
            f"slice at level {level}": figures.example(image, example.pieces[level]),
            f"slices at level {level}": figures.slices(of_level),
            f"structure at level {level}": figures.structure(bins[level], samples[level]),
            f"fiducial points at level {level}": figures.fiducials(fiducials),
        }
        for name, figure in drawn.items():
            figure.savefig(output / f"{name}.png")
            pictures[name] = figures.as_uri(figure)
    summaries = tuple(summarise([row for row in rows if row.level == level]) for level in levels)
    html = page(predictor.model.card.name, predictor.volume.name, source, summaries, pictures, rows)
    (output / PAGE).write_text(html, encoding="utf-8")
    return summaries


def summarise(rows: Sequence[SliceRow]) -> Summary:
    """Return the means of the slices of one level."""
    names = [name for name in Summary.__dataclass_fields__ if name not in ("level", "slices")]
    means = {name: float(np.mean([getattr(row, name) for row in rows])) for name in names}
    return Summary(level=rows[0].level, slices=len(rows), **means)


def binned(samples: Float, count: int = 10) -> list[dict[str, Any]]:
    """Return quartiles of the area change in bins of equal numbers of places.

    Parameters
    ----------
    samples
        ``(N, 3)``, as in :class:`SliceMeasured`.
    count
        Bins, fewer where many places are alike.
    """
    rows = []
    for name, values in (("distance", samples[:, 1]), ("width", samples[:, 2])):
        edges = np.unique(np.quantile(values, np.linspace(0, 1, count + 1))) if len(values) else values
        for low, high in pairwise(edges if len(edges) != 1 else np.repeat(edges, 2)):
            area = np.exp(samples[(values >= low) & ((values < high) | (high == edges[-1])), 0])
            quartiles = np.quantile(area, (0.25, 0.5, 0.75)) if len(area) else [np.nan] * 3
            keys = ("from_nm", "to_nm", "places", "area_25", "area_50", "area_75")
            numbers = (float(low), float(high), len(area), *map(float, quartiles))
            rows.append({"by": name, **dict(zip(keys, numbers, strict=True))})
    return rows


def _write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
