"""The user's models: named, dated versions in a folder; nothing is ever lost without asking."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from napari_dtn.nn.bundled import CURRENT, bundled_models, current_version, library_folder, library_versions
from napari_dtn.nn.header import KEY, load_json, with_json, write_whole

_TRASH = ".trash"
_NAME = re.compile(r"[^\W_][\w .+-]{0,99}(?<![ .])")
_SUFFIX = ".safetensors"


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
        Its card, as plain JSON values; its ``name`` is the one it was kept under.
    """

    name: str
    date: str
    path: Path
    current: bool
    card: Mapping[str, Any]

    @property
    def id(self) -> str:
        """What ``load_model`` takes for this very version."""
        return f"{self.name}@{self.date}"

    @property
    def parent(self) -> str:
        """The model that its training started from; empty where the card says none."""
        return str(self.card["training"].get("parent", ""))

    @property
    def scores(self) -> Mapping[str, Any]:
        """What was measured: ``held_out`` (before, after), ``phantom`` (before, after)."""
        scores: Mapping[str, Any] = self.card["scores"]
        return scores


class Library:
    """The models of this user, by default in ``user_data_dir("napari-dtn")/models``.

    ``napari_dtn.load_model(name)`` and ``--model name`` take the current version of a name, and every other
    one as ``name@date``. A folder holds the versions of a name, and a file that says which is the current
    one; deleted versions lie in the same way under ``.trash``.

    Parameters
    ----------
    folder
        Elsewhere; the environment variable ``NAPARI_DTN_LIBRARY`` does the same, also for ``load_model``.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder else library_folder()

    def versions(self) -> list[Version]:
        """Return all versions, by name, the newest first; files that are no models are left out."""
        return _listed(self.folder, current=True)

    def trash(self) -> list[Version]:
        """Return what was deleted and can be restored."""
        return _listed(self.folder / _TRASH, current=False)

    def add(self, file: str | Path, name: str, measured: Mapping[str, Any] | None = None) -> Version:
        """Copy a model file into the library as a new version of ``name``, which then stands for it.

        Parameters
        ----------
        file
            Any model of napari-dtn, also one that somebody shared.
        name
            Of the model.
        measured
            More scores for its card.

        Raises
        ------
        ValueError
            The name is empty, that of a bundled model, or no name for a file; or the file is no model.
        """
        check_name(name)
        name = self._spelled(name)
        card = load_json(Path(file), KEY)
        card = {**card, "name": name, "scores": {**card["scores"], **(measured or {})}}
        target = self._free(name)
        write_whole(target, with_json(Path(file), KEY, card))
        self._point(name, target.stem)
        return Version(name, target.stem, target, True, card)

    def rename(self, old: str, new: str) -> None:
        """Give all versions of a model another name. ValueError where it is taken or not allowed."""
        check_name(new)
        if (self.folder / (known := self._spelled(new))).exists() and known != old:
            raise ValueError(f"There is a model {known!r} already; choose another name.")
        (self.folder / old).rename(self.folder / new)

    def _spelled(self, name: str) -> str:
        """Return a name as the model that has it spells it: capitals do not count on every file system."""
        known = [one.name for one in self.folder.glob("*")]
        alike = (one for one in known if one.casefold() == name.casefold())
        return name if name in known else next(alike, name)

    def revert(self, version: Version) -> None:
        """Let a name stand for this version."""
        self._point(version.name, version.date)

    def delete(self, version: Version) -> None:
        """Move a version to the trash."""
        _move(version.path, self.folder / _TRASH / version.name)

    def restore(self, version: Version) -> None:
        """Bring a version back from the trash."""
        _move(version.path, self.folder / version.name)

    def share(self, version: Version, path: str | Path, overwrite: bool = False) -> None:
        """Write a version as one file: ``.safetensors``, or ``.zip``, a bioimage.io package.

        Raises
        ------
        ValueError
            The path has another suffix.
        FileExistsError
            It exists, and ``overwrite`` is not set.
        """
        target = Path(path)
        _check_there(version.path)
        if target.suffix == ".zip":
            _export(version, target, overwrite)
        elif target.suffix != _SUFFIX:
            raise ValueError(f"{target.name} must end in {_SUFFIX}, or in .zip for a bioimage.io package.")
        elif target.exists() and not overwrite:
            raise FileExistsError(f"{target} exists; choose another name, or overwrite it.")
        else:
            write_whole(target, version.path.read_bytes())

    def _free(self, name: str) -> Path:
        """A file for a new version: its date, and a number where a second had two."""
        date = datetime.now().strftime("%Y-%m-%d %H.%M.%S")
        dates = (date if number == 1 else f"{date} {number}" for number in count(1))
        taken = (self.folder / name, self.folder / _TRASH / name)
        chosen = next(one for one in dates if not any((at / f"{one}{_SUFFIX}").exists() for at in taken))
        return self.folder / name / f"{chosen}{_SUFFIX}"

    def _point(self, name: str, date: str) -> None:
        write_whole(self.folder / name / CURRENT, date.encode())


def check_name(name: str) -> None:
    """Refuse what is no name for a model of the user's, with a ValueError that says why."""
    if name in bundled_models():
        raise ValueError(f"{name} is the name of a model that comes with napari-dtn; choose another.")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be a model's name: begin with a letter or digit, "
            "and go on with letters, digits, spaces, and any of . _ + -"
        )


def _listed(folder: Path, current: bool) -> list[Version]:
    found = []
    for name, files in library_versions(folder).items():
        chosen = current_version(files) if current else None
        found += [_version(name, path, path == chosen) for path in files if _is_model(path)]
    return found


def _version(name: str, path: Path, current: bool) -> Version:
    return Version(name, path.stem, path, current, load_json(path, KEY))


def _is_model(path: Path) -> bool:
    try:
        return bool(load_json(path, KEY))
    except ValueError:
        return False


def _move(file: Path, folder: Path) -> None:
    """Move a file, and remove the folder that it leaves empty."""
    _check_there(file)
    folder.mkdir(parents=True, exist_ok=True)
    file.rename(folder / file.name)
    if not any(file.parent.glob(f"*{_SUFFIX}")):
        (file.parent / CURRENT).unlink(missing_ok=True)
        if not any(file.parent.iterdir()):
            file.parent.rmdir()


def _check_there(file: Path) -> None:
    if not file.exists():
        raise FileNotFoundError(
            f"{file} is gone: the model may have another name by now, or be deleted; list the versions again."
        )


def _export(version: Version, target: Path, overwrite: bool) -> None:
    from napari_dtn.export import export
    from napari_dtn.nn.checkpoint import load_model

    export(load_model(version.path, "cpu"), "bioimageio", target, overwrite)
