"""What can be made of kept objects: shapes, colours, files, beside the clicking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QFileDialog

from napari_dtn._napari.job import Lane, notified
from napari_dtn._napari.object_colours import ObjectColours
from napari_dtn._napari.shape_layers import Depth, show_shape

if TYPE_CHECKING:
    import napari.viewer

    from napari_dtn._napari.click_layers import ClickLayers
    from napari_dtn._napari.object_controls import ObjectControls
    from napari_dtn.session import ClickSession, ObjectFacts
    from napari_dtn.settings import ShapeFormat, ShapeKind
    from napari_dtn.shapes.mesh import Mesh
    from napari_dtn.shapes.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class _Open:
    """A session that is shown."""

    session: ClickSession
    layers: ClickLayers
    colours: ObjectColours


FORMATS: tuple[ShapeFormat, ...] = ("obj", "ply", "glb", "precomputed", "swc")
LABEL_FILES = "OME-Zarr (*.zarr);;TIFF (*.tif);;HDF5 (*.h5)"


class ObjectShapes(QObject):
    """The menu of the objects.

    Parameters
    ----------
    viewer
        Gets the shapes.
    controls
        Whose menu and table.
    change
        Asks for a change of committed objects, ``change(session)``, in its turn.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        controls: ObjectControls,
        change: Callable[[Callable[[ClickSession], str]], None],
    ) -> None:
        super().__init__(controls)
        self._viewer, self._controls, self._change = viewer, controls, change
        self._shown: _Open | None = None
        self._depth = Depth(viewer)
        self.lane = Lane(self)
        self.lane.stepped.connect(self._on_step)
        self.lane.ended.connect(self._on_ended)
        self._connect()
        controls.show_status("")
        self.leave()

    def _connect(self) -> None:
        actions: dict[str, Callable[[], None]] = {
            "mesh": partial(self._find, "mesh"),
            "skeleton": partial(self._find, "skeleton"),
            "colour": self._choose_colour,
            "no_colour": partial(self._wish, colour=""),
            "hide": partial(self._wish, hidden=True),
            "show": partial(self._wish, hidden=False),
            "save_table": self._save_table,
            "save_labels": self._save_labels,
            **{f"save_{one}": partial(self._save_shapes, one) for one in FORMATS},
        }
        for name, act in actions.items():
            self._controls.actions_[name].triggered.connect(lambda _=False, act=act: act())
        self._controls.stop.clicked.connect(self.lane.cancel)
        self._controls.table.shown.connect(self._on_ticked)

    # ---- what there is

    def show(self, session: ClickSession, layers: ClickLayers, objects: list[ObjectFacts]) -> None:
        """Show committed objects in the table, and in the colours that they have."""
        if self._shown is None or layers is not self._shown.layers:
            self._shown = _Open(session, layers, ObjectColours(layers.objects))
        self._controls.button.setEnabled(True)
        self._controls.table.rows.colour_of = self._shown.colours.name_of
        self._controls.table.show_objects(objects)
        self._shown.colours.show(objects)

    def leave(self) -> None:
        """Stop what runs; the shapes stay."""
        self.lane.cancel()
        self._shown = None
        self._controls.button.setEnabled(False)

    def close(self) -> None:
        """Follow the viewer no longer."""
        self.leave()
        self._depth.leave()

    # ---- colours

    @notified
    def _choose_colour(self) -> None:
        chosen = self._chosen()
        colour = QColorDialog.getColor(
            QColor(self._open.colours.name_of(chosen[0])), self._controls, "Colour of the objects"
        )
        if colour.isValid():
            self._wish(colour=colour.name())

    @notified
    def _wish(self, colour: str | None = None, hidden: bool | None = None) -> None:
        """Give the chosen objects a colour, or hide or show them."""
        self._change(partial(_give, ids=[one.id for one in self._chosen()], colour=colour, hidden=hidden))

    def _on_ticked(self, number: int, on: bool) -> None:
        self._change(partial(_give, ids=[number], hidden=not on))

    # ---- shapes and files

    @notified
    def _find(self, kind: ShapeKind) -> None:
        self._start(f"Finding the {kind}", partial(_shapes, self._open.session, self._chosen(), kind))

    @notified
    def _save_shapes(self, format_: ShapeFormat) -> None:
        chosen = self._chosen()
        folder = QFileDialog.getExistingDirectory(self._controls, f"Folder for the {format_.upper()} files")
        if folder:
            steps = partial(_save_shapes, self._open.session, chosen, folder, format_)
            self._start("Saving the shapes", steps)

    @notified
    def _save_table(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self._controls, "Save the table", "objects.csv", "CSV (*.csv)")
        if path:
            self._start("Saving the table", partial(_save_table, list(self._controls.table.rows.rows), path))

    @notified
    def _save_labels(self) -> None:
        path, kind = QFileDialog.getSaveFileName(
            self._controls, "Save the labels", "labels.zarr", LABEL_FILES
        )
        if path:
            suffix = kind.partition("*")[2].rstrip(")")
            path = path if Path(path).suffix else path + suffix
            self._start("Saving the labels", partial(_save_labels, self._open.session, path))

    @property
    def _open(self) -> _Open:
        if self._shown is None:
            raise ValueError("There are no objects yet: start clicking first.")
        return self._shown

    def _chosen(self) -> list[ObjectFacts]:
        chosen = self._controls.table.selected_facts
        if not chosen:
            raise ValueError("No object is chosen: choose rows of the table first.")
        return chosen

    def _start(self, what: str, steps: Callable[[], Iterator[Any]]) -> None:
        self._controls.progress.setRange(0, 0)
        self._controls.show_busy(True)
        self._controls.show_status(f"{what} …")
        self.lane.start(what, steps)

    # ---- what comes back

    def _on_step(self, step: Any) -> None:
        if isinstance(step, str):
            self._controls.show_status(step)
            return
        self._controls.progress.setRange(0, step.total)
        self._controls.progress.setValue(step.done)
        shape, path = getattr(step, "shape", None), getattr(step, "path", None)
        if shape is None:
            return
        self._controls.show_status(f"{shape.words}." if path is None else f"{shape.words}; in {path}.")
        if path is None and self._shown is not None:
            self._show(shape, self._shown)

    def _show(self, shape: Mesh | Skeleton, there: _Open) -> None:
        facts = next((one for one in self._controls.table.rows.rows if one.id == shape.id), None)
        if facts is not None:  # it may have been deleted meanwhile
            colour = there.colours.of(facts)
            show_shape(self._viewer, there.layers.image, shape, there.session.volume, colour)
            self._depth.enter()

    def _on_ended(self) -> None:
        self._controls.show_busy(False)
        if self.lane.outcome != "done":
            self._controls.show_status("Stopped." if self.lane.outcome == "cancelled" else "")


# ---- what a job does


def _shapes(session: ClickSession, objects: list[ObjectFacts], kind: ShapeKind) -> Iterator[Any]:
    """Find shapes where a layer needs them: from the centre of the first voxel."""
    from napari_dtn.shapes.running import shape_steps

    yield from shape_steps(replace(session.kept, translation=(0.0, 0.0, 0.0)), objects, kind)


def _save_shapes(
    session: ClickSession, objects: list[ObjectFacts], folder: str, format_: ShapeFormat
) -> Iterator[Any]:
    from napari_dtn.shapes.running import save_steps

    yield from save_steps(session.kept, objects, folder, format_)
    yield f"{len(objects)} shapes are in {folder}."


def _save_table(objects: list[ObjectFacts], path: str) -> Iterator[Any]:
    from napari_dtn.shapes.table import save_table

    yield f"{len(objects)} objects are in {save_table(objects, path)}."


def _save_labels(session: ClickSession, path: str) -> Iterator[Any]:
    from napari_dtn.volume.label_files import save_label_steps

    asked = Path(path).is_file()  # by the dialog, which does not ask about folders
    yield from save_label_steps(session.kept, path, overwrite=asked)
    yield f"The labels are in {path}."


def _give(
    session: ClickSession, ids: list[int], colour: str | None = None, hidden: bool | None = None
) -> str:
    """Give objects a colour, or hide or show them."""
    for number in ids:
        if colour is not None:
            session.objects.colour(number, colour)
        if hidden is not None:
            session.objects.hide(number, hidden)
    return ""
