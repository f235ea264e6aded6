"""Named axes and physical units of files become ZYX and nanometres."""

from __future__ import annotations

import math
import re
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import dask.array as da

    from napari_dtn.settings import VoxelSize

_NANOMETRES = {
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-3),
    **dict.fromkeys(("angstrom", "å"), 0.1),
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers", "nanometres"), 1.0),
    # ImageJ writes the micro sign as an escape; there are two such signs in Unicode.
    **dict.fromkeys(("um", "µm", "μm", "\\u00b5m", "micron", "microns"), 1e3),
    **dict.fromkeys(("micrometer", "micrometre", "micrometers", "micrometres"), 1e3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e6),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e7),
    **dict.fromkeys(("inch", "in"), 2.54e7),
    **dict.fromkeys(("m", "meter", "metre"), 1e9),
}
_CHANNELS = "cs"
_AXIS_NAMES = {**{letter: letter for letter in "tczyx"}, "time": "t", "channel": "c", "channels": "c"}
_TIME = "t"
_COLOURS = (3, 4)
_SMALLEST_PICTURE = 16


class ChoiceMissingError(ValueError):
    """Of several channels or time points one must be chosen.

    Parameters
    ----------
    there
        What there is.
    how
        How it is chosen.
    """

    def __init__(self, there: str, how: str) -> None:
        super().__init__(f"{there}; {how}")
        self.there, self.how = there, how

    def with_options(self, prefix: str = "--") -> str:
        """Return what there is, and how the options of a command choose it."""
        return f"{self.there}; " + re.sub("(channel|time)=", rf"{prefix}\1 ", self.how)


def check_voxel_size(values: Iterable[float]) -> VoxelSize:
    """Return a voxel size as three floats, in nm, ``(Z, Y, X)``.

    Raises
    ------
    ValueError
        Not three finite numbers greater than 0.
    """
    numbers = _numbers(values)
    if numbers is None or min(numbers) <= 0:
        raise ValueError(f"Voxel size is {values!r}; give three numbers greater than 0: nm along Z, Y and X.")
    return numbers


def _numbers(values: Any) -> VoxelSize | None:
    """Return three finite numbers, or None where the values are anything else."""
    try:
        z, y, x = (float(value) for value in values)
    except (TypeError, ValueError):
        return None
    return (z, y, x) if math.isfinite(z * y * x) else None


def nanometres(unit: Any) -> float | None:
    """Return how many nm a unit of length is, or None for ``pixel`` and whatever else is no length."""
    return _NANOMETRES.get(str(unit).strip().lower())


def stated_voxel_size(sizes: Sequence[Any], units: Sequence[Any]) -> VoxelSize | None:
    """Return what a file says about its voxels in nm, or None where it says nothing usable.

    Parameters
    ----------
    sizes
        Along Z, Y and X; None where the file has none.
    units
        Of each size.
    """
    factors = [nanometres(unit) for unit in units]
    if any(value is None for value in (*sizes, *factors)):
        return None
    numbers = _numbers(
        round(float(size) * float(factor or 0), 9) for size, factor in zip(sizes, factors, strict=True)
    )
    return numbers if numbers and min(numbers) > 0 else None


def stated_by_attributes(attributes: Mapping[str, Any]) -> tuple[VoxelSize | None, VoxelSize]:
    """Read voxel size and translation in nm, ZYX, from the attributes of an HDF5 or zarr array.

    ``resolution`` (CREMI) or ``voxel_size``, and ``offset``, are in nm or in ``units``; ``element_size_um``
    (Fiji, ilastik) is in µm.
    """
    units = attributes.get("units", "nm")
    units = [units] * 3 if isinstance(units, str | bytes) else list(units)[-3:]
    units = [unit.decode() if isinstance(unit, bytes) else unit for unit in units]
    units = units * 3 if len(units) == 1 else units
    for key, key_units in (("resolution", units), ("voxel_size", units), ("element_size_um", ["um"] * 3)):
        numbers = _numbers(attributes.get(key))
        size = stated_voxel_size(numbers, key_units) if numbers and len(key_units) == 3 else None
        if size:
            offset = _numbers(attributes.get("offset")) or (0.0, 0.0, 0.0)
            z, y, x = (value * (nanometres(unit) or 1) for value, unit in zip(offset, key_units, strict=True))
            return size, (z, y, x)
    return None, (0.0, 0.0, 0.0)


def turned(value: Any, names: Sequence[str]) -> Any:
    """Bring a list with an item for each axis, or each in space, into the order ZYX; else return it."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        return value
    axes = [name for name in names if name in "zyx"] if len(value) == 3 else list(names)
    places = [axes.index(axis) for axis in "zyx" if axis in axes]
    if len(places) < 3 or len(value) <= max(places):
        return value
    return [value[place] for place in places]


def in_order(attributes: Mapping[str, Any], axes: str | None) -> dict[str, Any]:
    """Return an array's attributes with what has a number for each of its axes in the order ZYX."""
    if axes is None:
        return dict(attributes)
    return {
        key: turned(value, axes) if key in ("resolution", "voxel_size", "offset", "units") else value
        for key, value in attributes.items()
    }


def stated_axes(names: Any, count: int) -> str | None:
    """Return a letter for each axis by their stated names; None where they do not name a volume's axes.

    Parameters
    ----------
    names
        What was stated, whatever it is.
    count
        How many axes there are.
    """
    if not isinstance(names, (list, tuple)) or len(names) != count:
        return None
    letters = "".join(_AXIS_NAMES.get(str(name).lower(), "?") for name in names)
    whole = "?" not in letters and len({*letters}) == count
    return letters if whole and {"y", "x"} <= {*letters} else None


def name_axes(shape: tuple[int, ...], dtype: Any) -> str:
    """Name the axes of an array that does not say what they are.

    The last are ``zyx`` or ``yx``, with a channel before them where there are four. Bytes whose last axis
    is 3 or 4 long are colours. Axes of length 1 are named ``1``, outermost first, as far as there are too
    many.

    Raises
    ------
    ValueError
        The array is neither an image, nor a stack, nor channels of a stack.
    """
    extra = max(len(shape) - 3, 0)
    single = [axis for axis, size in enumerate(shape) if size == 1][:extra]
    left = tuple(size for axis, size in enumerate(shape) if axis not in single)
    if not 2 <= len(left) <= 4:
        raise ValueError(f"has shape {shape}; give one slice (Y, X) or a stack (Z, Y, X)")
    coloured = np.dtype(dtype) == np.uint8 and left[-1] in _COLOURS and len(left) > 2
    coloured = coloured and min(left[-3:-1]) >= _SMALLEST_PICTURE
    letters = iter(("zyx" if len(left) == 4 else "yx") + "s" if coloured else "czyx"[-len(left) :])
    return "".join("1" if axis in single else next(letters) for axis in range(len(shape)))


def count_of(axes: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many channels or colours an array has, and how many time points beside its stack."""
    sizes = dict(zip(axes.lower(), shape, strict=True))
    channels = [sizes[letter] for letter in _CHANNELS if sizes.get(letter, 1) > 1]
    return max(channels, default=1), sizes.get(_TIME, 1) if sizes.get("z", 1) > 1 else 1


def to_zyx(array: da.Array, axes: str, channel: int | None = None, time: int | None = None) -> da.Array:
    """Bring a lazy array into the order ZYX, with one channel and one time point chosen.

    Axes of length 1 are dropped. Where there is no ``z``, the one further axis (time, or an unnamed one)
    is the stack unless a time point is chosen; where there is none, the image becomes one slice.

    Parameters
    ----------
    array
        Any number of axes.
    axes
        One letter for each; ``c`` and ``s`` (colour samples) are channels, ``t`` is time.
    channel, time
        Which one; needed where there are several.

    Raises
    ------
    ValueError
        Y or X is missing, a channel or a time point must be chosen or does not exist, or too many axes are
        left.
    """
    axes = axes.lower()
    if axes.count("y") != 1 or axes.count("x") != 1 or axes.count("z") > 1:
        raise ValueError(
            f"has axes {axes} of shape {array.shape}; give one slice (Y, X) or a stack (Z, Y, X)"
        )
    array, axes = _without_singles(array, axes)
    array, axes = _choose_channel(array, axes, channel)
    array, axes = _choose_time(array, axes, time)
    further = [letter for letter in axes if letter not in "zyx"]
    if len(further) == 1 and "z" not in axes:
        axes = axes.replace(further[0], "z")
    elif further:
        raise ValueError(f"has axes {axes} of shape {array.shape}; save one (Z, Y, X) stack of it by itself")
    if "z" not in axes:
        array, axes = array[np.newaxis], "z" + axes
    if axes == "zyx":  # a transposition that changes nothing would keep dask from reading parts of a slice
        return array
    ordered: da.Array = array.transpose([axes.index(letter) for letter in "zyx"])  # type: ignore[no-untyped-call]
    return ordered


def _without_singles(array: da.Array, axes: str) -> tuple[da.Array, str]:
    """Drop axes of length 1 but Y and X, by their places: several unnamed axes may share a letter."""
    kept = [n > 1 or letter in "yx" for letter, n in zip(axes, array.shape, strict=True)]
    return array[tuple(slice(None) if k else 0 for k in kept)], "".join(compress(axes, kept))


def _take(array: da.Array, axes: str, letter: str, index: int) -> tuple[da.Array, str]:
    """Take one index of one axis, which goes away."""
    axis = axes.index(letter)
    return array[(slice(None),) * axis + (index,)], axes[:axis] + axes[axis + 1 :]


def _choose_channel(array: da.Array, axes: str, channel: int | None) -> tuple[da.Array, str]:
    letters = [letter for letter in axes if letter in _CHANNELS]
    if len(letters) > 1:
        raise ValueError(
            f"has channels and colours (axes {axes}, shape {array.shape}); save one of them alone"
        )
    count = array.shape[axes.index(letters[0])] if letters else 1
    _check_choice("channel", channel, count)
    if not letters:
        return array, axes
    if channel is None:
        colours = letters == ["s"]
        raise ChoiceMissingError(
            f"has {count} {'colours' if colours else 'channels'}",
            f"{'convert it to grey, or ' * colours}choose one with channel=0 to {count - 1}",
        )
    return _take(array, axes, letters[0], channel)


def _choose_time(array: da.Array, axes: str, time: int | None) -> tuple[da.Array, str]:
    count = array.shape[axes.index(_TIME)] if _TIME in axes else 1
    _check_choice("time", time, count)
    if count > 1 and time is None and "z" in axes:
        raise ChoiceMissingError(f"has {count} time points", f"choose one with time=0 to {count - 1}")
    return (array, axes) if count == 1 or time is None else _take(array, axes, _TIME, time)


def _check_choice(what: str, chosen: int | None, count: int) -> None:
    if chosen is not None and not 0 <= chosen < count:
        raise ValueError(f"has no {what} {chosen}; choose {what} 0 to {count - 1}")
