"""Volumes as napari layers, and napari layers as volumes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import napari.layers
    import napari.viewer

    from napari_dtn.settings import VoxelSize
    from napari_dtn.volume.opening import Volume

LayerData = tuple[Any, dict[str, Any], str]
Laid = tuple[Any, tuple[int, int, int]]  # an array, and its first voxel in an image

# Of a layer's metadata: {"path", "voxel_size", "channel", "times"}; "role", "class", "inset" on our own.
KEY = "napari_dtn"
BOUNDARIES, WARP, TILE_WARP = "boundaries", "warp", "tile warp"
NANOMETRES = ("nm", "nm", "nm")
BOUNDARY_LOOK: dict[str, Any] = {
    "colormap": "magenta",
    "blending": "additive",
    "opacity": 0.6,
    "contrast_limits": (0, 255),
}
_COLOURS = ("magenta", "cyan", "yellow", "green", "red", "blue")  # of classes, in their order


def class_look(number: int) -> dict[str, Any]:
    """Return how the probability of a class looks."""
    return {**BOUNDARY_LOOK, "colormap": _COLOURS[number % len(_COLOURS)]}


def title(what: str, names: Sequence[str], number: int) -> str:
    """Return what the layer of a class is called: ``boundaries``, with its name where there are several."""
    return what if len(names) == 1 else f"{what} {names[number]}"


def image_data(volume: Volume, contrast_limits: tuple[float, float] | None) -> LayerData:
    """Return the layer of a grey volume; without limits napari looks for some itself."""
    look = {} if contrast_limits is None else {"contrast_limits": contrast_limits}
    return _levels(volume), {**_common(volume), "colormap": "gray", **look}, "image"


def labels_data(volume: Volume) -> LayerData:
    """Return the layer of a volume of ids."""
    return _levels(volume), _common(volume), "labels"


def boundary_data(volume: Volume, names: Sequence[str] = ("boundary",), number: int = 0) -> LayerData:
    """Return the overlay of a class of a predicted volume.

    Parameters
    ----------
    volume
        Probability of the class.
    names
        Of all classes.
    number
        Which of them it is.
    """
    options = {**_common(volume), **class_look(number), "name": title(volume.name, names, number)}
    options["metadata"][KEY] |= {"role": BOUNDARIES, "class": names[number]}
    return _levels(volume), options, "image"


def over_time(layer: LayerData, times: Sequence[Volume]) -> LayerData:
    """Return a layer with the axis time before those of its first time point."""
    import dask.array as da

    _, options, kind = layer
    levels = zip(*(volume.levels for volume in times), strict=True)
    data = [da.stack(level) for level in levels]  # type: ignore[no-untyped-call]
    options |= {"translate": (0.0, *options["translate"]), "axis_labels": ("t", *options["axis_labels"])}
    if "scale" in options:
        options |= {"scale": (1.0, *options["scale"]), "units": ("pixel", *options["units"])}
    options["metadata"][KEY]["times"] = len(times)
    return data if len(data) > 1 else data[0], options, kind


def _levels(volume: Volume) -> Any:
    return list(volume.levels) if len(volume.levels) > 1 else volume.data


def _common(volume: Volume) -> dict[str, Any]:
    facts = {"path": volume.path, "voxel_size": volume.voxel_size, "channel": volume.channel}
    place: dict[str, Any] = {"translate": volume.translation, "axis_labels": ("z", "y", "x")}
    if volume.voxel_size is not None:
        place |= {"scale": volume.voxel_size, "units": NANOMETRES}
    return {"name": volume.name, "multiscale": len(volume.levels) > 1, "metadata": {KEY: facts}, **place}


def role_of(layer: napari.layers.Layer) -> str | None:
    """Return what a layer of ours shows, as :data:`BOUNDARIES` or :data:`WARP`; None for any other layer."""
    facts = layer.metadata.get(KEY)
    role = facts.get("role") if isinstance(facts, dict) else None
    return str(role) if role else None


def lies_on(layer: napari.layers.Layer, name: str, images: Sequence[str]) -> bool:
    """Whether a layer is ours, on top of the one with this name among images with these names.

    “em [1] boundaries” is not on “em” beside an “em [1]”.
    """
    under = [one for one in images if layer.name.startswith(f"{one} ")]
    return role_of(layer) is not None and name == max(under, key=len, default="")


def class_of(layer: napari.layers.Layer) -> str:
    """Return the class whose probability an overlay of ours shows."""
    return str(layer.metadata[KEY].get("class", "boundary"))


def path_of(layer: napari.layers.Layer) -> str | None:
    """Return the file that a layer was opened from, if any.

    Of several files that were opened as one stack there is none, though napari names the first.
    """
    facts = layer.metadata.get(KEY)
    known = isinstance(facts, dict) and "path" in facts
    path = facts["path"] if known else layer.source.path
    return str(path) if path else None


def is_time_point(layer: napari.layers.Layer) -> bool:
    """Whether a stack was split off from a layer of several time points."""
    facts = layer.metadata.get(KEY)
    return isinstance(facts, dict) and facts.get("times", 1) > 1 and layer.ndim < 4


def channel_of(layer: napari.layers.Layer) -> int | None:
    """Return which channel of its file a layer shows; None where there are not several."""
    facts = layer.metadata.get(KEY)
    return facts.get("channel") if isinstance(facts, dict) else None


def check_image(layer: napari.layers.Layer | None, others: Sequence[napari.layers.Layer] = ()) -> None:
    """Check that a layer is a grey slice or stack.

    Parameters
    ----------
    layer
        The chosen layer; None where there is none to choose.
    others
        The viewer's layers, to say what is there instead.

    Raises
    ------
    ValueError
        It is not; the error names the layer, its kind and the fix.
    """
    if layer is None:
        there = [other for other in others if role_of(other) is None]
        instead = f"“{there[-1].name}” is a {_kind(there[-1])} layer. " if there else ""
        raise ValueError(
            f"There is no image layer to look at. {instead}Open a volume with File > Open, "
            "or one of File > Open Sample > napari-dtn."
        )
    if _kind(layer) != "Image":
        raise ValueError(
            f"“{layer.name}” is a {_kind(layer)} layer; choose the Image layer that shows the EM volume."
        )
    if min(layer.scale[-3:]) <= 0:
        raise ValueError(f"“{layer.name}” is flipped: its scale is {list(layer.scale)}; make it positive.")
    if layer.ndim == 2 and _is_turned(layer):
        raise ValueError(
            f"“{layer.name}” is turned or sheared, which a single slice cannot be here: set its rotate, "
            "shear and affine back."
        )
    if layer.rgb:
        raise ValueError(
            f"“{layer.name}” is a colour image (RGB), and the network looks at grey values: right-click the "
            "layer, Split RGB, and choose one of the new layers."
        )
    if layer.ndim > 3:
        raise ValueError(
            f"“{layer.name}” has {layer.ndim} axes, and the network looks at stacks (Z, Y, X): right-click "
            "the layer, Split Stack, until 3 axes are left, and choose one of the new layers."
        )


def _is_turned(layer: napari.layers.Layer) -> bool:
    """Whether a flat layer is more than scaled and moved."""
    (yy, yx), (xy, xx) = layer.rotate
    affine = layer.affine.affine_matrix
    plain = (affine == affine * 0 + [[1, 0, 0], [0, 1, 0], [0, 0, 1]]).all()
    return bool(yx or xy or yy != 1 or xx != 1 or any(layer.shear) or not plain)


def _kind(layer: napari.layers.Layer) -> str:
    return str(layer._type_string).capitalize() if hasattr(layer, "_type_string") else type(layer).__name__


def stated_voxel_size(layer: napari.layers.Layer) -> VoxelSize | None:
    """Return a layer's voxel size in nm, ``(Z, Y, X)``; None where its unit is no length.

    The voxel of a single slice is taken as high as it is wide.
    """
    from napari_dtn.volume.geometry import nanometres

    units = [nanometres(unit) for unit in layer.units]
    sides = [float(side) * unit for side, unit in zip(layer.scale, units, strict=True) if unit is not None]
    if len(sides) < layer.ndim:
        return None
    y, x = sides[-2:]
    return (sides[-3] if len(sides) > 2 else y, y, x)


def shown_voxel_size(layer: napari.layers.Layer) -> VoxelSize | None:
    """Return a layer's scale as it is, ``(Z, Y, X)``; None where nobody has set it."""
    sides = [float(side) for side in layer.scale[-3:]]
    if all(side == 1 for side in sides):
        return None
    y, x = sides[-2:]
    return (sides[-3] if len(sides) > 2 else y, y, x)


def set_voxel_size(layer: napari.layers.Layer, voxel_size: VoxelSize) -> None:
    """Give a layer this voxel size in nm, ``(Z, Y, X)``; its origin stays at the same voxel."""
    ndim = layer.ndim
    sides = [1.0] * (ndim - 3) + list(voxel_size)[-min(ndim, 3) :]
    origin = [shift / scale for shift, scale in zip(layer.translate, layer.scale, strict=True)]
    layer.scale = sides
    layer.translate = [voxel * side for voxel, side in zip(origin, sides, strict=True)]
    layer.units = ["pixel"] * (ndim - 3) + list(NANOMETRES)[-min(ndim, 3) :]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What an image layer shows, taken down at once: a job makes a volume of it, which loads dask.

    Parameters
    ----------
    levels
        The layer's arrays, finest first.
    name, path
        Of the layer, and of its file if it has one.
    origin
        First voxel, counted in voxels, ``(Z, Y, X)``.
    voxel_size
        In nm, ``(Z, Y, X)``; None where it is not known.
    """

    levels: tuple[Any, ...]
    name: str
    path: str | None
    origin: VoxelSize
    voxel_size: VoxelSize | None

    @cached_property
    def volume(self) -> Volume:
        """The same as a volume.

        Raises
        ------
        ValueError
            Its values are no real numbers, or it is empty.
        """
        from napari_dtn.volume.opening import Volume, volume_from_array

        arrays = tuple(volume_from_array(level, name=self.name).data for level in self.levels)
        volume = Volume(arrays, None, self.name, self.path, self.origin)
        return volume if self.voxel_size is None else volume.with_voxel_size(self.voxel_size)


def snapshot_of(layer: napari.layers.Layer) -> Snapshot:
    """Take down what a layer that passed :func:`check_image` shows."""
    levels = tuple(layer.data) if layer.multiscale else (layer.data,)
    origin = [float(shift / side) for shift, side in zip(layer.translate, layer.scale, strict=True)]
    z, y, x = [0.0] * (3 - len(origin)) + origin
    return Snapshot(levels, layer.name, path_of(layer), (z, y, x), stated_voxel_size(layer))


def open_resampled(viewer: napari.viewer.Viewer, layer: napari.layers.Layer, factors: VoxelSize) -> str:
    """Open an image layer with more or fewer pixels, by factors along ``(Z, Y, X)``; return the layer's name.

    Slices are neither more nor fewer; pixels are computed where they are shown.
    """
    from napari_dtn.volume.resampling import resampled

    volume = resampled(snapshot_of(layer).volume, factors[1:])
    low, high = layer.contrast_limits
    data, options, _ = image_data(volume, (low, high))
    return str(viewer.add_image(data, **options).name)


def place_of(layer: napari.layers.Layer) -> dict[str, Any]:
    """Return where a layer lies, as options for a layer ``(Z, Y, X)`` on top of it."""
    if layer.ndim == 3:
        names = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
        return {name: getattr(layer, name) for name in names}
    y, x = layer.scale
    unit = str(layer.units[-1])
    return {"scale": (y, y, x), "translate": (0.0, *layer.translate), "units": (unit,) * 3}


def ids_over(labels: napari.layers.Labels, shape: tuple[int, ...], image: napari.layers.Layer) -> Laid:
    """Return the ids of a layer, (Z, Y, X), and the voxel of an image of this shape that they begin at.

    Raises
    ------
    ValueError
        They are of a part of the image, and their pixels are not its.
    """
    ids = labels.data[0] if labels.multiscale else labels.data
    ids = ids if labels.ndim == 3 else ids[None]
    if tuple(ids.shape) == shape:
        return ids, (0, 0, 0)
    one, other = (tuple(float(side) for side in each.scale[-2:]) for each in (labels, image))
    one = tuple(side * _unit_over(labels, image) for side in one)
    if any(abs(a / b - 1) > 0.01 for a, b in zip(one, other, strict=True)):
        raise ValueError(
            f"“{labels.name}” has pixels of {one[0]:g} x {one[1]:g}, and “{image.name}” of {other[0]:g} x "
            f"{other[1]:g}; choose a layer with the pixels of the image."
        )
    return ids, corner_in(labels, image)


def corner_in(layer: napari.layers.Layer, image: napari.layers.Layer) -> tuple[int, int, int]:
    """Return the voxel of an image, (z, y, x), that the first one of a layer of such voxels lies at."""
    here, there = ([0.0] * (3 - one.ndim) + list(one.translate[-3:]) for one in (layer, image))
    steps = [1.0] * (3 - image.ndim) + list(image.scale[-3:])
    factor = _unit_over(layer, image)
    z, y, x = (round(float((a * factor - b) / step)) for a, b, step in zip(here, there, steps, strict=True))
    return z, y, x


def _unit_over(layer: napari.layers.Layer, image: napari.layers.Layer) -> float:
    """How many of an image's units one of a layer's is; 1 where one of them has no length."""
    from napari_dtn.volume.geometry import nanometres

    one, other = (nanometres(str(each.units[-1])) for each in (layer, image))
    return one / other if one and other else 1.0


def same_place(layer: napari.layers.Layer, image: napari.layers.Layer) -> None:
    """Move a layer of ours, ``(..., Z, Y, X)``, to where the image lies.

    The metadata of a layer that shows a part of the image, coarser than it, state its ``inset``: its first
    pixel's centre ``(z, y, x)`` and its pixels' side, both in pixels of the image.
    """
    more = layer.ndim - 3
    place = place_of(image)
    corner, step = layer.metadata.get(KEY, {}).get("inset", ((0, 0, 0), 1))
    offset = [shift * side for shift, side in zip(corner, place["scale"], strict=True)]
    if "rotate" in place:
        offset = place["rotate"] @ offset
    z, y, x = place["scale"]
    layer.units = (*layer.units[:more], *place["units"])
    layer.scale = (*([1.0] * more), z, y * step, x * step)
    layer.translate = (*([0.0] * more), *(a + b for a, b in zip(place["translate"], offset, strict=True)))
    for name in ("rotate", "shear", "affine"):
        if name in place and not more:
            setattr(layer, name, place[name])


def default_output(layer: napari.layers.Layer, what: str = "boundaries.zarr") -> Path:
    """Return where a layer's prediction goes unless somebody says otherwise: beside its file, or at home."""
    name = f"{_file_name(layer.name)} {what}"
    path = path_of(layer)
    if path is None:
        return Path.home() / name
    file = Path(path.partition("::")[0]).expanduser().absolute()
    inside = [parent for parent in file.parents if _is_container(parent)]
    folder = (inside[-1] if inside else file).parent
    return (folder if _writable(folder) else Path.home()) / name


def _is_container(path: Path) -> bool:
    return path.suffix.lower() in {".zarr", ".h5", ".hdf5", ".hdf"}


def _writable(folder: Path) -> bool:
    import os

    return folder.is_dir() and os.access(folder, os.W_OK)


def _file_name(name: str) -> str:
    return "".join("_" if letter in '<>:"/\\|?*' else letter for letter in name).strip() or "image"
