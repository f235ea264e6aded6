"""Neuroglancer precomputed, built byte by byte to its specification, opens through tensorstore."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_dtn.volume.formats import sniff
from napari_dtn.volume.opening import open_volume
from support import files
from support.volumes import check, stack


@given(
    image=st.tuples(
        st.sampled_from(["u1", "u2", "u4", "u8", "f4"]),
        st.tuples(st.integers(1, 5), st.integers(1, 20), st.integers(1, 20)),
    ).flatmap(lambda drawn: arrays(*drawn)),
    chunk=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    offset=st.tuples(*[st.integers(0, 100)] * 3),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_stack(tmp_path_factory, image: np.ndarray, chunk, offset):
    path = files.precomputed(tmp_path_factory.mktemp("any") / "em", [image], chunk, (30, 8, 4), offset)
    volume = open_volume(path)
    check(volume, image)
    assert volume.voxel_size == (30, 8, 4)
    assert volume.origin == pytest.approx(offset)


def test_scales_are_levels(tmp_path: Path):
    fine = stack((4, 32, 48), "u2")
    levels = [fine, fine[:, ::2, ::2], fine[:, ::4, ::4]]
    path = files.precomputed(tmp_path / "em", levels, (2, 8, 8), offset=(4, 8, 16))
    for spelling in (path, f"precomputed://{path}", f"precomputed://file://{path}"):
        volume = open_volume(spelling)
        assert (volume.voxel_size, volume.origin) == ((30, 6, 6), (4, 8, 16))
        for found, level in zip(volume.levels, levels, strict=True):
            np.testing.assert_array_equal(found, level)


def test_damage_is_named(tmp_path: Path):
    path = files.precomputed(tmp_path / "em", [stack()], (5, 20, 30))
    volume = open_volume(path)
    (path / "6_6_30" / "0-30_0-20_0-5").write_bytes(b"short")
    with pytest.raises(ValueError, match="em cannot be read; is it damaged"):
        volume.data[0].compute()


def test_a_file_called_info_is_not_enough(tmp_path: Path):
    (tmp_path / "info").write_text("something else")
    assert not sniff(tmp_path)


def test_the_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = files.precomputed(tmp_path / "em", [stack()], (5, 20, 30))
    monkeypatch.setitem(sys.modules, "tensorstore", None)
    with pytest.raises(ValueError, match=r"em needs a package: pip install 'napari-dtn\[precomputed\]'"):
        open_volume(path)


def test_chunks_that_are_compressed_files_are_refused(tmp_path: Path):
    path = Path(files.precomputed(tmp_path / "em", [stack((4, 8, 8), "u1")], (4, 8, 8)))
    chunk = next(one for one in path.rglob("*") if one.is_file() and one.name != "info")
    chunk.rename(chunk.with_name(chunk.name + ".gz"))
    with pytest.raises(ValueError, match=r"holds compressed chunks, .*gunzip"):
        open_volume(path)
