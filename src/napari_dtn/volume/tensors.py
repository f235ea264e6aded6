"""What tensorstore reads: arrays of N5 and of neuroglancer precomputed, slowest axis first."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.volume.lazy import FileArray, reading
from napari_dtn.volume.places import is_remote, needed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dtn.volume.places import Place

_REACHED = ("http", "https", "s3", "gs")


class _Tensor:
    """A tensorstore array as the lazy arrays want it: NumPy types, slicing that reads, indices from 0."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.shape: tuple[int, ...] = tuple(store.shape)
        self.dtype = np.dtype(store.dtype.numpy_dtype)
        self.chunks: tuple[int, ...] = tuple(store.chunk_layout.read_chunk.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        found: NDArray[Any] = self._store.oindex[key].read().result()
        return found


def open_tensor(place: Place, driver: str, extra: str, **options: Any) -> FileArray:
    """Open an array; its axes are those of the file, reversed.

    Parameters
    ----------
    place
        Its folder.
    driver
        tensorstore's name of the format.
    extra
        Of this package: what brings tensorstore.
    **options
        For the driver.

    Raises
    ------
    ValueError
        The extra is missing, tensorstore does not reach the place, or the array is damaged.
    """
    needed("tensorstore", extra, place)
    store = _store(place)
    with reading(place):
        return FileArray(_open(place, driver, store, options), _open, place, driver, store, options)


def _open(place: Place, driver: str, store: Any, options: dict[str, Any]) -> _Tensor:
    import tensorstore

    spec = {"driver": driver, "kvstore": store, **options}
    array = tensorstore.open(spec, read=True, open=True).result()
    return _Tensor(array.T[tensorstore.d[:].translate_to[0]])


def _store(place: Place) -> Any:
    """Describe a folder to tensorstore, which has its own ways to reach a URL."""
    if not is_remote(place):
        return {"driver": "file", "path": f"{place}/"}
    protocol, _, rest = str(place).partition("://")
    if protocol not in _REACHED:
        raise ValueError(
            f"{place} cannot be reached: tensorstore reads {', '.join(_REACHED)} and local folders."
        )
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if protocol == "s3" and endpoint:  # a store like S3, which s3fs finds by the same variable
        bucket, _, path = rest.partition("/")
        return {"driver": "s3", "bucket": bucket, "path": f"{path.strip('/')}/", "endpoint": endpoint}
    return f"{str(place).rstrip('/')}/"
