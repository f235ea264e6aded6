"""Pictures of results, without a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from napari_dtn.colours import ORANGE, SKY, VERMILION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike

    from napari_dtn.metrics import BoundaryHistogram
    from napari_dtn.warp import Warp

# A table of pictures: the width of one, and the height of the line of titles, in inches.
_PANEL, _TITLES = 2.0, 0.25


def save_curves(histogram: BoundaryHistogram, path: Path) -> None:
    """Draw the ROC and the precision-recall curve of a boundary."""
    scores = histogram.scores()
    figure, (left, right) = _figure(2, 4.2)
    left.plot(*histogram.roc(), color=VERMILION)
    left.plot([0, 1], [0, 1], color="0.7", linestyle=":")
    left.set(
        xlabel="false positive rate", ylabel="true positive rate", title=f"ROC, area {scores.roc_auc:.4f}"
    )
    precision, recall = histogram.precision_recall()
    right.plot(recall, precision, color=VERMILION)
    title = f"Precision and recall, average {scores.average_precision:.4f}"
    right.set(xlabel="recall", ylabel="precision", title=title, xlim=(0, 1), ylim=(0, 1.02))
    figure.savefig(path)


def save_slice(path: Path, panels: Mapping[str, ArrayLike], warps: tuple[Warp, ...] = ()) -> None:
    """Draw one slice as panels side by side.

    Parameters
    ----------
    path
        Where to; the suffix says the format.
    panels
        Title and picture ``(Y, X)`` of each panel: grey values, a probability in [0, 1] as float, or ids.
    warps
        Drawn over the last panel.
    """
    figure, axes = _figure(len(panels), 5.0)
    for axis, (title, picture) in zip(axes, panels.items(), strict=True):
        values = np.asarray(picture)
        is_probability = values.dtype.kind == "f"
        axis.imshow(values, cmap="magma" if is_probability else "gray", vmax=1 if is_probability else None)
        axis.set(title=title, xticks=[], yticks=[], xlim=(0, values.shape[1]), ylim=(values.shape[0], 0))
    for warp in warps:
        _draw_warp(axes[-1], warp)
    figure.savefig(path)


def save_panels(path: Path, rows: Sequence[Mapping[str, ArrayLike]]) -> None:
    """Draw a table of pictures, such as image, truth and the predictions of two models, without axes.

    Parameters
    ----------
    path
        Where to; the suffix says the format.
    rows
        Of each image or slice: title and picture of each column. A picture is colours ``(Y, X, 3)``, grey
        values ``(Y, X)``, or, from black to white, a bool map or a probability in [0, 1] as float ``(Y, X)``.
        The titles are those of the first row, and the same in all.

    Raises
    ------
    ValueError
        There is no row, or one has other columns.
    """
    titles = list(rows[0]) if rows else []
    if not titles or any(list(row) != titles for row in rows):
        raise ValueError(f"Every row needs the same pictures; the columns are {[list(row) for row in rows]}.")
    pictures = [[np.asarray(picture) for picture in row.values()] for row in rows]
    heights = [row[0].shape[0] / row[0].shape[1] for row in pictures]
    tight = ConstrainedLayoutEngine(compress=True, w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    size = (_PANEL * len(titles), _PANEL * sum(heights) + _TITLES)
    figure = Figure(figsize=size, dpi=200, layout=tight)
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), len(titles), squeeze=False, height_ratios=heights)
    for line, row in zip(axes, pictures, strict=True):
        for axis, picture in zip(line, row, strict=True):
            limits = {"vmin": 0, "vmax": 1} if picture.dtype.kind in "bf" else {}
            axis.imshow(picture, cmap="gray", **limits)
            axis.set_axis_off()
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    figure.savefig(path)


def _draw_warp(axis: Any, warp: Warp) -> None:
    for line in warp.grid_lines(15):
        axis.plot(line[:, 1], line[:, 0], color=SKY, linewidth=0.8)
    (y, x), (down, right) = warp.arrows[:, 0].T, warp.arrows[:, 1].T
    axis.quiver(x, y, right, down, color=ORANGE, angles="xy", scale_units="xy", scale=1, width=0.006)
    axis.plot(x, y, "o", color=ORANGE, markersize=3)


def _figure(panels: int, side: float) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(side * panels, side), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(1, panels)))
