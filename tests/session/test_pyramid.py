"""Labels of a session and their coarser levels: after any edits, what a pyramid made anew would be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_dtn.segment.patches import patch_between
from napari_dtn.session import ClickSession
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.volume.opening import open_volume, volume_from_array
from napari_dtn.volume.writing import write_labels

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (3, 1101, 1300)  # three levels, odd on the way


def open_session(folder: Path) -> ClickSession:
    volume = volume_from_array(np.broadcast_to(np.zeros((), np.uint8), SHAPE), (30, 6, 6), "em")
    boundaries = StoredBoundaries(np.broadcast_to(np.zeros((), np.uint8), SHAPE), SHAPE)
    return ClickSession(volume, boundaries=boundaries, folder=folder)


@pytest.fixture
def session(tmp_path: Path):
    session = open_session(tmp_path / "s")
    yield session
    session.close()


def paint(session: ClickSession, z: int, y: int, x: int, rng: np.random.Generator) -> None:
    before = np.asarray(session.labels[z, y : y + 90, x : x + 131])
    after = np.kron(rng.integers(0, 4, (45, 66)), np.ones((2, 2))).astype(np.uint32)
    after = after[: before.shape[0], : before.shape[1]]
    session.objects.record("paint", [patch_between(z, (y, x), before, after)])


def expected(session: ClickSession, folder: Path) -> list[np.ndarray]:
    write_labels(folder / "fresh.zarr", session.labels[:], voxel_size=None, attributes={}, overwrite=True)
    return [level.compute() for level in open_volume(folder / "fresh.zarr").levels]


def assert_followed(session: ClickSession, folder: Path) -> None:
    oracle = expected(session, folder)
    assert len(session.levels) == len(oracle) == 3
    for level, wanted in zip(session.levels, oracle, strict=True):
        np.testing.assert_array_equal(level[:], wanted)


def test_levels_follow_edits_undo_and_redo(session: ClickSession, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    places = [(0, 3, 5), (0, 40, 60), (2, 1011, 1169), (1, 501, 700)]
    for place in places:
        paint(session, *place, rng)
    assert list(session.follow()) == [2, 1, 0]
    assert_followed(session, tmp_path)
    for change in (session.undo, session.undo, session.redo):
        assert change()
        assert list(session.follow())
        assert_followed(session, tmp_path)
    assert list(session.follow()) == []


def test_only_what_changed_is_read_and_written(session: ClickSession) -> None:
    paint(session, 1, 600, 700, np.random.default_rng(1))
    session.levels[1][0] = 7  # would be made right by whoever looks at all of it
    assert list(session.follow()) == [0]
    assert (session.levels[1][0] == 7).all()


def test_a_session_that_is_left_is_read_back_with_all_levels(session: ClickSession, tmp_path: Path) -> None:
    paint(session, 1, 600, 700, np.random.default_rng(2))
    session.leave()
    assert not open_volume(session.folder / "objects.zarr").levels[2].compute().any()
    open_session(session.folder).close()
    levels = open_volume(session.folder / "objects.zarr").levels
    for level, wanted in zip(levels, expected(session, tmp_path), strict=True):
        np.testing.assert_array_equal(level.compute(), wanted)
    assert levels[2].compute().any()


PAINTING = """
import sys, numpy as np
from pathlib import Path
from session.test_pyramid import open_session, paint
session = open_session(Path(sys.argv[1]))
rng = np.random.default_rng(3)
for number in range(10**6):
    paint(session, number % 3, int(rng.integers(0, 1000)), int(rng.integers(0, 1160)), rng)
    for _ in session.follow():
        print(number, flush=True)
"""


def test_killed_while_it_follows_it_is_repaired_at_the_next_opening(tmp_path: Path, project: Path) -> None:
    command = [sys.executable, "-c", PAINTING, str(tmp_path / "s")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(project / "tests"), *sys.path])}
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    for _ in range(5):
        assert run.stdout.readline()
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    session = open_session(tmp_path / "s")
    for _ in session.follow():
        pass
    assert_followed(session, tmp_path)
    assert session.labels[:].any()
    session.close()
