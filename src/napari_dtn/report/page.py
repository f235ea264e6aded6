"""The report as one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING

from napari_dtn import __version__

if TYPE_CHECKING:
    from napari_dtn.report.measuring import SliceRow
    from napari_dtn.report.writing import Summary

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
img { max-width: 100% } table { border-collapse: collapse; font-size: 13px }
td, th { padding: 2px 8px; text-align: right; border-bottom: 1px solid #ddd } .wide { overflow-x: auto }
"""

_CAPTIONS = {
    "slice": "The middle slice. Blue: the network looks closer than it would without a warp; orange: wider. "
    "Each tile has a warp of its own; a place shows the tile that weighs most there, so seams are real.",
    "slices": "Over the slices. Shaded: two deviations of what chance gives, from shifted structures.",
    "structure": "Area change where the warp looks, by what is there. If patches widen in somas, and narrow "
    "in thin processes, the curves rise.",
    "fiducial points": "All tiles. A cloud without width would be a warp that does not depend on the image.",
}


def page(
    model: str,
    volume: str,
    source: str,
    summaries: Sequence[Summary],
    pictures: Mapping[str, str],
    rows: Sequence[SliceRow],
) -> str:
    """Return the page.

    Parameters
    ----------
    model, volume
        Their names.
    source
        Where the boundaries are from.
    summaries
        One a level.
    pictures
        Title and ``data:`` address of each figure.
    rows
        One a slice and level.
    """
    title = escape(f"The warp of {model} on {volume}")
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
    found = "".join(f"<p>{escape(summary_words(one))}</p>" for one in summaries)
    figures = "".join(_figure(name, uri) for name, uri in pictures.items())
    note = (
        f"<p>Boundaries of {escape(source)}. napari-dtn {__version__}; the tables lie beside this page.</p>"
    )
    return f"{head}<h1>{title}</h1>{found}{figures}<h2>Slices</h2>{_table(rows)}{note}</html>\n"


def summary_words(summary: Summary) -> str:
    """Say in sentences what the warps of a level do."""
    moved = (
        f"Level {summary.level}, {summary.slices} slices: places move by {summary.displacement:.0f} nm on "
        f"average, and the fiducial points deviate from their means over the tiles by "
        f"{summary.deviation:.0f} nm. "
    )
    areas = (
        f"Nine tenths of the areas change by factors from {summary.area_5:.2f} to {summary.area_95:.2f}; "
        f"{100 * summary.folded:.2f} % of the places are folded over. "
    )
    width = _relation("the width of the process", summary.rho_width, summary.chance_width)
    distance = _relation("the distance from the boundary", summary.rho_distance, summary.chance_distance)
    return moved + areas + width + " " + distance


def _relation(what: str, rho: float, chance: float) -> str:
    numbers = f"(rank correlation {rho:+.3f}; by chance ± {chance:.3f})"
    if abs(rho) <= 2 * chance:
        return f"Patches have nothing to do with {what} {numbers}."
    return f"Patches are {'wider' if rho > 0 else 'narrower'} where {what} is larger {numbers}."


def _figure(name: str, uri: str) -> str:
    caption = escape(next(text for start, text in _CAPTIONS.items() if name.startswith(f"{start} at")))
    title = escape(name.capitalize())
    return f'<h2>{title}</h2><img alt="{title}" src="{uri}"><p>{caption}</p>'


def _table(rows: Sequence[SliceRow]) -> str:
    names = list(asdict(rows[0]))
    head = "".join(f"<th>{escape(name.replace('_', ' '))}" for name in names)
    lines = ("<tr>" + "".join(f"<td>{value:.4g}" for value in asdict(row).values()) for row in rows)
    return f"<div class=wide><table><tr>{head}{''.join(lines)}</table></div>"
