"""Bad slices that were put in are found, and good ones are left alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import GzipCodec, ZstdCodec

from napari_dtn.phantom import PhantomSettings, make_phantom
from napari_dtn.volume.defects import (
    BadSlice,
    SliceStatistics,
    check_slices,
    estimate_shift,
    find_bad_slices,
    repeated,
    without_contrast,
)
from napari_dtn.volume.opening import Volume, open_volume, volume_from_array
from napari_dtn.volume.samples import Sampler
from napari_dtn.words import bad_slice_words, bad_slices_words, checked_words


@pytest.fixture(scope="module")
def em() -> np.ndarray:
    """Sixteen sections of a synthetic tissue, which is larger than they are."""
    return make_phantom(PhantomSettings(shape=(16, 256, 240))).image


def found(image: np.ndarray, most: int = 500) -> dict[int, BadSlice]:
    return {bad.z: bad for bad in find_bad_slices(volume_from_array(image), most).bad}


def test_a_good_stack_has_none(em: np.ndarray):
    assert found(em) == {}


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_every_kind_is_found(em: np.ndarray, dtype: str):
    image = (em.astype("f4") * (250 if dtype == "u2" else 1)).astype(dtype)
    top = image.max()
    image[2] = 0
    image[4] = np.where(image[4] > image[4].mean() * 0.8, top, image[4])
    image[6] = image[5].mean()
    image[9] = image[8]
    image[12] = np.roll(image[12], (30, -40), (0, 1))
    bad = found(image)
    assert {z: one.kind for z, one in bad.items()} == {
        2: "black",
        4: "saturated",
        6: "blank",
        9: "duplicated",
        12: "shifted",
    }
    assert bad[2].share == 1
    assert bad[4].share > 0.5
    assert bad[9].reference == 8
    assert bad[12].reference == 11
    assert bad[12].shift == pytest.approx((30, -40), abs=6)  # neighbouring sections are not alike either


def test_a_slice_lost_in_part_is_black(em: np.ndarray):
    image = em.copy()
    image[7, :, :130] = 0
    assert found(image)[7] == BadSlice(7, "black", pytest.approx(130 / 240, abs=0.05))


def test_brighter_and_dimmer_slices_are_good(em: np.ndarray):
    image = em.astype("f4")
    image[3], image[8], image[11] = image[3] * 1.3, image[8] * 0.6, image[11] + 40
    assert found(np.clip(image, 0, 255).astype("u1")) == {}


def test_a_black_border_of_every_slice_is_no_defect(em: np.ndarray):
    image = np.pad(em, [(0, 0), (120, 0), (0, 150)])
    assert found(image) == {}
    image[5] = 0
    assert [(bad.z, bad.kind) for bad in found(image).values()] == [(5, "black")]


def test_the_same_section_imaged_again_is_a_duplicate(em: np.ndarray):
    image = em.astype("f4")
    noise = np.random.default_rng(0).normal(0, 3, em.shape[1:])
    image[10] = image[9] * 0.8 + 20 + noise
    assert {z: bad.kind for z, bad in found(image).items()} == {10: "duplicated"}


def test_a_stack_that_goes_on_elsewhere_is_named_once(em: np.ndarray):
    image = em.copy()
    image[9:] = np.roll(image[9:], (-28, 36), (1, 2))
    assert {z: bad.kind for z, bad in found(image).items()} == {9: "shifted"}


def test_a_shift_is_measured_across_a_lost_slice(em: np.ndarray):
    image = em.copy()
    image[6] = 0
    image[7] = np.roll(image[7], (0, 40), (0, 1))
    bad = found(image)
    assert {z: one.kind for z, one in bad.items()} == {6: "black", 7: "shifted"}
    assert bad[7].reference == 5


def test_an_unreadable_slice_is_named_and_the_rest_goes_on(tmp_path: Path, em: np.ndarray):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, em, compression="zlib")
    with tifffile.TiffFile(path) as tif:
        start, count = tif.pages[3].dataoffsets[0], tif.pages[3].databytecounts[0]
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * count)
    report = find_bad_slices(open_volume(path))
    assert [(bad.z, bad.kind) for bad in report.bad] == [(3, "unreadable")]


@pytest.mark.parametrize("codec", [ZstdCodec, GzipCodec])
def test_so_is_one_of_an_array_that_nobody_opened_here(tmp_path: Path, em: np.ndarray, codec: type):
    chunks = (1, *em.shape[1:])
    array = zarr.create_array(tmp_path / "a", shape=em.shape, chunks=chunks, dtype="u1", compressors=codec())
    array[:] = em
    chunk = tmp_path / "a" / "c" / "3" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:500])
    report = find_bad_slices(volume_from_array(da.from_zarr(array)))
    assert [(bad.z, bad.kind) for bad in report.bad] == [(3, "unreadable")]


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_volume_of_one_value_is_all_bad(value: int):
    assert len(found(np.full((4, 40, 40), value, np.uint8))) == 4


def test_slices_that_have_nothing_in_common_are_not_shifted():
    assert found(np.random.default_rng(0).integers(30, 220, (12, 90, 70), dtype=np.uint8)) == {}


def test_one_slice_can_be_judged(em: np.ndarray):
    assert found(em[:1]) == {}
    assert found(np.full((1, 8, 8), np.nan, np.float32)).keys() == {0}


@given(z=st.integers(1, 15), y=st.integers(-60, 60), x=st.integers(-60, 60))
@settings(max_examples=15, deadline=None)
def test_any_strong_shift_is_found(em: np.ndarray, z: int, y: int, x: int):
    image = em.copy()
    image[z] = np.roll(image[z], (y, x), (0, 1))
    strong = max(abs(y), abs(x))
    if strong >= 20:
        assert z in found(image)
    elif strong == 0:
        assert found(image) == {}


@given(y=st.integers(-30, 30), x=st.integers(-30, 30), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_shifts_are_measured_to_the_pixel(y: int, x: int, seed: int):
    whole = np.random.default_rng(seed).normal(size=(2, 160, 150)).astype("f4")
    fixed, moved = whole[:, 30:130, 30:120], whole[:, 30 - y : 130 - y, 30 - x : 120 - x]
    assert estimate_shift(fixed, moved) == (y, x)


# ---- what is looked at


class Counting:
    """An array that counts what is read from it, and how much at once."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape, self.dtype, self.ndim = shape, np.dtype(np.uint8), 3
        self.read = self.largest = 0

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        part = np.broadcast_to(np.uint8(0), self.shape)[key]
        self.read += part.size
        self.largest = max(self.largest, part.size)
        return np.random.default_rng(self.read).integers(0, 255, part.shape, dtype=np.uint8)


def test_work_is_bounded_however_large_the_volume():
    source = Counting((2_000, 8192, 8192))
    lazy = da.from_array(source, chunks=(1, 2048, 2048), meta=np.empty((0, 0, 0), np.uint8))
    volume = Volume((lazy,), None, "large")
    report = find_bad_slices(volume, most=16)
    assert (report.checked, report.slices, report.windows, report.side) == (16, 2_000, 4, 512)
    assert source.largest <= 512 * 512
    assert source.read == 16 * 4 * 512 * 512


def test_a_coarser_level_is_looked_at_where_there_is_one(em: np.ndarray):
    fine = np.kron(em, np.ones((1, 8, 8), np.uint8))
    fine[5] = np.roll(fine[5], (240, 0), (0, 1))
    levels = tuple(da.from_array(fine[:, ::by, ::by]) for by in (1, 8))
    report = find_bad_slices(Volume(levels, (30, 6, 6), "em"))
    assert (report.level, report.windows) == (1, 1)
    (bad,) = report.bad
    assert bad.shift == pytest.approx((240, 0), abs=48)  # pixels of the finest level
    assert checked_words(report) == "16 of 16 slices, each as a whole at level 1"


def test_slices_are_spread_in_runs():
    volume = volume_from_array(da.zeros((1000, 8, 8), dtype=np.uint8))
    slices = Sampler.of(volume, 80).slices
    assert len(slices) == 80
    assert (slices[0], slices[-1]) == (0, 999)
    assert sum(b - a == 1 for a, b in pairwise(slices)) == 70
    assert Sampler.of(volume, 1000).slices == tuple(range(1000))


def test_the_search_reports_every_slice(em: np.ndarray):
    checks = list(check_slices(volume_from_array(em)))
    assert [check.done for check in checks] == [*range(1, 17), 16]
    assert [check.report is None for check in checks] == [True] * 16 + [False]


# ---- judgements from statistics alone


def statistics(z: int, low: float = 10, high: float = 200, **more: float) -> SliceStatistics:
    more = {"contrast": 40.0, "likeness": 0.5} | more
    return SliceStatistics(z, np.linspace(low, high, 101), **more)


def test_judgements_are_relative_to_the_volume():
    usual = [statistics(z) for z in range(9)]
    assert without_contrast(usual) == repeated(usual, set()) == []
    dark = replace(usual[4], percentiles=np.linspace(10, 11, 101), contrast=1.0)
    assert without_contrast([*usual[:4], dark, *usual[5:]]) == [BadSlice(4, "black", 1.0)]
    alike = [replace(one, likeness=0.97) for one in usual]
    assert repeated(alike, set()) == []  # isotropic data: every slice is like the next
    assert repeated([*alike[:4], replace(alike[4], likeness=0.999), *alike[5:]], set()) == [
        BadSlice(4, "duplicated", reference=3)
    ]
    assert repeated([*usual[:4], replace(usual[4], likeness=1.0), *usual[5:]], {3}) == []


def test_words():
    bad = BadSlice(12, "black", 0.4), BadSlice(34, "duplicated", reference=33), BadSlice(9, "blank")
    moved = BadSlice(55, "shifted", reference=54, shift=(28.0, -40.0))
    assert [bad_slice_words(one) for one in (*bad, moved)] == [
        "12 black (40 %)",
        "34 repeats 33",
        "9 blank",
        "55 shifted by 28, -40 px against 54",
    ]
    report = find_bad_slices(volume_from_array(np.zeros((1, 8, 8), np.uint8)))
    assert bad_slices_words(report) == "1 bad slice: 0 black (100 %)"
    assert bad_slices_words(replace(report, bad=())) == "No bad slices"


# ---- real volumes


def test_snemi3d(shared_data: Path):
    """Sections 33 and 34 are one section imaged twice: every vesicle is at the same place in both."""
    report = find_bad_slices(open_volume(shared_data / "snemi3d" / "train-input.tif"))
    assert report.bad == (BadSlice(34, "duplicated", reference=33),)


def test_isbi_2012(shared_data: Path):
    """Five jumps, each seen in an overlay of the two sections; membranes meet once the shift is undone."""
    report = find_bad_slices(open_volume(shared_data / "isbi2012" / "train-volume.tif"))
    assert [(bad.z, bad.kind) for bad in report.bad] == [(z, "shifted") for z in (10, 18, 24, 26, 29)]
