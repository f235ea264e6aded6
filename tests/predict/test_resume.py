"""Killed at any moment, an output is gone on with, and has the bytes of an undisturbed run."""

from __future__ import annotations

import errno
import fcntl
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_dtn.evaluate import evaluate
from napari_dtn.nn.checkpoint import Model, load_model
from napari_dtn.predict import Predictor, predict
from napari_dtn.predict.output import is_unfinished
from napari_dtn.segmenting import segment_steps
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.settings import Roi
from napari_dtn.volume.opening import open_volume, volume_from_array
from napari_dtn.volume.writing import JOURNAL, read_attributes
from support.engine import EM, SETTINGS, files_in, run_program

if TYPE_CHECKING:
    from pathlib import Path

KILLED = """
import os, signal, sys
from importlib import import_module
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.predict import predict
from napari_dtn.predict.journal import Journal
from napari_dtn.volume.opening import open_volume
from support.engine import SETTINGS

def at(owner, name, count, before):
    real, calls = getattr(owner, name), []
    def killed(*args, **kwargs):
        calls.append(None)
        if len(calls) == count and before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, killed)

output = import_module("napari_dtn.predict.output")
owner = {"image": output, "journal": Journal, "writer": output.BlockWriter, "zarr": output.zarr.Group}
where, name, count, before = sys.argv[4:]
at(owner[where], name, int(count), before == "before")
list(predict(load_model(sys.argv[1], "cpu"), open_volume(sys.argv[2]), sys.argv[3], settings=SETTINGS))
"""

# Where the process is killed, and how many of the five blocks are recorded by then.
MOMENTS = [
    ("image", "create_image", 1, "after", 0),
    ("writer", "write", 1, "after", 0),
    ("writer", "record", 2, "before", 1),
    ("journal", "add", 3, "before", 2),
    ("journal", "add", 3, "after", 3),
    ("writer", "write", 5, "after", 4),
    ("zarr", "update_attributes", 1, "before", 5),
]


@pytest.fixture
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model, "cpu")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "em.tif"
    tifffile.imwrite(path, EM, photometric="minisblack")
    return path


def count_tiles(predictor: Predictor, output: Path, **options: Any) -> int:
    """Predict, and return how many tiles went through the network."""
    counted = 0

    def run(tiles: Any) -> Any:
        nonlocal counted
        counted += len(tiles)
        return predictor.runner(tiles)

    list(replace(predictor, runner=run).write(output, **options))
    return counted


@pytest.mark.parametrize(("where", "name", "count", "when", "recorded"), MOMENTS)
def test_killed_at_any_moment_the_result_is_that_of_an_undisturbed_run(
    tiny_model: Path, image: Path, tmp_path: Path, project: Path, where, name, count, when, recorded
) -> None:
    predictor = Predictor.of(load_model(tiny_model, "cpu"), open_volume(image), SETTINGS)
    undisturbed, out = tmp_path / "undisturbed.zarr", tmp_path / "out.zarr"
    every = count_tiles(predictor, undisturbed)
    program = f"import sys; sys.path.insert(0, {str(project / 'tests')!r})\n{KILLED}"
    killed = run_program(program, tiny_model, image, out, where, name, count, when)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert is_unfinished(out)
    assert count_tiles(predictor, out) == every * (5 - recorded) // 5
    assert files_in(out) == files_in(undisturbed)
    assert not is_unfinished(out)


def interrupted(model: Model, image: Path, out: Path, **options: Any) -> None:
    """Stop after the first slices."""
    steps = predict(model, open_volume(image), out, **{"settings": SETTINGS, **options})
    next(step for step in steps if step.slices_done == 2)
    steps.close()  # type: ignore[attr-defined]
    assert is_unfinished(out)


def test_stopping_is_gone_on_with_and_counted(model: Model, image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    interrupted(model, image, out)
    events = list(predict(model, open_volume(image), out, settings=SETTINGS))
    assert events[0].before >= 2 * 35
    assert events[0].done == events[0].before, "what was finished is said first"
    assert (events[-1].done, events[-1].slices_done) == (5 * 35, 5)
    assert all(event.rate >= 0 and event.eta >= 0 for event in events)
    with pytest.raises(FileExistsError, match=r"out\.zarr exists"):
        predict(model, open_volume(image), out, settings=SETTINGS)


def test_a_line_that_was_cut_short_is_forgotten(model: Model, image: Path, tmp_path: Path) -> None:
    out, undisturbed = tmp_path / "out.zarr", tmp_path / "undisturbed.zarr"
    list(predict(model, open_volume(image), undisturbed, settings=SETTINGS))
    interrupted(model, image, out)
    lines = (out / JOURNAL).read_bytes().splitlines(keepends=True)
    (out / JOURNAL).write_bytes(lines[0] + lines[1][:-9])
    (out / "0" / "c" / "1").mkdir(parents=True, exist_ok=True)
    (out / "0" / "c" / "1" / "0.0123.partial").write_bytes(b"half a chunk")
    predictor = Predictor.of(model, open_volume(image), SETTINGS)
    assert count_tiles(predictor, out) == 4 * 35
    assert files_in(out) == files_in(undisturbed)


def test_overwrite_begins_anew(model: Model, image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    interrupted(model, image, out)
    predictor = Predictor.of(model, open_volume(image), replace(SETTINGS, batch_size=3))
    assert count_tiles(predictor, out, overwrite=True) == 5 * 35


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"overlap": 10}, "settings.overlap was 8 and is 10"),
        ({"batch_size": 2}, "settings.batch_size was 4 and is 2"),
        ({"precision": "bfloat16"}, "settings.precision was float32 and is bfloat16"),
        ({"block_slices": 2}, "settings.block_slices was 1 and is 2"),
    ],
)
def test_a_changed_setting_is_refused_by_name(model, image, tmp_path, change, words) -> None:
    interrupted(model, image, tmp_path / "out.zarr")
    before = files_in(tmp_path / "out.zarr")
    with pytest.raises(ValueError, match="--overwrite") as error:
        predict(model, open_volume(image), tmp_path / "out.zarr", settings=replace(SETTINGS, **change))
    assert words in str(error.value)
    assert files_in(tmp_path / "out.zarr") == before


def test_a_changed_input_is_refused(model: Model, image: Path, tmp_path: Path) -> None:
    interrupted(model, image, tmp_path / "out.zarr")
    changed = EM.copy()
    changed[4] = 255 - changed[4]
    tifffile.imwrite(image, changed, photometric="minisblack")
    with pytest.raises(ValueError, match=r"input_modified was .* intensity.mean was "):
        predict(model, open_volume(image), tmp_path / "out.zarr", settings=SETTINGS)


def test_another_model_or_region_is_refused(model: Model, image: Path, tmp_path: Path) -> None:
    interrupted(model, image, tmp_path / "out.zarr")
    other = replace(model, sha256="0" * 64)
    with pytest.raises(ValueError, match="model_sha256 was "):
        predict(other, open_volume(image), tmp_path / "out.zarr", settings=SETTINGS)
    with pytest.raises(ValueError, match=r"region\.z was \[0, 5\] and is \[0, 4\]"):
        predict(model, open_volume(image), tmp_path / "out.zarr", Roi(z=(0, 4)), SETTINGS)


def test_an_output_of_another_lattice_is_refused(model: Model, image: Path, tmp_path: Path) -> None:
    """Blocks of an engine that laid its tiles otherwise would not fit those that are missing."""
    out = tmp_path / "out.zarr"
    interrupted(model, image, out)
    group = zarr.open_group(str(out), mode="r+")
    known: Any = dict(group.attrs["napari_dtn"])
    del known["unfinished"]["layout"]  # as outputs were begun before it was recorded
    group.update_attributes({"napari_dtn": known})
    with pytest.raises(ValueError, match="layout was None and is 2"):
        predict(model, open_volume(image), out, settings=SETTINGS)


def test_an_open_choice_stays_what_it_was(model: Model, image: Path, tmp_path: Path) -> None:
    """``auto`` may be another thing on the machine that goes on."""
    out = tmp_path / "out.zarr"
    interrupted(model, image, out, settings=replace(SETTINGS, precision="bfloat16"))
    list(predict(model, open_volume(image), out, settings=replace(SETTINGS, precision="auto")))
    assert read_attributes(out)["settings"]["precision"] == "bfloat16"


def test_two_runs_into_one_output_are_refused(model: Model, image: Path, tmp_path: Path) -> None:
    steps = predict(model, open_volume(image), tmp_path / "out.zarr", settings=SETTINGS)
    next(iter(steps))
    with pytest.raises(ValueError, match="being written by another process"):
        predict(model, open_volume(image), tmp_path / "out.zarr", settings=SETTINGS)
    assert len(list(steps))
    assert np.asarray(open_volume(tmp_path / "out.zarr").data).any()


def test_a_second_run_disturbs_nothing_before_it_is_refused(
    model: Model, image: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.zarr"
    steps = predict(model, open_volume(image), out, settings=SETTINGS)
    next(iter(steps))
    half = out / "0" / "c.0123456789.partial"
    half.write_bytes(b"is being written")
    for options in ({}, {"overwrite": True}):
        with pytest.raises(ValueError, match="being written by another process"):
            predict(model, open_volume(image), out, settings=SETTINGS, **options)
        assert half.read_bytes() == b"is being written"
    assert is_unfinished(out)
    half.unlink()
    list(steps)
    assert not is_unfinished(out)


def test_a_changed_slice_of_a_store_is_noticed(model: Model, tmp_path: Path) -> None:
    path, out = tmp_path / "em.zarr", tmp_path / "out.zarr"
    array = zarr.create_array(str(path), shape=EM.shape, chunks=(1, 64, 64), dtype="u1")
    array[:] = EM
    interrupted(model, path, out)
    array[4, :8, :8] = 255 - EM[4, :8, :8]
    with pytest.raises(ValueError, match="input_modified was"):
        predict(model, open_volume(path), out, settings=SETTINGS)


def test_what_is_put_beside_an_input_changes_nothing(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "em.zarr"
    group = zarr.create_group(str(path))
    group.create_array("raw", shape=EM.shape, chunks=(1, 64, 64), dtype="u1")[:] = EM
    out = path / "boundaries.zarr"
    interrupted(model, path / "raw", out)
    (path / "labels").mkdir()
    (path / "labels" / "new.json").write_text("{}")
    list(predict(model, open_volume(path / "raw"), out, settings=SETTINGS))
    assert not is_unfinished(out)


def test_a_store_in_the_inputs_store_is_gone_on_with(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "em.zarr"
    zarr.create_group(str(path)).create_array("raw", shape=EM.shape, chunks=(1, 64, 64), dtype="u1")[:] = EM
    interrupted(model, path / "raw", path / "raw" / "boundaries.zarr")
    list(predict(model, open_volume(path / "raw"), path / "raw" / "boundaries.zarr", settings=SETTINGS))
    assert not is_unfinished(path / "raw" / "boundaries.zarr")


@pytest.mark.parametrize("output", ["em.zarr", "em.zarr/raw", "."])
def test_an_input_is_never_written_over(model: Model, tmp_path: Path, output: str) -> None:
    path = tmp_path / "em.zarr"
    group = zarr.create_group(str(path))
    group.create_array("raw", shape=EM.shape, chunks=(1, 64, 64), dtype="u1")[:] = EM
    before = files_in(path)
    with pytest.raises(ValueError, match="which is read; choose another path"):
        predict(model, open_volume(path / "raw"), tmp_path / output, settings=SETTINGS, overwrite=True)
    assert files_in(path) == before


def test_an_output_in_a_folder_of_slices_is_gone_on_with_and_replaced(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "em"
    folder.mkdir()
    for z, plane in enumerate(EM):
        tifffile.imwrite(folder / f"{z:03}.tif", plane, photometric="minisblack")
    out = folder / "boundaries.zarr"
    interrupted(model, folder, out)
    (folder / ".DS_Store").write_text("what a file browser leaves")
    list(predict(model, open_volume(folder), out, settings=SETTINGS))
    assert not is_unfinished(out)
    list(predict(model, open_volume(folder), out, settings=SETTINGS, overwrite=True))


def test_an_input_is_known_however_it_is_spelt(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "em.zarr"
    zarr.create_array(str(path), shape=EM.shape, chunks=(1, 64, 64), dtype="u1")[:] = EM
    with pytest.raises(ValueError, match="which is read"):
        predict(model, open_volume(f"file://{path}"), path, settings=SETTINGS, overwrite=True)


def test_slices_that_were_finished_before_are_said_again(model: Model, image: Path, tmp_path: Path) -> None:
    """Who shows them would otherwise not know of them."""
    out = tmp_path / "out.zarr"
    interrupted(model, image, out)
    events = list(predict(model, open_volume(image), out, settings=SETTINGS))
    assert sorted(event.z for event in events if event.slice_done) == list(range(len(EM)))


def test_a_file_system_without_locks_is_written_to(
    model: Model, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    list(predict(model, open_volume(image), tmp_path / "out.zarr", settings=SETTINGS))
    assert not is_unfinished(tmp_path / "out.zarr")


def test_an_unfinished_prediction_is_not_taken_for_a_whole_one(
    model: Model, image: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.zarr"
    interrupted(model, image, out)
    y, x = np.indices(EM.shape[1:]) // 16
    volume, truth = open_volume(image), volume_from_array(np.broadcast_to(1 + 20 * y + x, EM.shape))
    with pytest.raises(ValueError, match=r"out\.zarr is unfinished: run the `predict`"):
        evaluate(open_volume(out), truth, "boundary")
    with pytest.raises(ValueError, match="unfinished"):
        segment_steps(out, tmp_path / "labels.zarr")
    with pytest.raises(ValueError, match="unfinished"):
        StoredBoundaries.of(open_volume(out), volume)
    list(predict(model, volume, out, settings=SETTINGS))
    assert evaluate(open_volume(out), truth, "boundary")["n_pixels"] == EM.size
    with pytest.raises(ValueError, match="holds probabilities"):
        evaluate(open_volume(out), truth, "labels")
