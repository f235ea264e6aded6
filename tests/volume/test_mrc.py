"""MRC built word by word to MRC2014, and by mrcfile, opens with its voxel size."""

from __future__ import annotations

import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_dtn.volume.opening import open_volume
from support import files
from support.volumes import check, stack

SIZE = (5.0, 2.0, 1.5)


@given(
    image=st.tuples(
        st.sampled_from(["i1", "i2", "u2", "f4", "f2"]),
        st.tuples(st.integers(1, 5), st.integers(1, 20), st.integers(1, 20)),
    ).flatmap(lambda drawn: arrays(*drawn)),
    order=st.sampled_from("<>"),
    extended=st.binary(max_size=200),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_stack(tmp_path_factory, image: np.ndarray, order: str, extended: bytes):
    path = files.mrc(tmp_path_factory.mktemp("any") / "a.mrc", image, SIZE, order, extended=extended)
    volume = open_volume(path)
    check(volume, image)
    assert volume.voxel_size == pytest.approx(SIZE, rel=1e-6)
    assert volume.name == "a"


@pytest.mark.parametrize("dtype", ["i1", "i2", "u2", "f4"])
def test_a_file_of_mrcfile(tmp_path: Path, dtype: str):
    image = (stack() // 2).astype(dtype)
    with mrcfile.new(tmp_path / "a.rec") as file:
        file.set_data(image)
        file.voxel_size = (15, 20, 50)  # Angstrom, X first
    volume = open_volume(tmp_path / "a.rec")
    check(volume, image)
    assert volume.voxel_size == pytest.approx(SIZE)


def test_a_file_without_a_cell_states_no_voxel_size(tmp_path: Path):
    files.mrc(tmp_path / "a.mrc", stack(dtype="i2"), (0, 0, 0))
    assert open_volume(tmp_path / "a.mrc").voxel_size is None


def test_sections_can_lie_along_any_axis(tmp_path: Path):
    image = stack(dtype="i2")  # of sections, rows, columns
    volume = open_volume(files.mrc(tmp_path / "a.mrc", image, SIZE, axes=(3, 1, 2)))
    np.testing.assert_array_equal(volume.data, image.transpose(2, 0, 1))  # columns are Z, sections are Y
    assert volume.voxel_size == pytest.approx(SIZE)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("flags", "dtype"), [(0, "u1"), (1, "i1")])
def test_bytes_of_imod_are_unsigned_unless_it_says_otherwise(
    tmp_path: Path, order: str, flags: int, dtype: str
):
    image = stack(dtype=dtype)
    check(open_volume(files.mrc(tmp_path / "a.st", image, SIZE, order, imod=flags)), image)


def test_only_the_rows_asked_for_are_read(tmp_path: Path):
    image = stack((4, 50, 30), "i2")
    path = files.mrc(tmp_path / "a.mrc", image, SIZE)
    volume = open_volume(path)
    with path.open("r+b") as file:  # what lies before and after is gone
        content = file.read()
        start = 1024 + 2 * 30 * (2 * 50 + 7)
        file.seek(0)
        file.write(bytes(start) + content[start : start + 2 * 30 * 5] + bytes(len(content)))
    np.testing.assert_array_equal(volume.data[2, 7:12, 3:9], image[2, 7:12, 3:9])
    assert not volume.data[2, :7].compute().any()


@pytest.mark.parametrize("size", [0, 500, 1024, 2000])
def test_an_incomplete_file_is_named(tmp_path: Path, size: int):
    path = files.mrc(tmp_path / "a.mrc", stack(dtype="f4"), SIZE)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"a\.mrc (is incomplete|cannot be read)"):
        open_volume(path)


def test_several_volumes_in_a_file_are_refused(tmp_path: Path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(stack((2, 3, 20, 30), "f4"))
    with pytest.raises(ValueError, match="holds 2 volumes; save one of them by itself"):
        open_volume(tmp_path / "a.mrc")


def test_the_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = files.mrc(tmp_path / "a.mrc", stack(dtype="i2"), SIZE)
    monkeypatch.setitem(sys.modules, "mrcfile", None)
    with pytest.raises(ValueError, match=r"a\.mrc needs a package: pip install 'napari-dtn\[mrc\]'"):
        open_volume(path)
