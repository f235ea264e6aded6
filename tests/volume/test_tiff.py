"""TIFF files written by tifffile open lazily, with their axes and their voxel size."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from napari_dtn.volume.opening import open_volume
from support.volumes import check, stack


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"compression": "zlib", "rowsperstrip": 3},
        {"bigtiff": True, "tile": (16, 16), "compression": "zlib"},
        {"byteorder": ">"},
        {"volumetric": True, "tile": (16, 16, 16)},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "metadata": {"axes": "ZYX"}},
        {"metadata": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("as_path", [str, Path])
def test_tiff_stacks(tmp_path: Path, options: dict, as_path):
    expected = stack(dtype="u2")
    tifffile.imwrite(tmp_path / "stack.tif", expected, photometric="minisblack", **options)
    volume = open_volume(as_path(tmp_path / "stack.tif"))
    check(volume, expected)
    assert (volume.name, volume.path) == ("stack", str(tmp_path / "stack.tif"))
    assert (volume.voxel_size, volume.translation) == (None, (0, 0, 0))


def test_pages_written_one_by_one_without_any_metadata(tmp_path: Path):
    expected = stack()
    with tifffile.TiffWriter(tmp_path / "plain.tif") as writer:
        for plane in expected:
            writer.write(plane, metadata=None, contiguous=False, photometric="minisblack")
    check(open_volume(tmp_path / "plain.tif"), expected)


def test_one_page_that_is_a_whole_stack(tmp_path: Path):
    """ImageJ writes stacks over 4 GB as one page, followed by the pixels of the others."""
    expected = stack(dtype="u2")
    tifffile.imwrite(tmp_path / "ij.tif", expected, imagej=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(tmp_path / "ij.tif", mode="r+b") as tif:
        page = tif.pages[0]
        end = page.offset + 2 + 12 * len(page.tags)
        tif.filehandle.seek(end)
        tif.filehandle.write(b"\0\0\0\0")
    with tifffile.TiffFile(tmp_path / "ij.tif") as tif:
        assert len(tif.pages) == 1
    check(open_volume(tmp_path / "ij.tif"), expected)


def test_one_image_is_one_slice(tmp_path: Path):
    expected = stack((20, 30))
    tifffile.imwrite(tmp_path / "one.tif", expected)
    iio.imwrite(tmp_path / "one.png", expected)
    check(open_volume(tmp_path / "one.tif"), expected[None])
    check(open_volume(tmp_path / "one.png"), expected[None])


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("nm", 1), ("um", 1e-3), ("micron", 1e-3), ("\\u00B5m", 1e-3), ("mm", 1e-6)],
)
def test_voxel_size_of_imagej(tmp_path: Path, unit: str, factor: float):
    resolution = (1 / (6 * factor), 1 / (4 * factor))
    metadata = {"axes": "ZYX", "spacing": 30 * factor, "unit": unit}
    tifffile.imwrite(tmp_path / "ij.tif", stack(), imagej=True, resolution=resolution, metadata=metadata)
    assert open_volume(tmp_path / "ij.tif").voxel_size == pytest.approx((30, 4, 6), rel=1e-5)


@pytest.mark.parametrize(
    "metadata", [{"axes": "ZYX", "spacing": 30, "unit": "pixel"}, {"axes": "ZYX", "unit": "nm"}]
)
def test_imagej_without_a_length_states_no_voxel_size(tmp_path: Path, metadata: dict):
    tifffile.imwrite(tmp_path / "ij.tif", stack(), imagej=True, resolution=(2, 2), metadata=metadata)
    assert open_volume(tmp_path / "ij.tif").voxel_size is None


@pytest.mark.parametrize(
    ("unit", "factor"), [("nm", 1), ("µm", 1e-3), (None, 1e-3), ("Å", 10), ("pixel", None)]
)
def test_voxel_size_of_ome_tiff(tmp_path: Path, unit: str | None, factor: float | None):
    metadata: dict = {"axes": "ZYX"}
    for axis, size in zip("ZYX", (30, 4, 6), strict=True):
        metadata[f"PhysicalSize{axis}"] = size * (factor or 1)
        if unit:
            metadata[f"PhysicalSize{axis}Unit"] = unit
    tifffile.imwrite(tmp_path / "a.ome.tif", stack(), metadata=metadata, compression="zlib")
    volume = open_volume(tmp_path / "a.ome.tif")
    assert volume.name == "a"
    assert volume.voxel_size == (None if factor is None else pytest.approx((30, 4, 6)))


def test_ome_tiff_with_channels_and_a_pyramid(tmp_path: Path):
    expected = stack((2, 5, 64, 48))
    with tifffile.TiffWriter(tmp_path / "p.ome.tif") as writer:
        options = {"tile": (16, 16), "photometric": "minisblack"}
        writer.write(expected, subifds=1, metadata={"axes": "CZYX"}, **options)
        writer.write(expected[..., ::2, ::2], subfiletype=1, **options)
    volume = open_volume(tmp_path / "p.ome.tif", channel=1)
    assert [level.shape for level in volume.levels] == [(5, 64, 48), (5, 32, 24)]
    np.testing.assert_array_equal(volume.levels[0], expected[1])
    np.testing.assert_array_equal(volume.levels[1], expected[1, :, ::2, ::2])
    with pytest.raises(ValueError, match=r"p\.ome\.tif has 2 channels; choose one with channel=0 to 1"):
        open_volume(tmp_path / "p.ome.tif")
    with pytest.raises(ValueError, match="no channel 2; choose channel 0 to 1"):
        open_volume(tmp_path / "p.ome.tif", channel=2)


@pytest.mark.parametrize("shape", [(5, 1, 40, 50), (1, 5, 40, 50), (1, 5, 1, 40, 50), (5, 1, 1, 40, 50)])
def test_unnamed_axes_of_length_one_take_no_slice_along(tmp_path: Path, shape: tuple[int, ...]):
    """Several unnamed axes share a letter in what tifffile says: QQYX."""
    tifffile.imwrite(tmp_path / "a.tif", stack(shape), photometric="minisblack")
    np.testing.assert_array_equal(open_volume(tmp_path / "a.tif").data, stack((5, 40, 50)))


def test_slices_saved_as_stacks_of_one_are_slices(tmp_path: Path):
    for z, plane in enumerate(stack((3, 40, 50))):
        tifffile.imwrite(tmp_path / f"{z}.tif", plane[np.newaxis], photometric="minisblack")
    np.testing.assert_array_equal(open_volume(tmp_path).data, stack((3, 40, 50)))


def test_ome_tiff_in_several_files(tmp_path: Path):
    """Each file names all of them; one that is missing is an error, not a black slice."""
    expected = stack((4, 20, 30))
    names = [f"part{z}.ome.tif" for z in range(4)]
    ids = [f"{z:08d}-0000-0000-0000-000000000000" for z in range(4)]
    parts = "".join(
        f'<TiffData IFD="0" FirstZ="{z}" PlaneCount="1">'
        f'<UUID FileName="{names[z]}">urn:uuid:{ids[z]}</UUID></TiffData>'
        for z in range(4)
    )
    for z, plane in enumerate(expected):
        xml = (
            f'<OME UUID="urn:uuid:{ids[z]}" xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
            '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8"'
            ' SizeX="30" SizeY="20" SizeZ="4" SizeC="1" SizeT="1">'
            f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{parts}</Pixels></Image></OME>'
        )
        tifffile.imwrite(tmp_path / names[z], plane, description=xml, metadata=None, ome=False)
    check(open_volume(tmp_path / names[0]), expected)
    (tmp_path / names[2]).unlink()
    with pytest.raises(ValueError, match="names other OME-TIFF files that are not beside it"):
        open_volume(tmp_path / names[0])


def test_frames_of_imagej_are_slices_where_there_are_none(tmp_path: Path):
    expected = stack()
    tifffile.imwrite(tmp_path / "t.tif", expected, imagej=True, metadata={"axes": "TYX"})
    check(open_volume(tmp_path / "t.tif"), expected)
    tifffile.imwrite(tmp_path / "tz.tif", stack((2, 5, 20, 30)), imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(ValueError, match="has 2 time points; choose one with time=0 to 1"):
        open_volume(tmp_path / "tz.tif")


def test_more_channels_than_imagej_can_have_are_slices(tmp_path: Path):
    tifffile.imwrite(tmp_path / "c.tif", stack((8, 20, 30)), imagej=True, metadata={"axes": "CYX"})
    check(open_volume(tmp_path / "c.tif"), stack((8, 20, 30)))
    tifffile.imwrite(tmp_path / "c.tif", stack((7, 20, 30)), imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(ValueError, match="has 7 channels; choose one"):
        open_volume(tmp_path / "c.tif")


def test_colours_need_a_choice(tmp_path: Path):
    colours = stack((20, 30, 3))
    tifffile.imwrite(tmp_path / "rgb.tif", colours, photometric="rgb")
    iio.imwrite(tmp_path / "rgb.png", colours)
    for name in ("rgb.tif", "rgb.png"):
        with pytest.raises(ValueError, match=rf"{name} has 3 colours; convert it to grey, or choose"):
            open_volume(tmp_path / name)
        check(open_volume(tmp_path / name, channel=1), colours[None, ..., 1])


def test_pages_of_other_shapes_are_named(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "odd.tif") as writer:
        for plane in (stack((20, 30)), stack((20, 30)), stack((10, 30))):
            writer.write(plane, metadata=None, contiguous=False)
    with pytest.raises(ValueError, match=r"odd\.tif holds images of shapes \(2, 20, 30\), \(10, 30\)"):
        open_volume(tmp_path / "odd.tif")


def test_a_compression_that_needs_a_package_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tifffile.TIFF.DECOMPRESSORS, "_codecs", {1: bytes})
    monkeypatch.setattr(type(tifffile.TIFF.DECOMPRESSORS), "__getitem__", lambda self, key: self._codecs[key])
    tifffile.imwrite(tmp_path / "z.tif", stack(), compression="zlib")
    with pytest.raises(ValueError, match="ADOBE_DEFLATE; install what reads it: pip install imagecodecs"):
        open_volume(tmp_path / "z.tif")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.3, 0.6, 0.9, 0.97])
@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {},
        {"imagej": True},
        {"ome": True},
        {"metadata": None},
        {"bigtiff": True, "tile": (16, 16), "compression": "zlib"},
        {"volumetric": True, "tile": (16, 16, 16), "compression": "zlib"},
    ],
    ids=str,
)
def test_truncated_tiff(tmp_path: Path, options: dict, share: float):
    options = dict(options)
    if "metadata" not in options:
        options["metadata"] = {"axes": "ZYX"}
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, stack((20, 64, 80)), photometric="minisblack", **options)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"cut\.tif (is incomplete|cannot be read)"):
        open_volume(path)


def test_reading_one_page_reads_no_other(tmp_path: Path):
    expected = stack((40, 20, 30))
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, expected, compression="zlib")
    with tifffile.TiffFile(path) as tif:
        spans = [(page.dataoffsets[0], page.databytecounts[0]) for page in tif.pages]
    with path.open("r+b") as file:
        for z, (offset, count) in enumerate(spans):
            if z != 17:
                file.seek(offset)
                file.write(b"\xff" * count)
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.data[17], expected[17])
    with pytest.raises(ValueError, match=r"stack\.tif cannot be read; is it damaged"):
        volume.data[3].compute()


def test_the_real_stack(shared_data: Path):
    path = shared_data / "snemi3d" / "train-input.tif"
    volume = open_volume(path)
    assert (volume.shape, volume.data.dtype, volume.voxel_size) == ((100, 1024, 1024), np.uint8, None)
    assert volume.name == "train-input"
    np.testing.assert_array_equal(volume.data[37], tifffile.imread(path, key=37))
    assert open_volume(path, voxel_size=(30, 6, 6)).voxel_size == (30, 6, 6)


def test_a_thumbnail_is_no_further_image(tmp_path: Path):
    image = stack((5, 64, 64))
    with tifffile.TiffWriter(tmp_path / "em.tif") as file:
        for plane in image:
            file.write(plane, contiguous=False, metadata=None, photometric="minisblack")
        file.write(image[0, ::4, ::4], subfiletype=1, metadata=None, photometric="minisblack")
    check(open_volume(tmp_path / "em.tif"), image)
