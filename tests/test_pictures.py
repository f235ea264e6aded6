"""Tables of pictures: every pixel in its colour and its place, nothing around."""

from __future__ import annotations

from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import pytest

from napari_dtn.pictures import save_panels

if TYPE_CHECKING:
    from pathlib import Path

TITLES = ("image", "truth", "U-Net", "DTN")


def panels_of(path: Path, rows: int) -> list[list[np.ndarray]]:
    """Cut a table at its white gaps, below its titles."""
    page = iio.imread(path)[..., :3]
    assert (page[[0, -1]] == 255).all()
    tall = runs((page == 255).all(axis=(1, 2)))[-rows:]
    wide = runs((page[tall[0]] == 255).all(axis=(0, 2)))
    return [[page[y, x] for x in wide] for y in tall]


def runs(white: np.ndarray) -> list[slice]:
    edges = np.flatnonzero(np.diff(np.concatenate([[True], white, [True]]).astype(int)))
    return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def test_panels_lie_in_rows_and_columns_in_their_own_colours(tmp_path: Path) -> None:
    colours = np.zeros((40, 40, 3), np.uint8) + np.array([128, 0, 0], np.uint8)
    half = np.zeros((40, 40), bool)
    half[20:] = True
    row = {"image": np.where(half, 200, 50).astype(np.uint8), "truth": colours}
    first = {**row, "U-Net": half, "DTN": np.full((40, 40), 0.5, np.float32)}
    second = {**first, "DTN": np.full((40, 40), 0.1, np.float32)}
    save_panels(tmp_path / "p.png", [first, second])
    drawn = panels_of(tmp_path / "p.png", 2)
    middle = [[panel[panel.shape[0] // 4, panel.shape[1] // 2].tolist() for panel in line] for line in drawn]
    assert middle[0][1:3] == [[128, 0, 0], [0, 0, 0]]
    assert middle[0][3] == pytest.approx([128] * 3, abs=2)
    assert middle[1][3] == pytest.approx([26] * 3, abs=2)  # grey by its value, not by its own range


def test_wide_pictures_keep_their_proportions(tmp_path: Path) -> None:
    grey = np.zeros((20, 60), np.uint8)
    save_panels(
        tmp_path / "p.png", [{"raw": grey, "truth": grey}, {"raw": grey[:, :20], "truth": grey[:, :20]}]
    )
    page = iio.imread(tmp_path / "p.png")[..., :3]
    tall = runs((page == 255).all(axis=(1, 2)))[-2:]
    widths = [runs((page[y] == 255).all(axis=(0, 2))) for y in tall]
    for y, line, ratio in zip(tall, widths, (3, 1), strict=True):
        for x in line:
            assert (x.stop - x.start) / (y.stop - y.start) == pytest.approx(ratio, rel=0.05)


def test_rows_of_different_pictures_are_refused(tmp_path: Path) -> None:
    picture = np.zeros((4, 4))
    with pytest.raises(ValueError, match="Every row needs the same pictures"):
        save_panels(tmp_path / "p.png", [dict.fromkeys(TITLES, picture), {"image": picture}])
    with pytest.raises(ValueError, match="Every row needs"):
        save_panels(tmp_path / "p.png", [])
