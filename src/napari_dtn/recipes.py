"""What a panel runs, as text: a command for a shell, and a program in Python."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_dtn.settings import changed_fields

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_dtn.settings import ClickSettings, FineTuneSettings, PredictSettings, Roi, VoxelSize


_WINDOWS = os.name == "nt"


@dataclass(frozen=True)
class Recipe:
    """The same run as a command and as a program.

    Parameters
    ----------
    command
        For a shell of this machine.
    python
        A program with its imports.
    """

    command: str
    python: str


@dataclass(frozen=True)
class Input:
    """A volume that was opened from a file.

    Parameters
    ----------
    path
        Its file.
    voxel_size
        In nm, (Z, Y, X), where it is known.
    channel
        Which one it is, where the file has several.
    """

    path: str
    voxel_size: VoxelSize | None
    channel: int | None = None

    @property
    def options(self) -> list[str]:
        """How a command is told its voxel size and its channel."""
        return self._options("--channel")

    @property
    def seen(self) -> list[str]:
        """How a command is told that it is what boundaries come from."""
        return ["--image", self.path, *self._options("--image-channel")]

    def _options(self, channel: str) -> list[str]:
        size = [] if self.voxel_size is None else ["--voxel-size", *map(str, self.voxel_size)]
        return [*size, *([] if self.channel is None else [channel, str(self.channel)])]

    @property
    def opened(self) -> str:
        """How it is opened in Python."""
        channel = "" if self.channel is None else f", channel={self.channel}"
        return f"dtn.open_volume({self.path!r}, voxel_size={self.voxel_size!r}{channel})"


def predict_recipe(
    image: Input, model: str, output: Path, roi: Roi, settings: PredictSettings, overwrite: bool = False
) -> Recipe:
    """Return how a volume, or a box of it, is predicted."""
    options = ["--output", str(output), "--model", model, *image.options, *_box_options(roi)]
    options += [*_options(settings), *(["--overwrite"] if overwrite else [])]
    return Recipe(
        _line(["napari-dtn", "predict", image.path, *options]),
        _PREDICT.format(
            opened=image.opened,
            model=model,
            output=str(output),
            roi=_call("Roi", _ranges(roi)),
            settings=_call("PredictSettings", changed_fields(settings)),
            overwrite=overwrite,
        ),
    )


def warp_recipe(
    image: Input, model: str, output: Path, truth: str, roi: Roi, settings: PredictSettings
) -> Recipe:
    """Return how the warps of a part of a volume are reported, and how they are computed.

    Parameters
    ----------
    image
        What the model looks at.
    model
        Whose warps.
    output
        Folder of the report.
    truth
        File of ids whose borders are the boundaries; empty where the model says where they are.
    roi
        The part.
    settings
        How the model is run.
    """
    options = ["--output", str(output), "--model", model, *image.options, *_box_options(roi)]
    options += [*(["--truth", truth] if truth else []), *_options(settings)]
    python = _WARP.format(
        opened=image.opened,
        model=model,
        roi=_call("Roi", _ranges(roi)),
        settings=_call("PredictSettings", changed_fields(settings)),
    )
    return Recipe(_line(["napari-dtn", "warp", image.path, *options]), python)


def teach_recipe(
    image: Input, folder: Path, classes: Sequence[str], parent: str, name: str, settings: FineTuneSettings
) -> Recipe:
    """Return how the annotations of a session teach a model.

    Parameters
    ----------
    image
        What is annotated.
    folder
        Of the session; it may be open meanwhile.
    classes
        Of the annotations.
    parent
        The model to start from.
    name
        Of the new one in the user's library.
    settings
        How it is taught.
    """
    annotations = str(folder / "annotations.zarr")
    command = ["napari-dtn", "train", "--from", parent, "--images", image.path, *image.options]
    command += ["--labels", annotations, "--labels-kind", "classes", "--classes", *classes]
    python = _TEACH.format(
        opened=image.opened,
        annotations=annotations,
        count=len(classes),
        classes=tuple(classes),
        parent=parent,
        folder=str(folder / "teaching"),
        settings=_call("FineTuneSettings", changed_fields(settings)),
        name=name,
    )
    return Recipe(_line([*command, *_options(settings, "teach."), "--name", name]), python)


def click_recipe(
    image: Input, boundaries: str, model: str, folder: Path, settings: ClickSettings, output: Path
) -> Recipe:
    """Return how a folder of objects is opened again, and how all of the volume is segmented likewise.

    Parameters
    ----------
    image
        What the objects are of.
    boundaries
        A prediction; empty where the model predicts.
    model
        Predicts where there are no boundaries.
    folder
        Of the session, which no panel may have open then.
    settings
        How clicks become objects.
    output
        Where the command puts the objects of the whole volume, a .zarr folder.
    """
    segmented = ["--output", str(output), *image.seen, "--prior", str(settings.threshold)]
    if boundaries:
        given = f"boundaries=StoredBoundaries.of(open_boundaries({boundaries!r}), volume)"
        commands = [["napari-dtn", "segment", boundaries, *segmented]]
    else:
        given = f"dtn.load_model({model!r})"
        predicted = f"{output.with_suffix('')} boundaries.zarr"
        commands = [
            ["napari-dtn", "predict", image.path, "--output", predicted, "--model", model, *image.options],
            ["napari-dtn", "segment", predicted, *segmented],
        ]
    call = _call("ClickSettings", changed_fields(settings))
    python = _CLICK.format(opened=image.opened, given=given, folder=str(folder), settings=call)
    return Recipe(("\n" if _WINDOWS else " && ").join(map(_line, commands)), python)


_PREDICT = """\
import napari_dtn as dtn
from napari_dtn.settings import PredictSettings, Roi

volume = {opened}
model = dtn.load_model({model!r})
for done in dtn.predict(
    model, volume, {output!r}, roi={roi}, settings={settings}, overwrite={overwrite}
):
    print(f"{{done.done}} of {{done.total}} tiles")
"""

_WARP = """\
import numpy as np

import napari_dtn as dtn
from napari_dtn.predict import Predictor
from napari_dtn.predict.warping import tile_warps
from napari_dtn.settings import PredictSettings, Roi
from napari_dtn.warp import Piece, arrow_segments

volume = {opened}
predictor = Predictor.of(
    dtn.load_model({model!r}), volume, {settings}
)
slices, y, x = {roi}.within(volume.shape)
grid, levels = predictor.grid, {{}}
for z in range(slices.start, slices.stop):
    for row in grid.rows(y):
        tiles = [grid.tile(row, column) for column in grid.columns(x)]
        for tile, warps in tile_warps(predictor, z, tiles):
            for warp in warps:  # .look(pixels), .determinant(pixels), .grid, .fiducials
                levels.setdefault(warp.level, []).append(arrow_segments(Piece(warp, *grid.owned(tile))))
for level, arrows in levels.items():
    moves = np.concatenate(arrows)[:, 1]
    mean = np.hypot(*moves.T).mean()
    print(f"level {{level}}: {{len(moves)}} fiducial points move by {{mean:.3f}} pixels on average")
"""

_TEACH = """\
from pathlib import Path

import napari_dtn as dtn
from napari_dtn.settings import FineTuneSettings
from napari_dtn.teach.data import TeachData
from napari_dtn.teach.events import Scored
from napari_dtn.teach.finetune import TeachRequest, finetune
from napari_dtn.teach.past import taught_before
from napari_dtn.teach.splitting import split
from napari_dtn.volume.intensity import estimate_intensity

volume = {opened}
known = dtn.open_volume({annotations!r}).data
settings = {settings}
parent = dtn.load_model({parent!r}, settings.device)
taught = taught_before([parent.card], volume.name, volume.shape)
regions, held_out = split(known, {count}, taught)
data = TeachData(
    volume.data, known, estimate_intensity(volume), held_out, regions, {classes!r},
    volume.name, volume.voxel_size,
)
run = finetune(TeachRequest(parent, data, Path({folder!r}), settings))
for event in run.events():
    if isinstance(event, Scored):
        print(f"step {{event.iteration}}: held out {{event.val_auc:.4f}}")
print("kept as", run.keep({name!r}).id)
"""

_CLICK = """\
import napari_dtn as dtn
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.settings import ClickSettings
from napari_dtn.volume.content import open_boundaries

volume = {opened}
session = dtn.ClickSession(
    volume, {given}, folder={folder!r}, settings={settings}
)
for _ in session.grow_steps():  # the object in work
    pass
for facts in session.objects.all():
    print(facts.id, facts.name, facts.voxels)
print("in work:", 0 if session.mask is None else session.mask.voxels, "voxels")
session.close()
"""


def _line(words: Sequence[str]) -> str:
    """Return words as one line of this system's shell."""
    return subprocess.list2cmdline(words) if _WINDOWS else shlex.join(words)


def _options(settings: Any, prefix: str = "") -> list[str]:
    """Return how a command is told what is not as it is by default."""
    options = []
    for field, value in changed_fields(settings).items():
        name = field.replace("_", "-")
        if isinstance(value, bool):
            options.append(f"--{prefix}{name}" if value else f"--{prefix}no-{name}")
        else:
            options += [f"--{prefix}{name}", str(value)]
    return options


def _ranges(roi: Roi) -> dict[str, Any]:
    return {name: ends for name in "zyx" if (ends := getattr(roi, name)) != (None, None)}


def _box_options(roi: Roi) -> list[str]:
    options = []
    for name, ends in _ranges(roi).items():
        options += [f"--{name}", ":".join("" if end is None else str(end) for end in ends)]
    return options


def _call(name: str, values: dict[str, Any]) -> str:
    return f"{name}({', '.join(f'{field}={value!r}' for field, value in values.items())})"
