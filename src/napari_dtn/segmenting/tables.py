"""What was measured of parts: files that appear whole or not at all, and the tables of all parts as one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.segment.evidence import Fragments
from napari_dtn.segment.graph import Borders
from napari_dtn.segment.joining import joined_fragments

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Measured:
    """The pieces of fragments in a part.

    Parameters
    ----------
    pieces
        Row i is piece i; row 0 is none.
    seeds
        Where the fragment of each began, a number that says where in the volume; 0 for row 0.
    """

    pieces: Fragments
    seeds: NDArray[np.int64]


def save_measured(path: Path, measured: Measured) -> None:
    """Write the pieces of a part."""
    _save(path, seeds=measured.seeds, **asdict(measured.pieces))


def load_measured(path: Path) -> Measured:
    """Read the pieces of a part."""
    arrays = _load(path)
    seeds = arrays.pop("seeds")
    return Measured(Fragments(**arrays), seeds)


def save_borders(path: Path, borders: Borders) -> None:
    """Write the borders of a part."""
    _save(path, **asdict(borders))


def load_borders(path: Path) -> Borders:
    """Read the borders of a part."""
    return Borders(**_load(path))


def joined_pieces(parts: Sequence[Measured]) -> Fragments:
    """Return the pieces of all parts, numbered on from part to part."""
    return joined_fragments([part.pieces for part in parts])


def fragment_of_each(parts: Sequence[Measured]) -> NDArray[np.int64]:
    """Return the fragment of each piece of all parts, from 1: pieces that began at one pixel are one."""
    seeds = np.concatenate([[0], *(part.seeds[1:] for part in parts)])
    return np.unique(seeds, return_inverse=True)[1].astype(np.int64)


def part_of_each(parts: Sequence[Measured]) -> NDArray[np.int64]:
    """Return the part of each piece of all parts; piece 0 is in none, -1."""
    return np.repeat(np.arange(-1, len(parts)), [1, *(len(part.seeds) - 1 for part in parts)])


def first_ids(parts: Sequence[Measured]) -> NDArray[np.int64]:
    """Return what each part adds to its own ids, so that they are numbered on from part to part."""
    return np.cumsum([0, *(len(part.seeds) - 1 for part in parts[:-1])])


def _save(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays, durably; their file says that the part is done."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)
