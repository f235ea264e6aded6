"""The folder that a session keeps its objects in, from when it is opened until it is let go of."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from napari_dtn.segment.history import OBJECTS
from napari_dtn.session.store import close_store, open_store
from napari_dtn.volume.opening import volume_from_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_dtn.volume.opening import Volume


class KeptFolder:
    """An open folder of objects.

    Parameters
    ----------
    folder
        A temporary one, which goes when it is let go of, unless given.
    image
        What the objects are of.

    Attributes
    ----------
    path
        Where it is.
    history
        What was done to the objects.
    remarks
        What of the image is not as it was when the folder was begun, in words.

    Raises
    ------
    ValueError
        The folder belongs to another volume or process.
    """

    def __init__(self, folder: str | Path | None, image: Volume) -> None:
        self._leaving, self._stays = ExitStack(), folder is not None
        self.path = Path(folder or self._leaving.enter_context(TemporaryDirectory(prefix="napari-dtn-")))
        store = open_store(self.path, image)
        self._leaving.callback(close_store, store)
        self.history, self._pyramid = store.history, store.pyramid(OBJECTS)
        self.remarks = store.remarks

    def on_leaving(self, call: Callable[[], None]) -> None:
        """Call something when the folder is let go of, before it is closed."""
        self._leaving.callback(call)

    def close(self) -> None:
        """Let go of it; a temporary one is deleted, one that stays has all its levels brought up."""
        try:
            for _ in self.follow() if self._stays else ():
                pass
        finally:
            self.leave()

    def leave(self) -> None:
        """Let go of it as it is: its coarser levels are brought up when it is opened again."""
        self._stays = False
        self._leaving.close()

    @property
    def levels(self) -> tuple[Any, ...]:
        """The labels, (Z, Y, X), and their coarser levels, each half as wide."""
        return self._pyramid.levels

    def follow(self) -> Iterator[int]:
        """Bring the coarser levels up to the labels where they changed; yield how many slices are left."""
        yield from self._pyramid.follow()

    def volume_beside(self, image: Volume) -> Volume:
        """The labels as a volume of ids, in the place of the image."""
        labels = volume_from_array(self.history.labels, image.voxel_size, f"{image.name} objects")
        return replace(labels, translation=image.translation)
