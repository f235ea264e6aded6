"""Whole volumes: cut into parts they give the same objects, and killed at any moment the same labels."""

from __future__ import annotations

import json
import os
import signal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from scipy.ndimage import gaussian_filter

import napari_dtn as dtn
from napari_dtn.cli import main
from napari_dtn.durable import make_durable
from napari_dtn.metrics import boundary_target, label_scores
from napari_dtn.phantom import Phantom, PhantomSettings, make_phantom
from napari_dtn.segmenting import segment_steps, work
from napari_dtn.settings import Roi, SegmentSettings
from napari_dtn.volume.opening import open_volume
from napari_dtn.volume.writing import read_attributes, write_image
from support.engine import files_in, run_program

if TYPE_CHECKING:
    from collections.abc import Iterable

SHAPE = (9, 600, 600)
IN_PARTS = SegmentSettings(part_slices=3, part_side=256)
AS_ONE = SegmentSettings(part_slices=100, part_side=1024)


@cache
def tissue() -> Phantom:
    """Neurites that run through all slices, and cross every face of a part."""
    return make_phantom(PhantomSettings(shape=SHAPE, jitter=0, boutons=0))


@pytest.fixture(scope="module")
def boundaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prediction of the tissue, noisy, whose slice 4 is marked as bad and black."""
    path = tmp_path_factory.mktemp("tissue") / "boundaries.zarr"
    wall = gaussian_filter(boundary_target(tissue().labels).astype(np.float32), (0, 1, 1))
    values = (
        (255 * wall + np.random.default_rng(0).uniform(0, 0.1 * 255, SHAPE)).clip(0, 255).astype(np.uint8)
    )
    values[4] = 0
    write_image(
        path,
        values,
        voxel_size=(30, 6, 6),
        translation=(300, 0, 0),
        attributes={"bad_slices": [{"z": 4, "kind": "black"}]},
    )
    return path


def labels_of(boundaries: Path, output: Path, settings: SegmentSettings, **options: Any) -> np.ndarray:
    for _ in segment_steps(boundaries, output, settings=settings, **options):
        pass
    return np.asarray(zarr.open(str(output))["0"])


@pytest.fixture(scope="module")
def in_parts(boundaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("parts") / "labels.zarr"
    labels_of(boundaries, output, IN_PARTS)
    return output


@pytest.fixture(scope="module")
def as_one(boundaries: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return labels_of(boundaries, tmp_path_factory.mktemp("one") / "labels.zarr", AS_ONE)


GOOD = [z for z in range(SHAPE[0]) if z != 4]


def test_parts_give_the_objects_of_one(in_parts: Path, as_one: np.ndarray) -> None:
    parts = np.asarray(zarr.open(str(in_parts))["0"])[GOOD]
    scores = label_scores(parts, as_one[GOOD])
    assert scores.voi_split + scores.voi_merge < 0.05
    assert label_scores(as_one[GOOD], tissue().labels[GOOD]).are < 0.1


def test_objects_go_on_through_the_faces_of_parts(in_parts: Path, as_one: np.ndarray) -> None:
    """Of the objects that one part holds on both sides of a face, parts join 98 of 100 across it."""
    labels = np.asarray(zarr.open(str(in_parts))["0"])
    shares = []
    for axis, face in ((0, 3), (0, 6), (1, 256), (1, 512), (2, 256), (2, 512)):
        first, second = (np.take(as_one, at, axis) for at in (face - 1, face))
        joined = np.take(labels, face - 1, axis) == np.take(labels, face, axis)
        through = (first == second) & (first > 0)
        pixels = np.bincount(first[through])
        share = np.bincount(first[through], joined[through]) / np.maximum(pixels, 1)
        shares.append(share[pixels > 50])
    assert (np.concatenate(shares) > 0.5).mean() > 0.98


def test_objects_go_on_behind_a_bad_slice(in_parts: Path) -> None:
    labels, ids = np.asarray(zarr.open(str(in_parts))["0"]), tissue().labels
    assert not labels[4].any()
    same = (ids[3] == ids[5]) & (ids[3] > 0)
    assert (labels[3] == labels[5])[same].mean() > 0.9


def test_labels_lie_where_the_boundaries_lie(in_parts: Path) -> None:
    opened = open_volume(in_parts)
    assert opened.voxel_size == (30, 6, 6)
    assert opened.translation == (300, 0, 0)
    assert opened.data.dtype == np.uint32
    assert len(opened.levels) == 2
    assert read_attributes(in_parts)["settings"]["solver"] == "multicut"
    assert "image-label" in zarr.open(str(in_parts)).attrs["ome"]


def test_a_box_counts_voxels_of_the_volume(boundaries: Path, tmp_path: Path) -> None:
    roi = Roi(z=(10, 12), y=(100, 300))
    labels = dtn.segment(boundaries, tmp_path / "labels.zarr", roi=roi)
    assert labels.shape == (2, 200, 600)
    assert labels.origin == (10, 100, 0)


def test_a_box_outside_names_what_there_is(boundaries: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="z range 0:5 does not fit: the boundaries cover 10:19"):
        dtn.segment(boundaries, tmp_path / "labels.zarr", roi=Roi(z=(0, 5)))


def test_labels_that_are_there_are_kept(boundaries: Path, in_parts: Path) -> None:
    with pytest.raises(FileExistsError, match="--overwrite"):
        dtn.segment(boundaries, in_parts)


KILLED = """
import os, signal, sys
from importlib import import_module
from napari_dtn.segmenting import segment_steps
from napari_dtn.settings import SegmentSettings
module, name = sys.argv[3].rsplit(".", 1)
module, real, calls = import_module(module), getattr(import_module(module), name), []
def killed(*args, **kwargs):
    calls.append(None)
    result = real(*args, **kwargs)
    if len(calls) == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(module, name, killed)
settings = SegmentSettings(part_slices=3, part_side=256)
list(segment_steps(sys.argv[1], sys.argv[2], settings=settings))
"""


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("napari_dtn.segmenting.work.seeded_fragments", 20),
        ("napari_dtn.segmenting.work.save_borders", 5),
        ("napari_dtn.segmenting.running.merge_probabilities", 1),
        ("napari_dtn.segmenting.running.write_labels", 1),
    ],
)
def test_killed_and_gone_on_with(
    function: str, call: int, boundaries: Path, in_parts: Path, tmp_path: Path
) -> None:
    output = tmp_path / "labels.zarr"
    ended = run_program(KILLED, boundaries, output, function, call)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not output.exists()
    labels_of(boundaries, output, IN_PARTS)
    assert files_in(output) == files_in(in_parts)
    assert [entry.name for entry in tmp_path.iterdir()] == ["labels.zarr"]


def test_other_settings_do_not_go_on_with_unfinished_work(boundaries: Path, tmp_path: Path) -> None:
    steps = segment_steps(boundaries, tmp_path / "labels.zarr", settings=IN_PARTS)
    next(steps)
    with pytest.raises(ValueError, match=r"otherwise: settings\.part_side was 256 and is 1024; settings\."):
        segment_steps(boundaries, tmp_path / "labels.zarr", settings=AS_ONE)
    facts = json.loads((tmp_path / "labels.zarr.unfinished" / "facts.json").read_text())
    assert facts["settings"]["part_slices"] == 3


def test_what_is_recorded_as_done_is_on_the_disk(
    boundaries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chunks() -> set[Path]:
        return {file for file in tmp_path.rglob("fragments.zarr/c/**/*") if file.is_file()}

    done: list[tuple[str, int]] = []
    made: set[Path] = set()

    def spy(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def spied(*arguments: Any) -> Any:
            done.append((name, len(chunks())))
            return real(*arguments)

        monkeypatch.setattr(owner, name, spied)

    def durable(folder: Path, files: Iterable[Path]) -> None:
        made.update(files)
        make_durable(folder, made)

    monkeypatch.setattr(work, "make_durable", durable)
    for owner, name in ((work, "make_durable"), (os, "fsync"), (Path, "replace")):
        spy(owner, name)
    steps = segment_steps(boundaries, tmp_path / "labels.zarr", settings=IN_PARTS)
    next(steps)
    assert done[-3:] == [("make_durable", 3), ("fsync", 3), ("replace", 3)]
    assert made == chunks()


@pytest.mark.slow
def test_a_lost_worker_is_replaced_and_the_labels_are_those_of_one_process(
    boundaries: Path, in_parts: Path, tmp_path: Path
) -> None:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        before, killed = client.run(os.getpid), False
        address = cluster.scheduler_address
        for event in segment_steps(
            boundaries, tmp_path / "labels.zarr", settings=IN_PARTS, scheduler=address
        ):
            if not killed and event.done >= event.total / 4:  # half of the parts are cut
                os.kill(next(iter(before.values())), signal.SIGKILL)
                killed = True
        assert killed
    assert files_in(tmp_path / "labels.zarr") == files_in(in_parts)


def test_workers_make_the_same_labels(boundaries: Path, in_parts: Path, tmp_path: Path) -> None:
    labels_of(boundaries, tmp_path / "labels.zarr", IN_PARTS, workers=2)
    assert files_in(tmp_path / "labels.zarr") == files_in(in_parts)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_labels_go_into_an_image(boundaries: Path, tmp_path: Path, version: str) -> None:
    image = tmp_path / "image.zarr"
    write_image(
        image,
        tissue().image[:2, :200, :200],
        voxel_size=(30, 6, 6),
        translation=(300, 0, 0),
        attributes={},
        version=version,
    )
    region = ["--z", "10:12", "--y", "0:200", "--x", "0:200"]
    assert main(["segment", str(boundaries), "--into", str(image), "--image", str(image), *region]) == 0
    listed = zarr.open(str(image / "labels"))
    assert (listed.attrs["ome"] if version == "0.5" else listed.attrs)["labels"] == ["objects"]
    assert listed["objects"].metadata.zarr_format == listed.metadata.zarr_format
    assert listed.metadata.zarr_format == (3 if version == "0.5" else 2)
    labels = open_volume(image / "labels" / "objects")
    assert labels.shape == (2, 200, 200)
    assert (
        main(
            [
                "evaluate",
                str(image / "labels" / "objects"),
                str(image / "labels" / "objects"),
                "--kind",
                "labels",
            ]
        )
        == 0
    )


def test_labels_need_one_place(boundaries: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", str(boundaries)]) == 2
    assert "--into IMAGE.zarr" in capsys.readouterr().err


def test_labels_lie_where_boundaries_of_a_coarser_level_lie(tmp_path: Path) -> None:
    """Its first voxel's middle is no multiple of a voxel's side away from the origin."""
    path, output = tmp_path / "coarse.zarr", tmp_path / "labels.zarr"
    values = np.random.default_rng(0).integers(0, 255, (2, 64, 64), dtype=np.uint8)
    write_image(path, values, voxel_size=(30, 8, 8), translation=(60, 2, 2), attributes={})
    labels_of(path, output, AS_ONE)
    assert open_volume(output).translation == (60, 2, 2)
    part = tmp_path / "part.zarr"
    labels_of(path, part, AS_ONE, roi=Roi(y=(16, 48)))
    assert open_volume(part).translation == (60, 2 + 16 * 8, 2)


def test_labels_that_cannot_be_replaced_are_refused_before_any_work(boundaries: Path, tmp_path: Path) -> None:
    output = tmp_path / "labels.zarr"
    labels_of(boundaries, output, AS_ONE, roi=Roi(z=(10, 12), y=(0, 64), x=(0, 64)))
    (output / "notes.txt").write_text("precious")
    with pytest.raises(FileExistsError, match=r"also holds notes.txt"):
        segment_steps(boundaries, output, settings=AS_ONE, overwrite=True)
    assert not output.with_name("labels.zarr.unfinished").exists()


def test_labels_are_not_written_over_boundaries(boundaries: Path) -> None:
    before = files_in(boundaries)
    with pytest.raises(ValueError, match="which is read"):
        segment_steps(boundaries, boundaries, overwrite=True)
    assert files_in(boundaries) == before
