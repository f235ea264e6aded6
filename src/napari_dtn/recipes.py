"""What a panel runs, as text: a command for a shell, and a program in Python."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dtn.settings import ClickSettings, PredictSettings, Roi, VoxelSize


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
    """

    path: str
    voxel_size: VoxelSize | None

    @property
    def options(self) -> list[str]:
        """How a command is told its voxel size."""
        return ["--voxel-size", *map(str, self.voxel_size)] if self.voxel_size else []

    @property
    def opened(self) -> str:
        """How it is opened in Python."""
        return f"dtn.open_volume({self.path!r}, voxel_size={self.voxel_size!r})"


def predict_recipe(
    image: Input, model: str, output: Path, roi: Roi, settings: PredictSettings, overwrite: bool = False
) -> Recipe:
    """Return how a volume, or a box of it, is predicted."""
    ranges = {name: ends for name in "zyx" if (ends := getattr(roi, name)) != (None, None)}
    options = ["--output", str(output), "--model", model, *image.options]
    for name, ends in ranges.items():
        options += [f"--{name}", ":".join("" if end is None else str(end) for end in ends)]
    changed = _changed(settings)
    for name, value in changed.items():
        options += [f"--{name.replace('_', '-')}", str(value)]
    options += ["--overwrite"] if overwrite else []
    return Recipe(
        shlex.join(["napari-dtn", "predict", image.path, *options]),
        _PREDICT.format(
            opened=image.opened,
            model=model,
            output=str(output),
            roi=_call("Roi", ranges),
            settings=_call("PredictSettings", changed),
            overwrite=overwrite,
        ),
    )


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
    segmented = ["--output", str(output), "--image", image.path, "--prior", str(settings.threshold)]
    if boundaries:
        given = f"boundaries=StoredBoundaries.of(dtn.open_volume({boundaries!r}), volume)"
        commands = [["napari-dtn", "segment", boundaries, *segmented]]
    else:
        given = f"dtn.load_model({model!r})"
        predicted = f"{output.with_suffix('')} boundaries.zarr"
        commands = [
            ["napari-dtn", "predict", image.path, "--output", predicted, "--model", model, *image.options],
            ["napari-dtn", "segment", predicted, *segmented],
        ]
    call = _call("ClickSettings", _changed(settings))
    python = _CLICK.format(opened=image.opened, given=given, folder=str(folder), settings=call)
    return Recipe(" && ".join(map(shlex.join, commands)), python)


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

_CLICK = """\
import napari_dtn as dtn
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.settings import ClickSettings

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


def _changed(settings: Any) -> dict[str, Any]:
    """Return the fields that are not as they are by default."""
    return {f.name: value for f in fields(settings) if (value := getattr(settings, f.name)) != f.default}


def _call(name: str, values: dict[str, Any]) -> str:
    return f"{name}({', '.join(f'{field}={value!r}' for field, value in values.items())})"
