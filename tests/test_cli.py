"""The command line: its exit codes, its one-line errors, and JSON that holds nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_dtn.cli import main
from napari_dtn.nn.checkpoint import load_card
from napari_dtn.predict.output import BlockWriter
from napari_dtn.volume.opening import open_volume
from napari_dtn.volume.writing import JOURNAL, write_image
from support.permissions import permissions_count, public_folder

if TYPE_CHECKING:
    from napari_dtn.phantom import Phantom
    from napari_dtn.predict.pipeline import BlockDone

SIZES = {
    "--patch-size": 32,
    "--batch-size": 1,
    "--base-channels": 2,
    "--levels": 3,
    "--transformer-levels": 2,
}
SMALL = [str(word) for pair in SIZES.items() for word in pair]


@pytest.fixture
def files(tiny_phantom: Phantom, tmp_path: Path) -> tuple[str, str]:
    image, labels = tmp_path / "image.tif", tmp_path / "labels.tif"
    tifffile.imwrite(image, tiny_phantom.image, photometric="minisblack")
    tifffile.imwrite(labels, tiny_phantom.labels, photometric="minisblack")
    return str(image), str(labels)


def training(files: tuple[str, str], out: Path, *more: str) -> list[str]:
    image, labels = files
    split = ["--train-z", "0:3", "--val-z", "3:4"]
    return ["train", "--images", image, "--labels", labels, *split, "-o", str(out), *SMALL, *more]


def test_train_predict_and_evaluate(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "m.safetensors", tmp_path / "out.zarr"
    assert main(training(files, model, "--iterations", "3", "--json", "-")) == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["iterations"] == 3
    assert 0 < trained["validation"]["scores"]["roc_auc"] < 1

    box = ["--z", "1:3", "--x", "16:80"]
    voxels = ["--voxel-size", "30", "6", "6"]
    command = ["predict", files[0], "-o", str(out), "--model", str(model), *voxels, *box, "--overlap", "8"]
    assert main([*command, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["slices"] == 2
    assert open_volume(out).voxel_size == (30, 6, 6)

    scores = tmp_path / "scores.json"
    assert main(["evaluate", str(out), files[1], "--kind", "boundary", "--json", str(scores)]) == 0
    assert capsys.readouterr().out == ""
    result = json.loads(scores.read_text())
    assert result["region"] == {"z": [1, 3], "y": [0, 96], "x": [16, 80]}
    assert {"kind", "rule", "n_pixels", "roc_auc", "average_precision", "accuracy", "loss"} <= set(result)


def test_an_interrupted_prediction_is_finished_by_the_same_command(
    files: tuple[str, str],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.zarr"
    blocks = ["--block-slices", "1", "--batch-size", "1"]  # of 20 batches each: more than wait to be written
    command = ["predict", files[0], "-o", str(out), "--model", str(tiny_model), *blocks]
    assert main([*command, "--dry-run"]) == 0
    assert "4 slices, 80 tiles in 4 blocks" in capsys.readouterr().err
    assert not out.exists()

    real = BlockWriter.record

    def interrupt(writer: BlockWriter, done: BlockDone) -> None:
        real(writer, done)
        if done.block.number == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(BlockWriter, "record", interrupt)
        assert main(command) == 130
    assert "what was finished is kept" in capsys.readouterr().err
    assert 2 <= len((out / JOURNAL).read_text().splitlines()) < 4
    for more, words in (((), "would be gone on with"), (("--overwrite",), "would be replaced")):
        assert main([*command, "--dry-run", *more]) == 0
        assert f"{out.name} " in (said := " ".join(capsys.readouterr().err.split()))
        assert words in said
    assert main([*command, "--overlap", "9"]) == 2
    assert "settings.overlap was 16 and is 9" in capsys.readouterr().err
    assert main(command) == 0
    assert not (out / JOURNAL).exists()
    assert main(command) == 2
    assert "out.zarr exists" in capsys.readouterr().err


def test_info_describes_volumes_and_models(
    files: tuple[str, str], tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", files[0], "--json", "-"]) == 0
    volume = json.loads(capsys.readouterr().out)
    assert (volume["shape"], volume["dtype"], volume["voxel_size"]) == ([4, 96, 80], "uint8", None)
    assert main(["info", str(tiny_model), "--json", "-"]) == 0
    model = json.loads(capsys.readouterr().out)
    assert (model["name"], model["arch"], model["patch_size"]) == ("tiny", "dtn", 32)
    assert main(["info", str(tiny_model)]) == 0
    assert "patch_size  32" in capsys.readouterr().out


def test_info_describes_a_volume_that_is_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "empty.tif", tmp_path / "new" / "info.json"
    tifffile.imwrite(path, np.zeros((4, 96, 80), np.uint8), photometric="minisblack")
    assert main(["info", str(path), "--json", str(out)]) == 0
    described = json.loads(out.read_text())
    assert described["shape"] == [4, 96, 80]
    assert described["intensity"] == {"unknown": "The image is 0 wherever it was sampled; is it empty?"}


def test_classes_of_a_volume_are_trained_by_their_names(files: tuple[str, str], tmp_path: Path) -> None:
    labels = (np.asarray(tifffile.imread(files[1])) % 3 + 1).astype(np.uint8)
    tifffile.imwrite(tmp_path / "classes.tif", labels, photometric="minisblack")
    model = tmp_path / "m.safetensors"
    kind = ["--labels-kind", "classes", "--classes", "membrane", "cytoplasm", "nucleus", "--iterations", "2"]
    assert main(training((files[0], str(tmp_path / "classes.tif")), model, *kind)) == 0
    assert load_card(model).class_names == ("membrane", "cytoplasm", "nucleus")


def test_a_model_to_start_from_keeps_its_network(
    files: tuple[str, str], tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, labels = files
    command = ["train", "--images", image, "--labels", labels, "--train-z", "0:3", "--val-z", "3:4"]
    command += ["-o", str(tmp_path / "m.safetensors"), "--from", str(tiny_model)]
    assert main([*command, "--arch", "unet"]) == 2
    assert "goes on with the network that it has" in " ".join(capsys.readouterr().err.split())


def test_info_names_bad_slices(
    tiny_phantom: Phantom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = np.concatenate([tiny_phantom.image, tiny_phantom.image[::-1]])  # slice 4 repeats slice 3
    image[1] = 0
    path = tmp_path / "bad.tif"
    tifffile.imwrite(path, image, photometric="minisblack")
    assert main(["info", str(path), "--json", "-"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["bad_slices"] == [
        {"z": 1, "kind": "black", "share": 1.0, "reference": None, "shift": [0.0, 0.0]},
        {"z": 4, "kind": "duplicated", "share": 0.0, "reference": 3, "shift": [0.0, 0.0]},
    ]
    assert described["slices_checked"] == "8 of 8 slices, each as a whole"
    assert main(["info", str(path)]) == 0
    assert "bad_slices  1 black (100 %); 4 repeats 3\n" in capsys.readouterr().out
    ids = tiny_phantom.labels.astype(np.uint32)  # they have no bad slices
    tifffile.imwrite(tmp_path / "ids.tif", ids, photometric="minisblack")
    for command in (["info", str(path), "--no-bad-slices"], ["info", str(tmp_path / "ids.tif")]):
        assert main([*command, "--json", "-"]) == 0
        assert "bad_slices" not in json.loads(capsys.readouterr().out)


def test_a_time_point_is_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    movie = np.random.default_rng(0).integers(0, 255, (2, 3, 40, 48), np.uint8)
    tifffile.imwrite(tmp_path / "m.tif", movie, imagej=True, metadata={"axes": "TZYX"})
    assert main(["info", str(tmp_path / "m.tif")]) == 2
    assert "has 2 time points; choose one with --time 0 to 1" in capsys.readouterr().err
    assert main(["info", str(tmp_path / "m.tif"), "--time", "1", "--json", "-"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["shape"] == [3, 40, 48]
    assert described["intensity"]["mean"] == pytest.approx(movie[1].mean())


def test_unet_is_the_network_without_pairs(files: tuple[str, str], tmp_path: Path) -> None:
    model = tmp_path / "u.safetensors"
    assert main(training(files, model, "--iterations", "1", "--arch", "unet")) == 0
    described = tmp_path / "info.json"
    assert main(["info", str(model), "--json", str(described)]) == 0
    assert json.loads(described.read_text())["network"]["transformer_levels"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "missing.tif", "-o", "x.zarr"], "missing.tif does not exist"),
        (["info", "a[raw].tif"], "a[raw].tif does not exist"),
        (["info", "a[/b].tif"], "a[/b].tif does not exist"),
        (["predict", "IMAGE", "-o", "x.zarr", "--model", "nothing"], "No model 'nothing'"),
        (["predict", "IMAGE", "-o", "x.zarr", "--model", "TINY", "--z", "2:9"], "z range 2:9 does not fit"),
        (["predict", "IMAGE", "-o", "x.zarr", "--model", "TINY", "--z", "a"], "'a' is not a range"),
        (["predict", "IMAGE", "-o", "x.zarr", "--model", "TINY", "--overlap", "-3"], "overlap is -3"),
        (
            ["predict", "IMAGE", "-o", "x.zarr", "--voxel-size", "30", "6", "0"],
            "Voxel size is (30.0, 6.0, 0.0)",
        ),
        (["predict", "IMAGE", "-o", "x.zarr", "--device", "abacus"], "abacus"),
        (["predict", "IMAGE"], "--output"),
        (["evaluate", "IMAGE", "LABELS", "--kind", "boundary", "--z", "0:40"], "z range 0:40 does not fit"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    files: tuple[str, str],
    tiny_model: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = {"IMAGE": files[0], "LABELS": files[1], "TINY": str(tiny_model)}
    assert main([names.get(word, word) for word in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1


def test_a_failure_is_code_1_and_verbose_shows_where(
    files: tuple[str, str],
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the device went away")

    monkeypatch.setattr(import_module("napari_dtn.predict.predictor"), "make_runner", fail)
    command = ["predict", files[0], "-o", "x.zarr", "--model", str(tiny_model)]
    assert main(command) == 1
    assert capsys.readouterr().err.strip().splitlines()[-1] == "napari-dtn: the device went away"
    assert main([*command, "--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_is_kept_and_resumes(
    files: tuple[str, str], tmp_path: Path, sent: signal.Signals
) -> None:
    model = tmp_path / "m.safetensors"
    command = [sys.executable, "-m", "napari_dtn.cli", *training(files, model, "--iterations", "100000")]
    settings = ["--validate-every", "1000000", "--checkpoint-seconds", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, *settings], env=environment, stderr=subprocess.PIPE, text=True)
    checkpoint = model.with_suffix(".resume.safetensors")
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(sent)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "what was finished is kept" in error
    more = ["--iterations", "100000", "--resume", *settings, "--learning-rate", "0.5"]
    assert main(training(files, model, *more)) == 2  # it is there, and belongs to other settings


def test_the_demo_writes_pictures_zarr_and_scores(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    command = ["demo", "--headless", "--quick", "--model", str(tiny_model), "-o", str(out), "--json", "-"]
    for _ in range(2):  # a second demo replaces the first
        assert main(command) == 0
        result = json.loads(capsys.readouterr().out)
    assert result == json.loads((out / "scores.json").read_text())
    assert 0 < result["scores"]["roc_auc"] < 1
    assert open_volume(out / "phantom boundaries.zarr").shape == open_volume(out / "phantom.zarr").shape
    for name in ("boundaries.png", "warp.png", "curves.png"):
        assert (out / name).stat().st_size > 10_000
    np.testing.assert_equal(open_volume(out / "phantom boundaries.zarr").voxel_size, (30, 6, 6))


def test_the_demo_without_a_display_needs_no_word(
    tiny_model: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert main(["demo", "--quick", "--model", str(tiny_model), "-o", str(tmp_path / "demo")]) == 0
    assert "There is no display" in capsys.readouterr().err
    assert (tmp_path / "demo" / "boundaries.png").exists()


def test_a_model_is_not_written_over_the_images(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path(files[0]).read_bytes()
    assert main(training(files, Path(files[0]), "--overwrite")) == 2
    assert "which is read" in " ".join(capsys.readouterr().err.split())
    assert Path(files[0]).read_bytes() == before


@pytest.mark.parametrize("name", ["../../elsewhere", ".", ""])
def test_labels_of_an_image_have_a_plain_name(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "em.zarr", np.zeros((2, 32, 32), np.uint8), voxel_size=(30, 6, 6), attributes={})
    words = ["segment", str(tmp_path / "em.zarr"), "--into", str(tmp_path / "em.zarr"), "--name", name]
    assert main(words) == 2
    assert "give a plain one" in " ".join(capsys.readouterr().err.split())


@pytest.fixture
def slices(files: tuple[str, str], tmp_path: Path) -> Path:
    folder = tmp_path / "slices"
    folder.mkdir()
    for z, plane in enumerate(tifffile.imread(files[0])):
        tifffile.imwrite(folder / f"{z}.tif", plane)
    return folder


def test_a_report_does_not_come_among_the_slices(
    slices: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(slices.iterdir())
    assert main(["warp", str(slices), "--model", str(tiny_model), "-o", str(slices)]) == 2
    assert "which is read; choose another folder" in " ".join(capsys.readouterr().err.split())
    assert sorted(slices.iterdir()) == before


@pytest.mark.parametrize(
    ("command", "target"),
    [
        (["info", "IMAGE", "--json"], "IMAGE"),
        (["info", "TINY", "--json"], "TINY"),
        (["evaluate", "IMAGE", "LABELS", "--kind", "labels", "--json"], "LABELS"),
        (["evaluate", "IMAGE", "LABELS", "--kind", "boundary", "--plot"], "IMAGE"),
        (["evaluate", "SLICES", "LABELS", "--kind", "boundary", "--plot"], "SLICES/curves.png"),
        (["predict", "IMAGE", "--model", "TINY", "-o", "NEW", "--json"], "TINY"),
        (["segment", "IMAGE", "--image", "SLICES", "-o", "NEW", "--json"], "SLICES/2.tif"),
        (["warp", "IMAGE", "--model", "TINY", "--truth", "LABELS", "-o", "NEW", "--json"], "LABELS"),
        (["shapes", "LABELS", "-o", "NEW", "--json"], "LABELS"),
        (["export", "TINY", "--to", "onnx", "-o", "NEW", "--json"], "TINY"),
        (["demo", "--headless", "--model", "TINY", "-o", "NEW", "--json"], "TINY"),
        (["train", "--images", "IMAGE", "--labels", "LABELS", "-o", "NEW", "--json"], "LABELS"),
        (["train", "--from", "TINY", "-o", "NEW", "--json"], "TINY"),
        (["train", "--from", "TINY", "--labels-kind", "classes", "-o", "NEW", "--json"], "TINY"),
        (["train", "--dataset", "voc", "SLICES", "-o", "NEW", "--json"], "SLICES/0.tif"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else words,
)
def test_a_result_does_not_replace_what_is_read(
    files: tuple[str, str],
    slices: Path,
    tiny_model: Path,
    tmp_path: Path,
    command: list[str],
    target: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = tmp_path / "tiny.safetensors"
    model.write_bytes(tiny_model.read_bytes())
    names = {"IMAGE": files[0], "LABELS": files[1], "TINY": str(model), "SLICES": str(slices)}
    named = {**names, "NEW": str(tmp_path / "new.safetensors")}
    *folder, name = target.split("/")
    there = Path(*(named[one] for one in folder), named.get(name, name))
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert main([*(named.get(word, word) for word in command), str(there)]) == 2
    assert "which is read" in " ".join(capsys.readouterr().err.split())
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_folder_is_no_file_for_a_result(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", files[0], "--json", str(tmp_path)]) == 2
    assert "is a folder; give a file in it" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is a folder; give the file of the model, such as"),
        ("model", "must end in .safetensors, such as"),
        ("model.pt", "model.pt.safetensors"),
        ("labels.tif/m.safetensors", "labels.tif is a file, not a folder"),
        ("labels.tif/new/m.safetensors", "labels.tif is a file, not a folder"),
        ("there.safetensors", "give another name, or replace it with --overwrite"),
        ("begun.safetensors", "go on with it by --resume, or begin anew with --overwrite"),
    ],
)
@pytest.mark.parametrize("kind", ["ids", "classes"])
def test_a_training_that_could_not_be_written_does_not_begin(
    files: tuple[str, str],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    message: str,
    kind: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("the data are read")

    state = "begun.resume.safetensors" if kind == "ids" else "begun.teaching/latest.resume.safetensors"
    for there in ("there.safetensors", state):
        (tmp_path / there).parent.mkdir(exist_ok=True)
        (tmp_path / there).touch()
    monkeypatch.setattr("napari_dtn.volume.opening.open_volume", read)
    out = tmp_path / name
    images = ["train", "--images", files[0], "--labels", files[1], "-o", str(out)]
    teaching = [*images, "--labels-kind", "classes", "--from", str(tiny_model)]
    assert main(training(files, out) if kind == "ids" else teaching) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_training_does_not_begin_where_the_user_may_not_write(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with public_folder() as folder:
        folder.chmod(0o555)
        with permissions_count():
            assert main(training(files, folder / "new" / "m.safetensors")) == 2
    assert f"you may not write in {folder}" in " ".join(capsys.readouterr().err.split())


def test_resuming_where_there_is_nothing_begins_anew_and_says_so(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = training(files, tmp_path / "m.safetensors", "--iterations", "1", "--resume")
    assert main(command) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "There is no" in said
    assert "m.resume.safetensors to go on with: the training begins anew." in said
