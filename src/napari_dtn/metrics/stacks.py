"""Arrays that are scored, read one slice at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


class SliceStack(Protocol):
    """What the scores read: a NumPy, dask, zarr or HDF5 array of (Z, Y, X) or (Y, X)."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    def __getitem__(self, key: Any, /) -> Any: ...


def slice_pairs(first: SliceStack, second: SliceStack) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Read the slices (Y, X) of two stacks of one shape side by side."""
    if len(first.shape) == 2:
        yield np.asarray(first[:]), np.asarray(second[:])
        return
    for z in range(first.shape[0]):
        yield np.asarray(first[z]), np.asarray(second[z])


def check_same_shape(prediction: tuple[int, ...], truth: tuple[int, ...]) -> None:
    """Refuse a prediction and a truth of different shapes with a ValueError."""
    if tuple(prediction) != tuple(truth):
        raise ValueError(
            f"The prediction has shape {tuple(prediction)}, the truth {tuple(truth)}; they must agree."
        )
