"""The command line with several classes: PASCAL VOC from its folder, and class maps of volumes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from sklearn.metrics import confusion_matrix

from napari_dtn.classify import classify
from napari_dtn.cli import main
from napari_dtn.nn.checkpoint import load_card, load_model
from napari_dtn.voc import CLASS_NAMES, open_voc
from napari_dtn.volume.opening import open_volume
from support.voc import VOID, made_up, real, write_list

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dtn.phantom import Phantom

SIZES = {"--base-channels": 2, "--levels": 3, "--transformer-levels": 2, "--batch-size": 1}
SMALL = [*(str(word) for pair in SIZES.items() for word in pair), "--iterations", "2"]
SMALL_PATCH = ["--patch-size", "32"]


@pytest.fixture(params=["made up", "real"])
def voc(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "made up":
        return made_up(tmp_path / "VOC2012")
    return real(request.getfixturevalue("shared_data") / "voc", tmp_path / "VOC2012")


@pytest.fixture(scope="module")
def small_voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up(tmp_path_factory.mktemp("voc") / "VOC2012")


def test_train_and_evaluate(voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "m.safetensors"
    command = ["train", "--dataset", "voc", str(voc), "-o", str(model), *SMALL, *SMALL_PATCH, "--json", "-"]
    assert main(command) == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["iterations"] == 2
    assert set(trained["validation"]["scores"]) == {"n_pixels", "loss", "accuracy", "mean_iou"}

    command = ["evaluate", str(model), str(voc), "--kind", "classes", "--precision", "float32", "--json", "-"]
    assert main(command) == 0
    result = json.loads(capsys.readouterr().out)
    names = open_voc(voc).names("val")
    assert (result["kind"], result["split"], result["n_images"]) == ("classes", "val", len(names))
    assert result["size"] == [32, 32]
    assert result["loss"] > 0
    check_by_scikit_learn(result, model, voc)
    assert main(command[:-2]) == 0
    assert f"mean_iou  {result['mean_iou']}" in capsys.readouterr().out


def check_by_scikit_learn(result: dict, model: Path, voc: Path) -> None:
    found = list(classify(load_model(model, "cpu"), open_voc(voc), open_voc(voc).names("val"), "float32"))
    truth, classes = (
        np.concatenate([pick(one).ravel() for one in found])
        for pick in (lambda one: one.truth, lambda one: one.classes)
    )
    known = truth != VOID
    table = confusion_matrix(truth[known], classes[known], labels=range(21))
    union = table.sum(0) + table.sum(1) - table.diagonal()
    expected = {
        name: hit / every if every else None
        for name, hit, every in zip(CLASS_NAMES, table.diagonal(), union, strict=True)
    }
    assert result["n_pixels"] == known.sum() == table.sum()
    assert result["accuracy"] == pytest.approx(table.diagonal().sum() / table.sum(), abs=1e-12)
    assert result["iou_per_class"] == pytest.approx(expected, abs=1e-12)
    counted = [value for value in expected.values() if value is not None]
    assert result["mean_iou"] == pytest.approx(np.mean(counted), abs=1e-12)
    assert expected["background"] is not None


def test_what_the_dataset_needs_is_chosen_unless_the_user_says_otherwise(
    small_voc: Path, tmp_path: Path
) -> None:
    plain, chosen = tmp_path / "plain.safetensors", tmp_path / "chosen.safetensors"
    command = ["train", "--dataset", "voc", str(small_voc), *SMALL]
    assert main([*command, "-o", str(plain), "--arch", "unet"]) == 0
    card = load_card(plain)
    assert (card.network.in_channels, card.network.n_classes, card.patch_size) == (3, 21, 256)
    assert card.training["settings"]["augment"]["zoom"] == 2
    assert card.network.arch == "unet"
    # 224 is what volumes are trained with where nothing is said; said, it counts.
    assert main([*command, "-o", str(chosen), "--patch-size", "224", "--augment.zoom", "1"]) == 0
    assert load_card(chosen).patch_size == 224
    assert load_card(chosen).training["settings"]["augment"]["zoom"] == 1


def test_class_maps_of_a_volume(
    tiny_phantom: Phantom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Painted classes are one more than the index that the maps are scored against."""
    index = np.digitize(tiny_phantom.image, np.percentile(tiny_phantom.image, (30, 60)))
    files = {"image": tiny_phantom.image, "painted": index + 1, "index": index}
    for name, array in files.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", array.astype(np.uint8), photometric="minisblack")
    image, painted, truth = (str(tmp_path / f"{name}.tif") for name in files)
    model, out = str(tmp_path / "m.safetensors"), str(tmp_path / "out.zarr")
    data = ["--images", image, "--labels", painted, "--labels-kind", "classes", "--n-classes", "3"]
    split = ["--train-z", "0:3", "--val-z", "3:4"]
    assert main(["train", *data, *split, "-o", model, *SMALL, *SMALL_PATCH]) == 0
    box = ["--voxel-size", "30", "6", "6", "--z", "1:3"]
    assert main(["predict", image, "-o", out, "--model", model, *box]) == 0
    capsys.readouterr()
    assert main(["evaluate", out, truth, "--kind", "classes", "--y", "10:90", "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["region"] == {"z": [1, 3], "y": [10, 90], "x": [0, 80]}
    assert result["n_pixels"] == 2 * 80 * 80
    assert list(result["iou_per_class"]) == ["class 0", "class 1", "class 2"]
    maps = np.stack([open_volume(out, channel=number).data[:, 10:90].compute() for number in range(3)])
    right = maps.argmax(axis=0) == index[1:3, 10:90]
    assert 0 < result["accuracy"] == pytest.approx(right.mean(), abs=1e-12)
    assert main(["evaluate", truth, truth, "--kind", "classes"]) == 2
    assert "does not name its classes" in capsys.readouterr().err


VOC_TRAINING = ["train", "--dataset", "voc", "VOC", "-o", "m.safetensors"]
VOC_EVALUATION = ["evaluate", "TINY", "VOC", "--kind", "classes"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--dataset", "voc", "nowhere", "-o", "m.safetensors"],
            "nowhere is no folder; check the path",
        ),
        (
            ["train", "--dataset", "voc", "PARENT", "-o", "m.safetensors"],
            "has no folder JPEGImages; give the one that",
        ),
        (["train", "--dataset", "coco", "VOC", "-o", "m.safetensors"], "coco"),
        ([*VOC_TRAINING, "--val-z", "0:1"], "--val-z belongs to a volume"),
        ([*VOC_TRAINING, "--n-classes", "2"], "n_classes is 2; PASCAL VOC needs"),
        (
            ["train", "--images", "i.tif", "--train-z", "0:1", "-o", "m.safetensors"],
            "--labels, --val-z missing: train",
        ),
        (VOC_EVALUATION, "tiny predicts boundary, and not the 21 classes"),
        ([*VOC_EVALUATION, "--z", "1:2"], "images are scored as a whole"),
        ([*VOC_EVALUATION, "--plot", "p.png"], "classes have none"),
        (["evaluate", "TINY", "PARENT", "--kind", "classes"], "has no folder JPEGImages"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    small_voc: Path,
    tiny_model: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = {"VOC": str(small_voc), "PARENT": str(small_voc.parent), "TINY": str(tiny_model)}
    assert main([names.get(word, word) for word in arguments]) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert "Traceback" not in error


def test_a_name_without_its_image_stops_an_evaluation(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = made_up(tmp_path / "VOC2012")
    write_list(root, "val", ["2007_000004", "2007_000099"])
    assert main(["evaluate", str(tiny_model), str(root), "--kind", "classes"]) == 2
    assert "lists 2007_000099, but" in capsys.readouterr().err
