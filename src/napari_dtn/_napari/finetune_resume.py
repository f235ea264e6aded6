"""What a training in the panel needs to be gone on with after a crash: beside its state, in its folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dtn._napari.finetune_lesson import Lesson
from napari_dtn.settings import FineTuneSettings

if TYPE_CHECKING:
    from napari_dtn._napari.layers import Snapshot

_LESSON, _ANNOTATION = "lesson.json", "annotation.npz"
_STATES = ("latest.resume.safetensors", "latest.safetensors")


def is_unfinished(folder: Path) -> bool:
    """Whether a folder has a training that was interrupted, or never kept."""
    return (folder / _LESSON).is_file() and any((folder / name).is_file() for name in _STATES)


def written(lesson: Lesson) -> Lesson:
    """Put a lesson into its folder, in place of what was there; whatever is painted later, it stays so."""
    import numpy as np

    from napari_dtn.teach.pieces import Pieces, read_pieces

    if lesson.folder.exists() and any(lesson.folder.iterdir()) and not (lesson.folder / _LESSON).is_file():
        raise FileExistsError(f"{lesson.folder} holds other files; choose another folder under “Kept in”.")
    shutil.rmtree(lesson.folder, ignore_errors=True)
    lesson.folder.mkdir(parents=True)
    pieces = read_pieces(lesson.annotation, lesson.regions)
    facts = {
        "parent": lesson.parent,
        "name": lesson.name,
        "classes": lesson.classes,
        "settings": asdict(lesson.settings),
        "held_out": [_numbers(box) for box in lesson.held_out],
        "regions": [_numbers(box) for box in lesson.regions],
        "pieces": [_numbers(piece.box) for piece in pieces],
    }
    (lesson.folder / _LESSON).write_text(json.dumps(facts))  # first: it says whose folder this is
    np.savez_compressed(lesson.folder / _ANNOTATION, *(piece.known for piece in pieces))
    return replace(lesson, annotation=Pieces(lesson.image.volume.shape, tuple(pieces)))


def read(folder: Path, image: Snapshot) -> Lesson:
    """Return the lesson of an interrupted training."""
    import numpy as np

    from napari_dtn.teach.pieces import Piece, Pieces

    facts: dict[str, Any] = json.loads((folder / _LESSON).read_text())
    with np.load(folder / _ANNOTATION) as known:
        arrays = [known[f"arr_{number}"] for number in range(len(facts["pieces"]))]
    boxes = [_box(numbers) for numbers in facts["pieces"]]
    pieces = tuple(Piece(z.start, y, x, one) for (z, y, x), one in zip(boxes, arrays, strict=True))
    return Lesson(
        image,
        Pieces(image.volume.shape, pieces),
        tuple(facts["classes"]),
        tuple(map(_box, facts["held_out"])),
        tuple(map(_box, facts["regions"])),
        facts["parent"],
        facts["name"],
        FineTuneSettings(**facts["settings"]),
        folder,
    )


def _numbers(box: tuple[slice, slice, slice]) -> list[list[int]]:
    return [[side.start, side.stop] for side in box]


def _box(numbers: list[list[int]]) -> tuple[slice, slice, slice]:
    z, y, x = (slice(start, stop) for start, stop in numbers)
    return z, y, x
