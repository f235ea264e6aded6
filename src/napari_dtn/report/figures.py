"""Figures of warps, without a window."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_dtn.colours import AREA, ORANGE, SKY, VERMILION
from napari_dtn.report.measuring import SliceRow
from napari_dtn.report.structure import Float
from napari_dtn.warp import Piece, line_segments, mosaic

_AREA = LinearSegmentedColormap.from_list("area", AREA)
_STEP, _SPACING = 8, 32


def example(image: NDArray[Any], pieces: Sequence[Piece]) -> Figure:
    """Draw a slice with its area change and a bent grid."""
    figure, (left, right) = _figure(2, 6.0, 6.0)
    area, (y, x) = mosaic(pieces, _STEP)
    height, width = area.shape
    extent = ((x * _STEP - 0.5), ((x + width) * _STEP - 0.5), ((y + height) * _STEP - 0.5), (y * _STEP - 0.5))
    for axis in (left, right):
        axis.imshow(image, cmap="gray")
        axis.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
    limit = np.log(2)
    shown = left.imshow(area, cmap=_AREA, vmin=-limit, vmax=limit, extent=extent, interpolation="nearest")
    bar = figure.colorbar(shown, ax=left, shrink=0.7, ticks=[-limit, 0, limit])
    bar.ax.set_yticklabels(["half", "kept", "twice"])
    left.set_title("area change")
    segments = np.concatenate([line_segments(piece, _SPACING, _STEP) for piece in pieces])
    ends = np.stack([segments[:, 0], segments.sum(axis=1)], axis=1)[..., ::-1]
    right.add_collection(LineCollection(list(ends), colors=SKY, linewidths=0.7))
    right.set_title("a straight grid, as the warp bends it")
    return figure


def slices(rows: Sequence[SliceRow]) -> Figure:
    """Draw displacement, area change, fold-overs and correlations over the slices."""
    figure, (first, second, third, fourth) = _figure(4, 4.0, 3.2)
    z = [row.z for row in rows]
    mark = "o-" if len(rows) < 30 else "-"
    first.plot(
        z, [row.displacement for row in rows], mark, color=SKY, label="mean displacement", markersize=3
    )
    first.plot(
        z, [row.deviation for row in rows], mark, color=ORANGE, label="deviation over tiles", markersize=3
    )
    first.set(xlabel="z", ylabel="nm", ylim=(0, None), title="displacement")
    for name, style in (("area_5", ":"), ("area_50", "-"), ("area_95", ":")):
        second.plot(z, [getattr(row, name) for row in rows], style, color=VERMILION)
    second.set(xlabel="z", title="area change: 5, 50, 95 %")
    third.plot(z, [100 * row.folded for row in rows], mark, color=VERMILION, markersize=3)
    third.set(xlabel="z", ylabel="% of the places", ylim=(0, None), title="fold-overs")
    for what, color in (("distance", SKY), ("width", ORANGE)):
        rho = np.array([getattr(row, f"rho_{what}") for row in rows])
        chance = np.array([getattr(row, f"chance_{what}") for row in rows])
        fourth.plot(z, rho, mark, color=color, label=f"with {what}", markersize=3)
        fourth.fill_between(z, -2 * chance, 2 * chance, color=color, alpha=0.15, linewidth=0)
    fourth.axhline(0, color="0.5", linewidth=0.7)
    fourth.set(xlabel="z", title="rank correlation of the area change")
    for axis in (first, fourth):
        axis.legend(frameon=False, fontsize=8)
    return figure


def structure(bins: Sequence[dict[str, Any]], samples: Float) -> Figure:
    """Draw the area change against the distance from the boundary and the width of the process."""
    figure, axes = _figure(3, 4.5, 3.6)
    labels = {"distance": "distance from the boundary, nm", "width": "width of the process, nm"}
    for axis, (what, label) in zip(axes, labels.items(), strict=False):
        rows = [row for row in bins if row["by"] == what]
        middle = [(row["from_nm"] + row["to_nm"]) / 2 for row in rows]
        axis.fill_between(
            middle, [row["area_25"] for row in rows], [row["area_75"] for row in rows], color=SKY, alpha=0.35
        )
        axis.plot(middle, [row["area_50"] for row in rows], "o-", color=VERMILION, markersize=3)
        axis.axhline(1, color="0.5", linewidth=0.7)
        axis.set(xlabel=label, ylabel="area change (median, quartiles)")
        if what == "width" and rows:
            axis.set_xscale("log")
    axes[2].hist(np.exp(samples[:, 0]), bins=60, color=SKY)
    axes[2].set(xlabel="area change", ylabel="places")
    return figure


def fiducials(points: Float) -> Figure:
    """Draw where the fiducial points of all tiles go, and their means, ``(tiles, K, 2)`` normalised."""
    figure, (axis,) = _figure(1, 5.0, 5.0)
    shown = points[:: max(1, len(points) // 500)]
    axis.plot(*shown.reshape(-1, 2).T, ".", color=SKY, markersize=2, alpha=0.4)
    axis.plot(*points.mean(0).T, "+", color=VERMILION, markersize=9)
    axis.set(xlim=(-1, 1), ylim=(1, -1), aspect="equal", xlabel="x in half widths of the tile", ylabel="y")
    axis.set_title("fiducial points of the tiles (blue), and their means")
    return figure


def as_uri(figure: Figure) -> str:
    """Return a figure as a PNG in a ``data:`` address."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _figure(panels: int, width: float, height: float) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(width * panels, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(1, panels)))
