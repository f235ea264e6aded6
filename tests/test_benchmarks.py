"""The paper's benchmark: runs end in files, are not repeated, and the page is written from them alone."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from support.voc import made_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from napari_dtn.phantom import Phantom


@pytest.fixture
def benchmarks(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """Modules of the folder benchmarks, which is no package."""
    monkeypatch.syspath_prepend(project / "benchmarks")
    names = (
        "ceiling",
        "common",
        "edges_of_truth",
        "experiments",
        "page",
        "paper",
        "pascal",
        "robustness",
        "runs",
    )
    from importlib import import_module

    yield {name: import_module(name) for name in names}
    for name in names:
        del sys.modules[name]


@pytest.fixture
def paper(benchmarks: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark with folders of its own and two small experiments."""
    small, e = {"base_channels": 2, "levels": 2}, benchmarks["experiments"]
    training = replace(e.PROTOCOL, iterations=3, patch_size=32, batch_size=2, validate_every=3, warmup=1)
    pair = (
        e.Experiment("unet", "U-Net", replace(e.UNET, **small), training, range(3)),
        e.Experiment(
            "dtn", "DTN, small", replace(e.DTN, **small, transformer_levels=(1,)), training, range(3)
        ),
    )
    for module in ("paper", "page"):
        monkeypatch.setattr(benchmarks[module], "FIGURE3", pair)
    monkeypatch.setattr(benchmarks["runs"], "RUNS", tmp_path / "runs")
    monkeypatch.setattr(benchmarks["runs"], "RESULTS", tmp_path / "results")
    monkeypatch.setattr(benchmarks["runs"], "TEST", range(3, 4))
    monkeypatch.setattr(benchmarks["page"], "PAGE", tmp_path / "paper.md")
    monkeypatch.setattr(sys, "argv", ["benchmarks/paper.py", "figure3"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs" / "images").mkdir(parents=True)
    return benchmarks["paper"]


@pytest.fixture
def options(tiny_phantom: Phantom, tmp_path: Path) -> argparse.Namespace:
    for name, array in (("input", tiny_phantom.image), ("labels", tiny_phantom.labels.astype(np.uint16))):
        tifffile.imwrite(tmp_path / f"train-{name}.tif", array, photometric="minisblack")
    return argparse.Namespace(
        data=tmp_path, quick=False, seed=0, seeds=[0, 1], names=[], device="cpu", jobs=1
    )


def test_figure_3_ends_in_files_and_is_not_repeated(paper: Any, options: Any, tmp_path: Path) -> None:
    rows = paper.figure3(options)
    assert [(row["name"], row["seed"]) for row in rows] == [("unet", 0), ("dtn", 0), ("unet", 1), ("dtn", 1)]
    kept = json.loads((tmp_path / "results" / "figure3" / "dtn-seed1.json").read_text())
    assert kept["seed"] == 1
    assert kept["rows"][0]["roc_auc"] == rows[3]["roc_auc"]
    assert "any of the 4 neighbours" in kept["rows"][0]["rule"]
    assert (tmp_path / "docs" / "images" / "paper-figure3.png").stat().st_size > 10_000
    kept["rows"][0]["roc_auc"] = 0.125
    (tmp_path / "results" / "figure3" / "dtn-seed1.json").write_text(json.dumps(kept))
    assert paper.figure3(options)[3]["roc_auc"] == 0.125, "what has ended is read, not run again"


def test_a_model_whose_result_came_from_elsewhere_is_trained_where_it_is_needed(
    paper: Any, options: Any, tmp_path: Path
) -> None:
    """A clone has the results of all runs, and the weights of none."""
    paper.figure3(options)
    known = sorted((tmp_path / "results").rglob("*.json"))
    before = [path.read_text() for path in known]
    shutil.rmtree(tmp_path / "runs")
    rows = paper.where(options)
    assert [row["left out, px"] for row in rows] == [0, 1, 2, 3, 5]
    assert sorted(path.name for path in (tmp_path / "runs" / "figure3").glob("*.safetensors")) == [
        "dtn-seed0.safetensors",
        "unet-seed0.safetensors",
    ]
    assert [path.read_text() for path in known] == before, "nothing of what is known was touched"


def test_a_quick_part_needs_no_long_training(paper: Any, options: Any, tmp_path: Path) -> None:
    options.quick = True
    paper.where(options)
    assert not (tmp_path / "runs" / "figure3").exists(), "what is quick is not taken for the real one"


def test_the_page_says_what_the_files_say(paper: Any, options: Any, project: Path, tmp_path: Path) -> None:
    paper.figure3(options)
    for name, scores in (("unet", (0.90, 0.92)), ("dtn", (0.92, 0.94))):
        for seed, score in enumerate(scores):
            path = tmp_path / "results" / "figure3" / f"{name}-seed{seed}.json"
            kept = json.loads(path.read_text())
            kept["rows"][0]["roc_auc"] = score
            path.write_text(json.dumps(kept))
    (tmp_path / "paper.md").write_text((project / "docs" / "paper.md").read_text())
    paper.page.page(options)
    text = (tmp_path / "paper.md").read_text()
    assert "| U-Net | 0.8676 | 0.9100 ± 0.0141 |" in text
    assert re.search(r"\| 0\.9200 / 0\.\d{4}, 0\.9400 / 0\.\d{4} \|", text)
    assert "removes 22.2 % of the U-Net's 1 - AUC" in text
    assert text.count("not run yet") == len(paper.page._FILES)


def test_the_page_of_the_documentation_is_up_to_date(benchmarks: Any, project: Path, tmp_path: Path) -> None:
    """What stands in docs/paper.md is what the committed results say."""
    page, committed = benchmarks["page"], (project / "docs" / "paper.md").read_text()
    page.PAGE = tmp_path / "paper.md"
    page.PAGE.write_text(committed)
    benchmarks["runs"].RESULTS = project / "benchmarks" / "results" / "paper"
    page.page(argparse.Namespace())
    assert page.PAGE.read_text() == committed


@pytest.fixture
def photographs(
    benchmarks: dict[str, Any], paper: Any, options: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> argparse.Namespace:
    """Two small networks for six small photographs."""
    e = benchmarks["experiments"]
    small = {"base_channels": 2, "levels": 2}
    training = replace(e.PROTOCOL, iterations=2, patch_size=32, batch_size=2, validate_every=2, warmup=1)
    pair = tuple(
        e.Experiment(one.name, one.idea, replace(one.network, **small, transformer_levels=levels), training)
        for one, levels in zip(e.PASCAL, ((), (1,)), strict=True)
    )
    monkeypatch.setattr(benchmarks["pascal"], "PASCAL", pair)
    return argparse.Namespace(**{**vars(options), "voc": made_up(tmp_path / "VOC2012")})


def test_table_1_holds_our_scores_beside_the_printed_ones(
    benchmarks: dict[str, Any], photographs: argparse.Namespace, tmp_path: Path
) -> None:
    unet, dtn = benchmarks["pascal"].table1(photographs)
    assert (unet["paper, mean_iou"], dtn["paper, mean_iou"]) == (0.4145, 0.5297)
    kept = json.loads((tmp_path / "results" / "table1" / "dtn-seed0.json").read_text())["rows"][0]
    assert dtn["loss"] == kept["loss"] > 0
    assert 0 <= kept["mean_iou"] <= kept["accuracy"] <= 1
    assert {"background", "cat", "person"} <= kept["iou_per_class"].keys()


def test_a_quick_table_1_says_the_hours_and_no_score(
    benchmarks: dict[str, Any], photographs: argparse.Namespace
) -> None:
    for row in benchmarks["pascal"].table1(argparse.Namespace(**{**vars(photographs), "quick": True})):
        assert row["expected hours"] > 0
        assert row["mean_iou"] == "not run"


def test_figure_2_shows_both_networks_beside_the_truth(
    benchmarks: dict[str, Any], photographs: argparse.Namespace, tmp_path: Path
) -> None:
    (row,) = benchmarks["pascal"].figure2(photographs)
    with Image.open(row["figure"]) as picture:
        assert picture.width > 1.7 * picture.height  # four columns, two images


def test_table_2_is_a_ratio_of_what_was_timed(
    paper: Any, options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(np.cumsum([0, 3, 0, 4.5] * (3 + paper._WARM_UP)).tolist())
    monkeypatch.setattr(paper.time, "perf_counter", lambda: next(clock))
    times = paper._in_turns({"U-Net": lambda: None, "DTN": lambda: None}, 3)
    assert times == {"U-Net_ms": 3000.0, "DTN_ms": 4500.0, "ratio": 1.5}


def test_a_changed_slice_and_its_truth_stay_together(benchmarks: Any, tiny_phantom: Phantom) -> None:
    """With the truth as image, the warped image must still be dark where the warped truth is boundary."""
    from napari_dtn.metrics import boundary_target
    from napari_dtn.volume.opening import volume_from_array

    boundary = boundary_target(tiny_phantom.labels)
    volume = volume_from_array(np.where(boundary, 0, 200).astype(np.uint8))
    changes = dict(benchmarks["robustness"].changed_slices(volume, tiny_phantom.labels, range(2)))
    assert {"zoom 0.5", "zoom 1", "zoom 2", "sheared by 0.3"} <= changes.keys()
    for name in ("zoom 1", "sheared by 0.3", "elastic deformation, up to 10 px"):
        slices = changes[name]
        inside, edge = slices.images[slices.annotations == 2], slices.images[slices.annotations == 1]
        assert inside.mean() - edge.mean() > 1.2, name
    reduced, magnified = changes["zoom 0.5"], changes["zoom 2"]
    assert (reduced.annotations != 0).mean() < 0.3
    assert (magnified.annotations != 0).all()


def test_clicks_go_on_with_the_objects_that_were_noted(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(project / "benchmarks")
    import clicks

    monkeypatch.setattr(clicks, "NEWS", 0.0)
    objects = [clicks.Solved(2 + number % 2, number, True, (0.1,) * number) for number in range(1, 7)]
    stopped = clicks.Journal(tmp_path / "j").all_of("model", 6, iter(objects[:3]))
    assert stopped == objects[:3]
    journal = clicks.Journal(tmp_path / "j")
    assert journal.done("model") == 3
    assert journal.done("forest") == 0
    assert journal.all_of("model", 6, iter(objects[3:])) == objects
    assert "model: 6 of 6 objects" in capsys.readouterr().err
    assert [row["mean clicks"] for row in clicks.rows_of("model", objects)] == [4, 3]


def test_undo_takes_little_disk_and_memory(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(project / "benchmarks")
    import undo

    row = undo.measure((16, 512, 512), 14)
    assert row["voxels in objects"] > 20_000
    assert 0 < row["journal, MB"] < 4, "most of it is what SQLite keeps besides"
    assert row["memory gained, MB"] < 100


@pytest.fixture
def suggesting(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(project / "benchmarks")
    from importlib import import_module

    yield import_module("suggesting")
    for name in ("suggesting", "isbi", "strokes", "common"):
        sys.modules.pop(name, None)


def test_strokes_to_an_auc_are_read_off_the_curve(suggesting: Any) -> None:
    curves = {"random": [(0, 0.8), (4, 0.85), (8, 0.9)], "suggested": [(0, 0.8), (4, 0.9), (8, 0.88)]}
    rows = suggesting.compared("0", curves)
    assert [row["AUC of all"] for row in rows] == [0.9, 0.9]
    assert [row["strokes to it"] for row in rows] == pytest.approx([8, 4])
    assert rows[1]["fewer than random"] == pytest.approx(0.5)
    assert suggesting.needed(curves["random"], 0.825) == pytest.approx(2)
    assert suggesting.needed(curves["random"], 0.95) == float("inf")
    assert suggesting.mean(list(curves.values()))[1] == (4, pytest.approx(0.875))


def test_both_ways_are_annotated_alike(suggesting: Any, tiny_phantom: Phantom) -> None:
    images, ids = tiny_phantom.image, tiny_phantom.labels.astype(np.uint16)
    one, other = (suggesting.Annotator(images, ids, seed=3) for _ in range(2))
    place = 0, slice(0, images.shape[1]), slice(0, images.shape[2])
    for annotator in (one, other):
        annotator.annotate(place)
    assert (one.annotation == other.annotation).all()
    assert {1, 2} == {*np.unique(one.annotation)} - {0}
    assert np.count_nonzero(one.annotation) == sum(region.size for region in one.regions)
