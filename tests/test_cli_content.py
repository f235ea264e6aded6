"""The command line knows its own files: annotations, predictions of several classes, labels."""

from __future__ import annotations

import json
import shlex
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import zarr

import napari_dtn as dtn
from napari_dtn.annotate import open_annotations
from napari_dtn.cli import BAD_INPUT, DONE, main
from napari_dtn.metrics import boundary_target
from napari_dtn.nn.checkpoint import load_card
from napari_dtn.recipes import Input, click_recipe
from napari_dtn.settings import ClickSettings
from napari_dtn.volume.content import (
    check_boundaries,
    check_probabilities,
    class_names,
    is_annotation,
    open_boundaries,
)
from napari_dtn.volume.opening import open_volume, volume_from_array
from napari_dtn.volume.writing import KEY, create_image, read_attributes, write_image, write_labels
from napari_dtn.words import is_boundary

if TYPE_CHECKING:
    from napari_dtn.phantom import Phantom

PLACE = {"voxel_size": (30, 6, 6)}
ANNOTATED = "work/annotations.zarr"
SIZES = {"--patch-size": 32, "--batch-size": 1, "--base-channels": 2, "--levels": 3, "--iterations": 2}
SMALL = [*(str(word) for pair in SIZES.items() for word in pair), "--transformer-levels", "2"]
SPLIT = ["--train-z", "0:3", "--val-z", "3:4"]


@pytest.fixture(scope="module")
def folder(tiny_phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image, its ids, its annotation, and predictions that are as good as the truth."""
    folder = tmp_path_factory.mktemp("content")
    wall = boundary_target(tiny_phantom.labels)
    wall8 = np.where(wall, 255, 0).astype(np.uint8)
    write_image(folder / "image.zarr", tiny_phantom.image, attributes={}, **PLACE)
    write_labels(folder / "ids.zarr", tiny_phantom.labels, attributes={}, **PLACE)
    write_image(folder / "one.zarr", wall8, attributes={"model": "m", "class_names": ["boundary"]}, **PLACE)
    write_predicted(folder / "named.zarr", ["inside", "Membranes", "mito"], wall8)
    write_predicted(folder / "unnamed.zarr", ["inside", "nucleus", "mito"], wall8)
    tifffile.imwrite(
        folder / "channels.tif", np.stack([wall8] * 2, 1), imagej=True, metadata={"axes": "ZCYX"}
    )
    for name, scale in (("scored", 3.0), ("wide", np.uint32(1))):
        write_image(folder / f"{name}.zarr", wall * scale, attributes={}, **PLACE)
    with closing(open_annotations(folder / "work", open_volume(folder / "image.zarr"))) as annotations:
        annotations.paint(tuple(slice(0, side) for side in wall.shape), np.where(wall, 1, 2).astype(np.uint8))
    return folder


def write_predicted(path: Path, names: list[str], wall: np.ndarray) -> None:
    """Write maps of three classes, of which the second is the boundary."""
    said = {"model": "m", "class_names": names}
    maps = create_image(path, (3, *wall.shape), np.uint8, axes="czyx", attributes=said, **PLACE)
    maps[...] = np.stack([255 - wall, wall, 0 * wall])


@pytest.fixture
def run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a command on these files; outputs, which are called out, go elsewhere."""
    monkeypatch.chdir(folder)
    return lambda *words: main([word.replace("OUT", str(tmp_path / "out")) for word in words])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


# ---- annotations


def test_an_annotation_says_what_it_is(folder: Path) -> None:
    assert read_attributes(folder / ANNOTATED)["kind"] == "annotation"
    assert is_annotation(folder / ANNOTATED)
    assert is_annotation(f"{folder / ANNOTATED}/0")
    assert not is_annotation(folder / "work" / "objects.zarr")
    for other in ("image", "ids", "one", "missing"):
        assert not is_annotation(folder / f"{other}.zarr")


def test_an_older_annotation_is_known_by_its_type(folder: Path, tmp_path: Path) -> None:
    """Before they said so: labels of a byte, which we wrote over an image."""
    from shutil import copytree

    for name in ("annotations", "objects"):
        copy = copytree(folder / "work" / f"{name}.zarr", tmp_path / f"{name} renamed.zarr")
        zarr.open_group(str(copy)).attrs[KEY] = {"input": "image.tif"}
        assert is_annotation(copy) == (name == "annotations")
        assert is_annotation(f"{copy}/0") == (name == "annotations")
        del zarr.open_group(str(copy)).attrs[KEY]
        assert not is_annotation(copy), "labels of another program may be ids of a byte"


def test_an_annotation_trains_as_what_it_is(run, tmp_path: Path, capsys) -> None:
    command = [
        "train",
        "--images",
        "image.zarr",
        "--labels",
        ANNOTATED,
        *SPLIT,
        *SMALL,
        "-o",
        "OUT.safetensors",
    ]
    assert run(*command) == DONE
    assert f"{ANNOTATED} is an annotation: --labels-kind classes" in said(capsys)
    assert load_card(tmp_path / "out.safetensors").training["data"]["labels_kind"] == "classes"
    for kind in ("ids", "mask"):
        assert run(*command, "--labels-kind", kind, "--overwrite") == BAD_INPUT
        assert "takes it by --labels-kind classes" in said(capsys)


def test_an_annotation_teaches_a_model_to_start_from(
    run, tiny_model: Path, monkeypatch, tiny_phantom
) -> None:
    monkeypatch.setattr("napari_dtn.teach.forgetting._phantom", lambda: tiny_phantom)
    command = ["train", "--from", str(tiny_model), "--images", "image.zarr", "--labels", ANNOTATED]
    quick = ["--teach.iterations", "2", "--teach.device", "cpu"]
    assert run(*command, *quick, "-o", "OUT.safetensors") == DONE


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "one.zarr", ANNOTATED, "--kind", "boundary"], "is an annotation"),
        (["evaluate", "ids.zarr", ANNOTATED, "--kind", "labels"], "is an annotation"),
        (["evaluate", ANNOTATED, "ids.zarr", "--kind", "labels"], "is an annotation"),
        (["evaluate", ANNOTATED, "ids.zarr", "--kind", "boundary"], "holds labels, and no boundaries"),
        (["evaluate", "named.zarr", ANNOTATED, "--kind", "classes"], "subtract 1 in uint8"),
        (["warp", "image.zarr", "--truth", ANNOTATED, "--z", "0:1", "-o", "OUT"], "is an annotation"),
        (["segment", ANNOTATED, "-o", "OUT.zarr"], "holds labels, and no boundaries"),
        # ---- other things that are plainly not what is asked for
        (["evaluate", "ids.zarr", "one.zarr", "--kind", "labels"], "one.zarr holds probabilities"),
        (["evaluate", "named.zarr", "ids.zarr", "--kind", "labels"], "named.zarr holds probabilities"),
        (["shapes", "one.zarr", "-o", "OUT"], "one.zarr holds probabilities, which predict wrote"),
        (["shapes", "named.zarr", "-o", "OUT"], "named.zarr holds probabilities"),
        (["shapes", "scored.zarr", "-o", "OUT"], "objects need integer ids"),
        (["segment", "ids.zarr", "-o", "OUT.zarr"], "ids.zarr holds labels, and no boundaries"),
        (["segment", "ids.zarr/0", "-o", "OUT.zarr"], "holds labels, and no boundaries"),
        (["segment", "wide.zarr", "-o", "OUT.zarr"], "wide.zarr holds uint32, as ids do"),
        (["segment", "scored.zarr", "-o", "OUT.zarr"], "hold 0 to 3, and probabilities are 0 to 1"),
    ],
)
def test_what_is_plainly_something_else_is_refused(
    run, words: list[str], message: str, tmp_path: Path, capsys
) -> None:
    assert run(*words) == BAD_INPUT
    assert message in said(capsys)
    assert not any(tmp_path.iterdir()), "no work is begun"


def test_predictions_are_no_shapes_in_python(folder: Path) -> None:
    with pytest.raises(ValueError, match="holds probabilities"):
        dtn.measure_objects(open_volume(folder / "one.zarr"))


@pytest.mark.parametrize(
    ("name", "words"), [("ids", "holds labels"), ("one", "is a prediction"), ("named", "is a prediction")]
)
def test_a_prediction_of_no_image_is_warned_of(run, tiny_model: Path, capsys, name: str, words: str) -> None:
    command = ["predict", f"{name}.zarr", "--model", str(tiny_model), "-o", "OUT.zarr", "--z", "0:1"]
    assert run(*command, *(["--channel", "1"] if name == "named" else [])) == DONE
    assert f"{name}.zarr {words}, and no image" in said(capsys)


def test_what_could_be_boundaries_is_taken() -> None:
    for dtype in (bool, np.uint8, np.float16, np.float32):
        check_boundaries(volume_from_array(np.zeros((1, 4, 4), dtype)))


# ---- several classes


@pytest.mark.parametrize("name", ["boundary", "Boundaries", "membrane", "MEMBRANES"])
def test_the_boundary_has_several_names(name: str) -> None:
    assert is_boundary(name)
    assert not is_boundary(f"no {name}")


def test_the_boundary_among_classes_is_segmented(run, tmp_path: Path, capsys) -> None:
    assert run("segment", "named.zarr", "-o", "OUT.zarr") == DONE
    assert "classes 0 inside, 1 Membranes, 2 mito: Membranes is taken" in said(capsys)
    labels = open_volume(tmp_path / "out.zarr").data.compute()
    assert read_attributes(tmp_path / "out.zarr")["channel"] == 1
    assert run("segment", "one.zarr", "-o", "OUT.zarr", "--overwrite") == DONE
    assert (open_volume(tmp_path / "out.zarr").data.compute() == labels).all()
    assert "channel" not in read_attributes(tmp_path / "out.zarr")
    assert run("segment", "unnamed.zarr", "-o", "OUT.zarr", "--channel", "1", "--overwrite") == DONE
    assert (open_volume(tmp_path / "out.zarr").data.compute() == labels).all()


def test_a_click_folder_is_opened_again_on_one_channel_and_one_class(
    run, folder: Path, tmp_path: Path, capsys
) -> None:
    image = Input("channels.tif", PLACE["voxel_size"], 1)
    recipe = click_recipe(image, "named.zarr", "", tmp_path / "s", ClickSettings(), tmp_path / "out.zarr")
    words = shlex.split(recipe.command)[1:]
    assert words[words.index("--image") :][5:8] == ["6", "--image-channel", "1"]
    assert run(*words) == DONE
    assert read_attributes(tmp_path / "out.zarr")["image_channel"] == 1
    exec(recipe.python, {})
    assert "in work: 0 voxels" in capsys.readouterr().out
    assert (tmp_path / "s" / "objects.zarr").is_dir()


def test_labels_take_the_voxel_size_of_the_image_where_boundaries_have_none(
    run, folder: Path, tmp_path: Path
) -> None:
    wall = np.asarray(open_volume(folder / "one.zarr").data)
    write_image(tmp_path / "out.zarr", wall, voxel_size=None, attributes={})
    assert run("segment", "OUT.zarr", "-o", "OUT labels.zarr", "--image", "image.zarr", "--z", "1:3") == DONE
    labels = open_volume(tmp_path / "out labels.zarr")
    assert (labels.voxel_size, labels.translation) == ((30, 6, 6), (30, 0, 0))


def test_the_boundary_among_classes_is_scored(run, capsys) -> None:
    evaluate = ["ids.zarr", "--kind", "boundary", "--json", "-"]
    for words in (["named.zarr"], ["unnamed.zarr", "--channel", "1"], ["channels.tif", "--channel", "0"]):
        assert run("evaluate", *words, *evaluate) == DONE
        assert json.loads(capsys.readouterr().out)["roc_auc"] == 1
    assert run("evaluate", "named.zarr", *evaluate, "--channel", "0") == DONE
    assert json.loads(capsys.readouterr().out)["roc_auc"] == 0


def test_info_describes_the_boundary_among_classes(run, capsys) -> None:
    assert run("info", "named.zarr", "--json", "-") == DONE
    told = capsys.readouterr()
    assert json.loads(told.out)["channel"] == 1
    assert json.loads(told.out)["napari_dtn"]["class_names"] == ["inside", "Membranes", "mito"]
    assert "Membranes is taken" in " ".join(told.err.split())
    assert run("info", "one.zarr", "--json", "-") == DONE
    assert "channel" not in json.loads(capsys.readouterr().out)


UNKNOWN = "has the classes 0 inside, 1 nucleus, 2 mito, and none is called boundary or membrane"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["segment", "unnamed.zarr", "-o", "OUT.zarr"], f"{UNKNOWN}; choose one with --channel 0 to 2"),
        (["evaluate", "unnamed.zarr", "ids.zarr", "--kind", "boundary"], UNKNOWN),
        (["info", "unnamed.zarr"], UNKNOWN),
        (
            ["segment", "named.zarr", "-o", "OUT.zarr", "--channel", "3"],
            "has no channel 3; choose channel 0 to",
        ),
        (["segment", "channels.tif", "-o", "OUT.zarr"], "has 2 channels; choose one with channel=0 to 1"),
        (
            ["segment", "named.zarr", "-o", "OUT.zarr", "--keep-graph", "--channel", "0"],
            "leave --channel out",
        ),
        (
            ["segment", "one.zarr", "-o", "OUT.zarr", "--image-time", "0"],
            "--image-time is about the image: name",
        ),
        (
            ["evaluate", "ids.zarr", "ids.zarr", "--kind", "labels", "--channel", "0"],
            "leave it out for labels",
        ),
        (
            ["evaluate", "one.zarr", "channels.tif", "--kind", "boundary"],
            "2 channels; save the one that is meant",
        ),
        (
            ["segment", "one.zarr", "-o", "OUT.zarr", "--image", "channels.tif"],
            "2 channels; choose one with --image-channel 0 to 1",
        ),
    ],
)
def test_the_message_names_classes_and_an_option(run, words: list[str], message: str, capsys) -> None:
    assert run(*words) == BAD_INPUT
    assert message in said(capsys)


def test_a_model_is_trained_on_a_channel(run, capsys) -> None:
    command = [
        "train",
        "--images",
        "channels.tif",
        "--labels",
        "ids.zarr",
        *SPLIT,
        *SMALL,
        "-o",
        "OUT.safetensors",
    ]
    assert run(*command) == BAD_INPUT
    assert "choose one with --channel 0 to 1" in said(capsys)
    assert run(*command, "--channel", "1") == DONE


def test_shapes_are_those_of_a_channel(run, tmp_path: Path) -> None:
    assert run("shapes", "channels.tif", "--channel", "1", "--format", "csv", "-o", "OUT") == DONE
    assert (tmp_path / "out" / "objects.csv").is_file()


def test_boundaries_are_opened_in_python(folder: Path) -> None:
    assert class_names(folder / "named.zarr") == ("inside", "Membranes", "mito")
    assert class_names(folder / "image.zarr") == ()
    opened, one = (open_boundaries(folder / f"{name}.zarr").data for name in ("named", "one"))
    assert (opened.compute() == one.compute()).all()


# ---- values of boundaries


def test_values_that_a_glance_does_not_see_are_refused_as_they_are_read(tmp_path: Path) -> None:
    values = np.full((5, 40, 40), 0.5, np.float32)
    values[4] = 255
    write_image(tmp_path / "late.zarr", values, attributes={}, **PLACE)
    with pytest.raises(ValueError, match="hold 255 to 255, and probabilities are 0 to 1"):
        dtn.segment(tmp_path / "late.zarr", tmp_path / "labels.zarr")


def test_probabilities_may_overshoot_and_be_unknown() -> None:
    check_probabilities(np.array([[np.nan, -0.05, 1.05]], np.float32))
    check_probabilities(np.array([[np.nan, np.nan]], np.float32))
    check_probabilities(np.array([[0, 255]], np.uint8))
    with pytest.raises(ValueError, match=r"hold -2 to 0\.5"):
        check_probabilities(np.array([[np.nan, -2, 0.5]], np.float32))
