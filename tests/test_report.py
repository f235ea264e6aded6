"""The report on a warp: structure in closed form, correlations that are known, and the files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from napari_dtn.cli.commands import app
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.nn.tps import lattice
from napari_dtn.predict import Predictor
from napari_dtn.report import measure, measuring, write_report
from napari_dtn.report.page import summary_words
from napari_dtn.report.structure import Structure, structure_of
from napari_dtn.report.writing import binned
from napari_dtn.settings import PredictSettings, Roi
from napari_dtn.volume.opening import volume_from_array
from napari_dtn.volume.writing import write_image
from napari_dtn.warp import Piece
from support.warps import warp_of

EXACT = PredictSettings(backend="eager", precision="float32", overlap=8, threads=1)


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    em = np.random.default_rng(0).integers(0, 255, (3, 90, 70), dtype=np.uint8)
    return Predictor.of(load_model(tiny_model, "cpu"), volume_from_array(em, (30, 6, 6)), EXACT)


def test_a_strip_is_as_wide_as_it_is() -> None:
    boundary = np.zeros((60, 101), bool)
    boundary[:, [0, 41, 100]] = True  # strips of 40 and 58 pixels
    structure = structure_of(boundary, (6, 6))
    assert structure.distance[30, 20] == pytest.approx(20 * 6)
    assert structure.width[30, 3] == pytest.approx(40 * 6)
    assert structure.width[5, 60] == pytest.approx(58 * 6, abs=6)
    assert structure.width[5, 41] == structure.distance[5, 41] == 0


def test_a_slice_without_a_boundary_is_one_wide_process() -> None:
    structure = structure_of(np.zeros((30, 40), bool), (4, 4))
    assert (structure.width == 2 * 50 * 4).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_areas_that_follow_the_width_correlate_with_it_and_shifted_ones_do_not(sign: int) -> None:
    # Along x a warp that looks ever wider, and structures that are ever wider, or narrower.
    x = lattice(4).numpy()[:, 0]
    moved = lattice(4).numpy()
    moved[:, 0] = (np.exp(0.5 * x) - 1) / 0.6
    piece = Piece(warp_of(moved, origin=(0, 0)), slice(0, 224), slice(0, 224))
    width = np.broadcast_to(300 + sign * np.arange(224.0), (224, 224))
    row = measuring._Level((piece,), Structure(width, width), (0, 0)).row(0, 4, (6, 6))
    assert sign * row.rho_width > 0.8
    assert row.area_5 < 0.9 < row.area_95
    assert row.deviation == 0  # there is but one tile
    assert row.chance_width > 0.05


def test_noise_has_nothing_to_do_with_the_warp() -> None:
    moved = lattice(4).numpy() + np.random.default_rng(0).normal(0, 0.05, (16, 2))
    piece = Piece(warp_of(moved, origin=(0, 0)), slice(0, 224), slice(0, 224))
    noise = np.random.default_rng(1).uniform(1, 2, (224, 224))
    row = measuring._Level((piece,), Structure(noise, noise), (0, 0)).row(0, 4, (6, 6))
    assert abs(row.rho_width) < 4 * row.chance_width
    assert row.chance_width == pytest.approx(1 / 28, rel=0.5)  # of 784 independent places


def test_bins_hold_every_place_once() -> None:
    samples = np.random.default_rng(0).uniform(0.1, 1, (1000, 3))
    samples[:300, 2] = 5.0  # many alike
    rows = binned(samples)
    for name in ("distance", "width"):
        assert sum(row["places"] for row in rows if row["by"] == name) == 1000
    assert all(row["area_25"] <= row["area_50"] <= row["area_75"] for row in rows)


def test_a_region_is_measured_where_it_is(predictor: Predictor) -> None:
    (measured,) = measure(predictor, Roi(z=(1, 2), y=(30, 80), x=(10, 60)))
    (pieces,) = measured.pieces.values()
    covered = np.zeros((90, 70), int)
    for piece in pieces:
        covered[piece.y, piece.x] += 1
    assert (covered[30:80, 10:60] == 1).all()
    assert covered.sum() == 50 * 50


@pytest.mark.parametrize(("start", "stop"), [(4, 8), (5, 12), (5, 13), (0, 3), (0, 4), (0, 5), (60, 70)])
def test_a_region_between_two_measurements_is_refused(predictor: Predictor, start: int, stop: int) -> None:
    steps = measure(predictor, Roi(z=(0, 1), y=(0, 40), x=(start, stop)))
    if any(start <= middle < stop for middle in range(4, 70, 8)):
        assert np.isfinite(next(steps).rows[0].area_50)
    else:
        with pytest.raises(ValueError, match=f"x {start}:{stop} lies between two measurements"):
            next(steps)


def test_the_report_is_complete(predictor: Predictor, tmp_path: Path) -> None:
    truth = np.kron(np.arange(1, 13).reshape(3, 2, 2), np.ones((1, 45, 35), int))
    events = list(write_report(predictor, tmp_path / "report", truth=truth))
    assert [event.done for event in events] == [1, 2, 3]
    (summary,) = events[-1].summaries
    with (tmp_path / "report" / "slices.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["z"] for row in rows] == ["0", "1", "2"]
    mean = np.mean([float(row["displacement"]) for row in rows])
    assert summary.displacement == pytest.approx(mean)
    assert summary.deviation > 0
    html = (tmp_path / "report" / "index.html").read_text()
    assert html.count("data:image/png;base64,") == 4
    assert 'src="http' not in html
    assert summary_words(summary).replace("'", "&#x27;") in html
    assert "the truth" in html


def test_a_unet_has_nothing_to_report(predictor: Predictor, tmp_path: Path) -> None:
    from dataclasses import replace

    card = replace(predictor.model.card, network=replace(predictor.model.card.network, transformer_levels=()))
    unet = replace(predictor, model=replace(predictor.model, card=card))
    with pytest.raises(ValueError, match="tiny has no transformer"):
        list(write_report(unet, tmp_path))


def test_a_truth_of_another_shape_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shape"):
        list(write_report(predictor, tmp_path, truth=np.ones((3, 9, 9), int)))


def test_the_command_writes_a_report(tiny_model: Path, tmp_path: Path) -> None:
    em = np.random.default_rng(0).integers(0, 255, (3, 64, 64), dtype=np.uint8)
    write_image(tmp_path / "em.zarr", em, voxel_size=(30, 6, 6), attributes={})
    out, result = tmp_path / "report", tmp_path / "warp.json"
    app(
        f"warp {tmp_path}/em.zarr -o {out} --model {tiny_model} --z 1:3 --overlap 8 --json {result}",
        result_action="return_value",
    )
    (level,) = json.loads(result.read_text())["levels"]
    assert level["slices"] == 2
    assert (out / "index.html").exists()
