"""The user's models: named, dated versions in a folder; nothing is ever lost without asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Version:
    """One version of a model in the library.

    Parameters
    ----------
    name
        The model's name, which all its versions share.
    date
        When it was kept, local time, ``2026-03-01 14.05.09``; unique for its name.
    path
        Its ``.safetensors`` file.
    current
        Whether the name stands for this version.
    card
        Its card, as plain JSON values.
    """

    name: str
    date: str
    path: Path
    current: bool
    card: Mapping[str, Any]

    @property
    def parent(self) -> str:
        """The model that its training started from."""
        return str(self.card["training"].get("parent", ""))

    @property
    def scores(self) -> Mapping[str, Any]:
        """What was measured: ``held_out`` (before, after), ``phantom`` (before, after)."""
        scores: Mapping[str, Any] = self.card["scores"]
        return scores


class Library:
    """The models of this user, by default in ``user_data_dir("napari-dtn")/models``.

    ``napari_dtn.load_model(name)`` and ``--model name`` take the current version of a name, and every other
    one as ``name@date``.

    Parameters
    ----------
    folder
        Elsewhere; the environment variable ``NAPARI_DTN_LIBRARY`` does the same.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        raise NotImplementedError

    def versions(self) -> list[Version]:
        """Return all versions, by name, the newest first."""
        raise NotImplementedError

    def trash(self) -> list[Version]:
        """Return what was deleted and can be restored."""
        raise NotImplementedError

    def add(self, file: str | Path, name: str) -> Version:
        """Copy a model file into the library as a new version of ``name``, which then stands for it.

        Raises
        ------
        ValueError
            The name is empty, that of a bundled model, or no name for a file; or the file is no model.
        """
        raise NotImplementedError

    def rename(self, old: str, new: str) -> None:
        """Give all versions of a model another name. ValueError where it is taken or not allowed."""
        raise NotImplementedError

    def revert(self, version: Version) -> None:
        """Let a name stand for this version."""
        raise NotImplementedError

    def delete(self, version: Version) -> None:
        """Move a version to the trash."""
        raise NotImplementedError

    def restore(self, version: Version) -> None:
        """Bring a version back from the trash."""
        raise NotImplementedError

    def share(self, version: Version, path: str | Path, overwrite: bool = False) -> None:
        """Write a version as one file: ``.safetensors``, or ``.zip``, a bioimage.io package."""
        raise NotImplementedError
