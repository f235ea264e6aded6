"""The half of the panel that annotates: what is painted, drawn or taken over is kept as it is made."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_dtn._napari import finetune_desk as desk
from napari_dtn._napari import finetune_tasks as tasks
from napari_dtn._napari.annotation_layer import BRUSH, POLYGON, AnnotationLayer, taken_boxes
from napari_dtn._napari.annotation_list import Place
from napari_dtn._napari.click_keys import REDO, UNDO
from napari_dtn._napari.finetune_controls import CLASSES_AT_FIRST, FORGET, AnnotateControls, say
from napari_dtn._napari.job import Lane, notified
from napari_dtn._napari.layers import check_image, ids_over, snapshot_of
from napari_dtn._napari.slice_marks import marks_of
from napari_dtn._napari.tasks import Desk, Request
from napari_dtn._napari.view import fly_to
from napari_dtn.settings import PredictSettings, spare_cores

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

    from napari_dtn.annotate import Annotations, Suggestion
    from napari_dtn.teach.uncertainty import Suggesting


class Annotating(QObject):
    """Does what its controls say.

    Parameters
    ----------
    viewer
        Gets the layers, and keys.
    controls
        Theirs.
    chosen
        Returns the image layer that is chosen.
    folder
        Returns where to keep annotations.
    model
        Returns the name or path of the model that says where to annotate next.

    Signals
    -------
    said
        Words for people.
    opened, closed
        The annotations are there, or no longer.
    """

    said = Signal(str)
    opened = Signal()
    closed = Signal()
    _edited = Signal()

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        controls: AnnotateControls,
        chosen: Callable[[], Any],
        folder: Callable[[], Path],
        model: Callable[[], str],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self.controls = viewer, controls
        self._chosen, self._folder, self._model = chosen, folder, model
        self.desk, self._models = desk.AnnotationDesk(), Desk()
        self.layer: AnnotationLayer | None = None
        self.image: Any = None
        self.folder = Path()
        self.lane, self.suggest_lane = Lane(self), Lane(self)
        self._connect()
        controls.show_on(False)

    def _connect(self) -> None:
        controls = self.controls
        controls.on.clicked.connect(self._toggle)
        controls.classes.chosen.connect(self.use)
        controls.brush.clicked.connect(partial(self._take, BRUSH))
        controls.polygon.clicked.connect(partial(self._take, POLYGON))
        controls.box.clicked.connect(self._draw_boxes)
        controls.undo.clicked.connect(partial(self.ask, desk.undone))
        controls.redo.clicked.connect(partial(self.ask, desk.redone))
        controls.add_ids.clicked.connect(self._add_ids)
        controls.add_objects.clicked.connect(partial(self.ask, desk.took_objects))
        controls.regions.chosen.connect(self._fly)
        controls.suggestions.chosen.connect(self._fly)
        controls.suggest.clicked.connect(self._suggest)
        controls.next.clicked.connect(controls.suggestions.fly_to_next)
        self.lane.stepped.connect(self._show)
        self.lane.ended.connect(self._on_ended)
        self.suggest_lane.stepped.connect(self._show_suggestions)
        self._edited.connect(partial(self.ask, desk.listed))
        self._viewer.layers.events.removed.connect(self._on_removed)

    @property
    def annotations(self) -> Annotations:
        """What is open.

        Raises
        ------
        ValueError
            Nothing is.
        """
        if self.desk.annotations is None or self.layer is None:
            raise ValueError("Nothing is annotated yet: press “New annotation” under Annotate, and paint.")
        return self.desk.annotations

    # ---- on and off

    @notified
    def _toggle(self, on: bool) -> None:
        self.controls.show_on(False)
        if not on:
            self.leave()
            return
        self.image = self._chosen()
        check_image(self.image, self._viewer.layers)
        self.folder = self._folder()
        typed = self.controls.names.text()
        names = (
            [name.strip() for name in typed.split(",") if name.strip()] if typed != CLASSES_AT_FIRST else []
        )
        self.controls.show_on(True)
        self.said.emit("Opening the annotations …")
        steps = partial(self.desk.open, snapshot_of(self.image), self.folder, names)
        self.lane.start("Opening the annotations", steps)

    def leave(self) -> None:
        """Close the annotations; all of them are on disk."""
        self.suggest_lane.cancel()
        self.controls.show_on(False)
        self.controls.names.setText(CLASSES_AT_FIRST)  # those of the next image may be others
        layer, self.layer = self.layer, None
        if layer is not None:
            layer.retire()
            self._viewer.bind_key("N", None, overwrite=True)
            self._mark([])
        if not self.lane.busy:  # otherwise once what waits is on disk
            self._close()

    def _finish(self) -> None:
        """Do what waits, then close."""
        if self.desk.waiting and self.desk.annotations is not None:
            self.lane.start("That", self.desk.run)
        else:
            self._close()

    def _close(self) -> None:
        if self.desk.annotations is not None:
            self.desk.annotations.changed.disconnect(self._on_edit)
            self.desk.close()
            self.closed.emit()

    def _on_removed(self, event: Any) -> None:
        if self.layer is not None and event.value is self.layer.layer:
            self.leave()

    # ---- what is said

    def ask(self, action: desk.Action, *_: Any) -> None:
        """Do something with the annotations, after what waits."""
        if self.layer is None:
            return
        self.desk.ask(action)
        if not self.lane.busy:
            self.lane.start("That", self.desk.run)

    def use(self, value: int) -> None:
        """Paint a class from now on: 1 + class, 0 to forget."""
        if self.layer is not None:
            self.layer.use(value)
            self.controls.classes.check(value)

    def _take(self, tool: str, checked: bool = False) -> None:
        if self.layer is not None:
            self.layer.use(int(self.layer.layer.selected_label), tool)

    def _on_stroke(self, event: Any = None) -> None:
        QTimer.singleShot(0, self._record)  # napari says so just before it paints

    def _record(self) -> None:
        patches = self.layer.painted.take() if self.layer is not None else []
        if patches:
            self.ask(desk.painted(patches))

    def _draw_boxes(self, checked: bool = False) -> None:
        if self.layer is not None:
            boxes = self.layer.boxes()
            boxes.events.data.disconnect(self._on_box)
            boxes.events.data.connect(self._on_box)
            self._bind(boxes)
            self.said.emit("Draw a rectangle in which all boundary is painted.")

    def _on_box(self, event: Any) -> None:
        if str(getattr(event, "action", "")) in ("added", "ActionType.ADDED"):
            QTimer.singleShot(0, self._take_boxes)  # napari goes on with the shape after this

    def _take_boxes(self) -> None:
        if self.layer is not None:
            for box in taken_boxes(self.layer.boxes(), self.annotations.labels.shape):
                self.ask(desk.reviewed(box))

    @notified
    def _add_ids(self, checked: bool = False) -> None:
        labels = self.controls.ids.layer
        if labels is None:
            raise ValueError(
                "There is no Labels layer to take ids from: open a segmentation of this volume. One of 8 or "
                "16 bits opens as an image: right-click its layer, “Convert to Labels”."
            )
        self.ask(desk.took_ids(*ids_over(labels, self.annotations.labels.shape, self.image)))

    def _on_edit(self, edit: Any) -> None:
        """Follow what another panel does; called in its thread."""
        if not self.desk.acting:
            self._edited.emit()

    # ---- what comes back

    def _show(self, step: desk.Annotated) -> None:
        if not self.controls.on.isChecked() or self.image not in self._viewer.layers:
            return
        if self.layer is None:
            self._set_up(step.annotations)
        assert self.layer is not None
        self.layer.show(settled=not self.desk.waiting)
        names = step.annotations.classes
        counts = [f"{name} {count:,}" for name, count in zip(names, step.pixels, strict=True)]
        say(self.controls.pixels, f"Pixels: {', '.join(counts)}")
        self.controls.regions.show_places(
            Place(f"slice {one.region.z} · {one.region.size:,} px", one.region.centre, one.picture)
            for one in step.regions
        )
        if step.words:
            self.said.emit(step.words)

    def _set_up(self, annotations: Annotations) -> None:
        self.layer = AnnotationLayer(self._viewer, self.image, annotations)
        self.layer.layer.events.paint.connect(self._on_stroke)
        annotations.changed.connect(self._on_edit)
        self.controls.names.setText(", ".join(annotations.classes))
        self.controls.classes.show_classes(annotations.classes)
        self._bind(self.layer.layer)
        for value in range(FORGET, min(len(annotations.classes), 9) + 1):
            self.layer.layer.bind_key(str(value), lambda _, value=value: self.use(value), overwrite=True)
        self._viewer.bind_key("N", lambda _: self.controls.suggestions.fly_to_next(), overwrite=True)
        self.use(1)
        self.said.emit("Paint some of each class; the keys are their numbers, 0 forgets.")
        self.opened.emit()

    def _bind(self, layer: napari.layers.Layer) -> None:
        """Let undo and redo be ours while a layer of ours is chosen."""
        for key, action in ((UNDO, desk.undone), (REDO, desk.redone)):
            layer.bind_key(key, lambda _, action=action: self.ask(action), overwrite=True)

    def _on_ended(self) -> None:
        if self.layer is None:
            self.controls.show_on(False)
            self._finish()
        elif self.desk.waiting:
            self.lane.start("That", self.desk.run)

    # ---- where to go

    def _fly(self, at: tuple[int, int, int]) -> None:
        if self.image in self._viewer.layers:
            fly_to(self._viewer, self.image, at)

    @notified
    def _suggest(self, checked: bool = False) -> None:
        settings = PredictSettings(backend="eager", threads=spare_cores())
        request = Request(snapshot_of(self.image), self._model(), settings)
        steps = partial(tasks.suggest, self._models, request, self.annotations)
        self.suggest_lane.start("Looking where to annotate", steps)

    def _show_suggestions(self, step: Suggesting) -> None:
        if step.done < step.total:
            self.said.emit(f"Looking where to annotate next … {step.done} of {step.total} places")
            return
        found = step.suggestions
        self.controls.suggestions.show_places(
            Place(_suggestion_words(number, one), one.centre) for number, one in enumerate(found, 1)
        )
        self._mark([one.z for one in found])
        self.said.emit("N flies to the next of these places.")

    def _mark(self, slices: list[int]) -> None:
        marks = marks_of(self.controls.window(), self._viewer.dims.ndim - 3)
        if marks is not None:
            marks.show_slices(slices)


def _suggestion_words(number: int, one: Suggestion) -> str:
    return f"{number}. slice {one.z} · unsure {one.uncertainty:.2f}, new {one.unlikeness:.2f}"
