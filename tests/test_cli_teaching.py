"""The command line teaches a model by annotations, without a window."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_dtn.cli import main
from napari_dtn.metrics import boundary_target
from napari_dtn.nn.checkpoint import load_card

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dtn.phantom import Phantom

QUICK = ["--teach.iterations", "2", "--teach.batch-size", "1", "--teach.device", "cpu"]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tiny_phantom: Phantom) -> None:
    """Measure forgetting on a small phantom."""
    monkeypatch.setattr("napari_dtn.teach.forgetting._phantom", lambda: tiny_phantom)


@pytest.fixture
def command(tiny_phantom: Phantom, tiny_model: Path, tmp_path: Path) -> list[str]:
    """Teach the small model by two annotated slices."""
    known = np.zeros(tiny_phantom.labels.shape, np.uint8)
    for z in (0, 3):
        known[z] = np.where(boundary_target(tiny_phantom.labels[z]), 1, 2)
    for name, array in (("image", tiny_phantom.image), ("known", known)):
        tifffile.imwrite(tmp_path / f"{name}.tif", array, photometric="minisblack")
    files = ["--images", str(tmp_path / "image.tif"), "--labels", str(tmp_path / "known.tif")]
    return ["train", "--from", str(tiny_model), *files, "--labels-kind", "classes", *QUICK]


def test_a_model_is_taught_into_a_file(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "taught.safetensors"
    assert main([*command, "-o", str(out), "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["output"] == str(out)
    assert told["parent"] == "tiny"
    assert set(told["held_out"]) == {"before", "after"}
    assert set(told["phantom"]) == {"before", "after"}
    assert 0 <= min(told["phantom"].values()) <= max(told["phantom"].values()) <= 1
    card = load_card(out)
    assert card.name == "taught"
    assert card.training["data"]["held_out"]
    assert not out.with_suffix(".teaching").exists()
    assert main([*command, "-o", str(out)]) == 2, "it is there"
    assert main([*command, "-o", str(out), "--overwrite"]) == 0


def test_a_model_is_taught_into_the_library_and_found_by_its_name(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NAPARI_DTN_LIBRARY", str(tmp_path / "library"))
    assert main([*command, "--name", "my tissue"]) == 0
    assert main(["info", "my tissue", "--json", "-"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["training"]["parent"] == "tiny"
    assert set(card["scores"]["phantom"]) == {"before", "after"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "either --output M.safetensors or --name NAME"),
        (["--name", "dtn-snemi3d"], "the name of a model that comes with napari-dtn"),
        (["--name", "new", "--classes", "boundary", "inside", "myelin"], "Nothing is annotated as myelin"),
        (["--name", "new", "--device", "cpu", "--seed", "1"], "--device, --seed would be ignored"),
        (["--name", "new", "--base-channels", "4"], "--base-channels would be ignored"),
    ],
)
def test_bad_input_is_one_line(
    command: list[str], more: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *more]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_resuming_where_there_is_nothing_begins_anew_and_says_so(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "-o", str(tmp_path / "taught.safetensors"), "--resume"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "There is no unfinished training in" in said
    assert "taught.teaching to go on with: it begins anew." in said
