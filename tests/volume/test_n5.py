"""N5 built byte by byte to its specification opens through tensorstore."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_dtn.volume.formats import sniff
from napari_dtn.volume.opening import open_volume, volumes_in
from support import files
from support.volumes import check, stack

ANY = st.tuples(
    st.sampled_from(["u1", "u2", "u8", "i2", "f4", "f8"]),
    st.tuples(st.integers(1, 5), st.integers(1, 20), st.integers(1, 20)),
).flatmap(lambda drawn: arrays(*drawn))


@given(
    image=ANY,
    block=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    compression=st.sampled_from(["raw", "gzip"]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_stack(tmp_path_factory, image: np.ndarray, block, compression: str):
    path = files.n5(tmp_path_factory.mktemp("any") / "a.n5" / "raw", image, block, compression)
    check(open_volume(path), image)


def test_blocks_that_are_not_there_are_zero(tmp_path: Path):
    path = files.n5(tmp_path / "raw", stack((4, 20, 30)), (2, 10, 10))
    (path / "0" / "1" / "0").unlink()
    expected = stack((4, 20, 30))
    expected[:2, 10:20, :10] = 0
    check(open_volume(path), expected)


SIZE, SHIFT = (40.0, 8.0, 4.0), (120.0, 16.0, 12.0)
LAST, FIRST = list(SIZE[::-1]), list(SHIFT[::-1])


@pytest.mark.parametrize(
    ("attributes", "shift"),
    [
        ({"resolution": LAST, "offset": FIRST}, SHIFT),  # Paintera
        ({"resolution": [0.004, 0.008, 0.04], "units": ["um"] * 3}, (0, 0, 0)),
        ({"pixelResolution": {"dimensions": [0.004, 0.008, 0.04], "unit": "µm"}}, (0, 0, 0)),  # n5-viewer
        (  # COSEM
            {
                "transform": {
                    "axes": ["z", "y", "x"],
                    "scale": list(SIZE),
                    "translate": list(SHIFT),
                    "units": ["nm"] * 3,
                }
            },
            SHIFT,
        ),
        ({"axes": ["x", "y", "z"], "resolution": LAST, "units": ["nm"] * 3}, (0, 0, 0)),  # n5-ij
    ],
)
@pytest.mark.parametrize("of_group", [False, True])
def test_voxel_size(tmp_path: Path, attributes: dict, shift, of_group: bool):
    path = files.n5(tmp_path / "a.n5" / "raw", stack(), (2, 8, 8), **({} if of_group else attributes))
    if of_group:
        (path.parent / "attributes.json").write_text(json.dumps({"n5": "4.0.0", **attributes}))
    volume = open_volume(path)
    assert volume.voxel_size == pytest.approx(SIZE)
    assert volume.translation == pytest.approx(shift)
    assert volume.name == "raw"


def pyramid(folder: Path) -> list[np.ndarray]:
    fine = stack((4, 32, 48))
    levels = [fine, fine[:, ::2, ::2], fine[:, ::4, ::4]]
    for number, level in enumerate(levels):
        factors = {"downsamplingFactors": [2**number, 2**number, 1]} if number else {}
        files.n5(folder / f"s{number}", level, (2, 8, 8), **factors)
    (folder / "attributes.json").write_text(json.dumps({"multiScale": True, "resolution": LAST}))
    return levels


def test_levels(tmp_path: Path):
    levels = pyramid(tmp_path / "em.n5" / "volumes" / "raw")
    for path in (tmp_path / "em.n5", f"{tmp_path}/em.n5::/volumes/raw", tmp_path / "em.n5" / "volumes"):
        volume = open_volume(path)
        assert volume.voxel_size == SIZE
        for found, level in zip(volume.levels, levels, strict=True):
            np.testing.assert_array_equal(found, level)
    coarse = open_volume(tmp_path / "em.n5" / "volumes" / "raw" / "s1")
    check(coarse, levels[1])
    assert coarse.voxel_size == (40, 16, 8)


def test_a_group_lists_what_it_holds(tmp_path: Path):
    pyramid(tmp_path / "em.n5" / "raw")
    files.n5(tmp_path / "em.n5" / "ids", stack(dtype="u8"), (2, 8, 8))
    for name in ("", "::/nothing"):
        with pytest.raises(ValueError, match="needs the path of a dataset in it; it holds"):
            open_volume(f"{tmp_path}/em.n5{name}")
    with pytest.raises(ValueError, match=r"ids \(5, 20, 30\), raw \(4, 32, 48\)"):
        open_volume(tmp_path / "em.n5")
    assert volumes_in(tmp_path / "em.n5") == [f"{tmp_path}/em.n5/{name}" for name in ("ids", "raw")]


def test_channels_are_chosen(tmp_path: Path):
    image = stack((2, 4, 20, 30))
    path = files.n5(tmp_path / "raw", image, (1, 2, 8, 8))
    check(open_volume(path, channel=1), image[1])
    named = files.n5(tmp_path / "t", image, (1, 2, 8, 8), axes=["x", "y", "z", "t"])
    check(open_volume(named, time=1), image[1])


@pytest.mark.parametrize(
    "key", [(3, slice(5, 9), slice(0, 30, 3)), slice(0, 0), [4, 1, 1], (..., slice(None, None, -2))]
)
def test_parts_are_those_of_the_whole(tmp_path: Path, key):
    path = files.n5(tmp_path / "raw", stack(), (2, 8, 8))
    np.testing.assert_array_equal(open_volume(path).data[key], stack()[key])


def test_damage_is_named(tmp_path: Path):
    path = files.n5(tmp_path / "a.n5" / "raw", stack(), (5, 20, 30))
    volume = open_volume(path)
    (path / "0" / "0" / "0").write_bytes(b"short")
    with pytest.raises(ValueError, match="raw cannot be read; is it damaged"):
        volume.data[0].compute()
    (path / "attributes.json").write_text('{"dimensions": [1, 2')
    with pytest.raises(ValueError, match="raw cannot be read; is it damaged"):
        open_volume(path)


def test_the_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = files.n5(tmp_path / "a.n5", stack(), (5, 20, 30))
    monkeypatch.setitem(sys.modules, "tensorstore", None)
    assert sniff(path)
    with pytest.raises(ValueError, match=r"a\.n5 needs a package: pip install 'napari-dtn\[n5\]'"):
        open_volume(path)


def test_a_resolution_in_an_unstated_unit_is_none(tmp_path: Path):
    """BigDataViewer states it in the unit of its XML file, µm as a rule; Paintera in nm."""
    stated = {"multiScale": True, "resolution": [0.004, 0.008, 0.04]}
    assert open_volume(files.n5(tmp_path / "a.n5" / "raw", stack(), (2, 8, 8), **stated)).voxel_size is None
