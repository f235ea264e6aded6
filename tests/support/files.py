"""Volumes written by other libraries than those that the package reads with, or byte by byte."""

from __future__ import annotations

import gzip
import json
import struct
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Size = tuple[float, float, float]


def _blocks(
    shape: tuple[int, ...], block: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Yield number and place of each block; those at the border are smaller."""
    for number in product(*(range(-(-side // step)) for side, step in zip(shape, block, strict=True))):
        yield (
            number,
            tuple(
                slice(i * step, min((i + 1) * step, side))
                for i, step, side in zip(number, block, shape, strict=True)
            ),
        )


def pillow_tiff(path: Path, image: np.ndarray, **options: Any) -> Path:
    """A TIFF of one page a slice, by Pillow and libtiff."""
    from PIL import Image

    first, *rest = [Image.fromarray(plane) for plane in image]
    first.save(path, format="TIFF", save_all=True, append_images=rest, **options)
    return path


def pillow_imagej(path: Path, image: np.ndarray, size: Size, unit: str = "nm", **options: Any) -> Path:
    """The same with ImageJ's words in the description, and pixels per unit."""
    count = f"images={len(image)}\nslices={len(image)}"
    words = f"ImageJ=1.54f\n{count}\nunit={unit}\nspacing={size[0]}\nloop=false\n"
    place = {"resolution_unit": 1, "y_resolution": 1 / size[1], "x_resolution": 1 / size[2]}
    return pillow_tiff(path, image, description=words, **place, **options)


def pillow_ome(path: Path, image: np.ndarray, size: Size, **options: Any) -> Path:
    """The same with OME-XML in the description."""
    z, y, x = image.shape
    kind = {"uint8": "uint8", "uint16": "uint16", "float32": "float"}[str(image.dtype)]
    sides = "".join(
        f' PhysicalSize{axis}="{side}" PhysicalSize{axis}Unit="nm"'
        for axis, side in zip("ZYX", size, strict=True)
    )
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="{kind}" SizeX="{x}" SizeY="{y}" SizeZ="{z}"'
        f' SizeC="1" SizeT="1"{sides}><Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData/></Pixels>'
        "</Image></OME>"
    )
    return pillow_tiff(path, image, description=xml, **options)


def qt_pictures(folder: Path, image: np.ndarray, suffix: str) -> Path:
    """A folder of slices "z 0", "z 1", ... by Qt: uint8 or uint16."""
    from qtpy.QtGui import QImage

    grey = {1: QImage.Format.Format_Grayscale8, 2: QImage.Format.Format_Grayscale16}[image.dtype.itemsize]
    folder.mkdir()
    for z, plane in enumerate(image):
        height, width = plane.shape
        picture = QImage(plane.tobytes(), width, height, plane.strides[0], grey)
        assert picture.save(str(folder / f"z {z}{suffix}"), quality=100)
    return folder


def netcdf(path: Path, image: np.ndarray, size: Size, chunks: tuple[int, ...] | None = None) -> Path:
    """CREMI's layout by netCDF's own C library."""
    import netCDF4

    with netCDF4.Dataset(path, "w") as file:
        group = file.createGroup("volumes")
        for name, side in zip("zyx", image.shape, strict=True):
            group.createDimension(name, side)
        raw = group.createVariable("raw", image.dtype, tuple("zyx"), chunksizes=chunks, compression="zlib")
        raw[:] = image
        raw.resolution = np.array(size)
    return path


def tensorstore_zarr(
    path: Path,
    image: np.ndarray,
    version: int,
    chunks: tuple[int, ...],
    shards: tuple[int, ...] | None = None,
) -> Path:
    """A zarr array by tensorstore."""
    import tensorstore

    if version == 2:
        metadata = {"shape": image.shape, "chunks": chunks, "dtype": image.dtype.str}
        spec = {"driver": "zarr", "metadata": {**metadata, "compressor": {"id": "zlib", "level": 1}}}
    else:
        inner = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd"}]
        sharding = {"name": "sharding_indexed", "configuration": {"chunk_shape": chunks, "codecs": inner}}
        grid = {"name": "regular", "configuration": {"chunk_shape": shards or chunks}}
        metadata = {"shape": image.shape, "data_type": image.dtype.name, "chunk_grid": grid}
        spec = {"driver": "zarr3", "metadata": {**metadata, "codecs": [sharding] if shards else inner}}
    store = {"driver": "file", "path": f"{path}/"}
    array = tensorstore.open({**spec, "kvstore": store}, create=True, delete_existing=True).result()
    array[...] = image
    return path


def ome_zarr_py(path: Path, image: np.ndarray, size: Size, version: str = "0.5", factors: Any = (2,)) -> Path:
    """An image with a pyramid by ome-zarr-py."""
    import zarr
    from ome_zarr.format import format_from_version
    from ome_zarr.writer import write_image

    fmt = format_from_version(version)
    group = zarr.open_group(str(path), mode="w", zarr_format=fmt.zarr_format)
    axes = "tczyx"[-image.ndim :]
    write_image(
        image,
        group,
        axes=axes,
        fmt=fmt,
        scale_factors=list(factors),
        scale=dict(zip("zyx", size, strict=True)),
        axes_units=dict.fromkeys("zyx", "nanometer"),
    )
    return path


def n5(
    folder: Path, image: np.ndarray, block: tuple[int, ...], compression: str = "gzip", **attributes: Any
) -> Path:
    """An N5 dataset by its specification: big-endian blocks, sizes and block numbers with X first."""
    folder.mkdir(parents=True)
    stated = {
        "dimensions": image.shape[::-1],
        "blockSize": block[::-1],
        "dataType": image.dtype.name,
        "compression": {"type": compression},
    }
    (folder / "attributes.json").write_text(json.dumps({**stated, **attributes}))
    for number, place in _blocks(image.shape, block):
        values = image[place].astype(image.dtype.newbyteorder(">")).tobytes()
        header = struct.pack(f">HH{image.ndim}I", 0, image.ndim, *image[place].shape[::-1])
        file = folder.joinpath(*map(str, number[::-1]))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(header + (gzip.compress(values) if compression == "gzip" else values))
    return folder


def precomputed(
    folder: Path,
    levels: list[np.ndarray],
    chunk: tuple[int, int, int],
    size: Size = (30, 6, 6),
    offset: tuple[int, int, int] = (0, 0, 0),
) -> Path:
    """A neuroglancer volume by its specification: raw little-endian chunks named by what they cover."""
    scales = []
    for image in levels:
        factors = [round(a / b) for a, b in zip(levels[0].shape, image.shape, strict=True)]
        sides = [side * factor for side, factor in zip(size, factors, strict=True)]
        start = [first // factor for first, factor in zip(offset, factors, strict=True)]
        key = "_".join(f"{side:g}" for side in sides[::-1])
        scale = {"key": key, "size": image.shape[::-1], "resolution": sides[::-1], "encoding": "raw"}
        scales.append({**scale, "chunk_sizes": [chunk[::-1]], "voxel_offset": start[::-1]})
        (folder / key).mkdir(parents=True)
        for _, place in _blocks(image.shape, chunk):
            ends = [(part.start + first, part.stop + first) for part, first in zip(place, start, strict=True)]
            name = "_".join(f"{first}-{last}" for first, last in ends[::-1])
            values = image[place].astype(image.dtype.newbyteorder("<"))
            (folder / key / name).write_bytes(values.tobytes())
    info = {"type": "image", "data_type": levels[0].dtype.name, "num_channels": 1, "scales": scales}
    (folder / "info").write_text(json.dumps({"@type": "neuroglancer_multiscale_volume", **info}))
    return folder


_MODES = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6, "float16": 12}


def mrc(
    path: Path,
    image: np.ndarray,
    size: Size,
    order: str = "<",
    axes: tuple[int, int, int] = (1, 2, 3),
    extended: bytes = b"",
    imod: int | None = None,
) -> Path:
    """A file by the specification MRC2014, its 256 words one after the other; sizes in nm.

    ``axes`` says which of X = 1, Y = 2, Z = 3 the columns, rows and sections are; ``imod`` are IMOD's flags.
    """
    counts = image.shape[::-1]
    grid = [0, 0, 0]
    for axis, count in zip(axes, counts, strict=True):
        grid[axis - 1] = count
    cell = [10 * side * count for side, count in zip(size[::-1], grid, strict=True)]
    dtype = "int8" if imod is not None else image.dtype.name
    words = struct.pack(f"{order}10i", *counts, _MODES[dtype], 0, 0, 0, *grid)
    words += struct.pack(f"{order}6f3i", *cell, 90, 90, 90, *axes)
    words += struct.pack(f"{order}3f2i", 0, 0, 0, 1, len(extended)) + bytes(8)
    words += b"MRCO" + struct.pack(f"{order}i", 20141)
    stamp = struct.pack(f"{order}ii", 1146047817, imod) if imod is not None else bytes(8)
    words = (words.ljust(152, b"\0") + stamp).ljust(208, b"\0") + b"MAP "
    words += bytes([0x44, 0x44, 0, 0] if order == "<" else [0x11, 0x11, 0, 0]) + struct.pack(
        f"{order}fi", 0, 0
    )
    values = image.astype(image.dtype.newbyteorder(order)).tobytes()
    path.write_bytes(words.ljust(1024, b"\0") + extended + values)
    return path
