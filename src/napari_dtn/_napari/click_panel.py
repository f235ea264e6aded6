"""The panel "Segment by clicking": a click becomes an object, and nothing that was said is lost."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QFileDialog, QMessageBox, QVBoxLayout, QWidget

from napari_dtn._napari import click_desk as desk
from napari_dtn._napari.click_controls import ClickControls
from napari_dtn._napari.click_input import Clicks
from napari_dtn._napari.click_keys import Keys
from napari_dtn._napari.click_layers import ClickLayers
from napari_dtn._napari.copying import CopyButtons, input_of
from napari_dtn._napari.job import Lane, notified, notify_error, show_logged_warnings
from napari_dtn._napari.layer_choice import LayerChoice
from napari_dtn._napari.layers import (
    BOUNDARIES,
    check_image,
    class_of,
    default_output,
    path_of,
    role_of,
    snapshot_of,
)
from napari_dtn._napari.model_news import news
from napari_dtn._napari.object_shapes import ObjectShapes
from napari_dtn._napari.proof_controls import EVERYWHERE
from napari_dtn._napari.proof_layer import show_doubt
from napari_dtn._napari.proof_tasks import Asked, Proofreading, confined
from napari_dtn._napari.region import region_of
from napari_dtn._napari.stack import SliceStack
from napari_dtn._napari.view import fly_to
from napari_dtn.nn.bundled import known_models
from napari_dtn.recipes import click_recipe
from napari_dtn.settings import PredictSettings, spare_cores
from napari_dtn.words import is_boundary

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer
    from qtpy.QtGui import QCloseEvent

    from napari_dtn.recipes import Recipe
    from napari_dtn.session import ObjectFacts

JOURNAL = "journal.sqlite"  # its presence makes a folder a session; asking the core would load zarr


class ClickPanel(QWidget):
    """Objects of an image layer, by clicks.

    Parameters
    ----------
    viewer
        Its layers are offered, and it gets those with the objects.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName("click")
        self._viewer = viewer
        self._desk = desk.ClickDesk()
        self._layers: ClickLayers | None = None
        self._choice = LayerChoice(viewer)
        self.controls = ClickControls(self._choice)
        self._lane = Lane(self)
        self._shapes = ObjectShapes(viewer, self.controls.kept, lambda change: self._ask(desk.edited(change)))
        self._lanes = [self._lane, self._shapes.lane]
        self._clicks = Clicks(viewer, self)
        self._proof = Proofreading()
        self._keys = Keys(
            viewer,
            {
                "commit": partial(self._ask, desk.committed),
                "drop": partial(self._ask, desk.dropped, True),
                "undo": partial(self._ask, desk.undone, True),
                "redo": partial(self._ask, desk.redone, True),
                "in_slice": partial(self._find, False),
                "through": partial(self._find, True),
                "swap": self._swap,
                "merge": partial(self._use, "merge"),
                "delete": partial(self._use, "delete"),
                "merging": self.controls.proof.buttons["merging"].toggle,
                "doubt": self._doubt,
                "yes": partial(self._answer, True),
                "no": partial(self._answer, False),
            },
            self.controls.show_keys,
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.controls)
        layout.addWidget(CopyButtons("click", self._recipe))
        self._connect()
        self._on_layer_changed()
        self.controls.show_on(False)
        show_logged_warnings()

    def _connect(self) -> None:
        controls = self.controls
        self._choice.layer_changed.connect(self._on_layer_changed)
        for event in (self._viewer.layers.events.inserted, self._viewer.layers.events.removed):
            event.connect(self._show_sources)
        news.changed.connect(self._show_sources)
        controls.on.clicked.connect(self._toggle)
        controls.folder_choice.clicked.connect(self._choose_folder)
        for name, action, outdates in (
            ("commit", desk.committed, False),
            ("drop", desk.dropped, True),
            ("undo", desk.undone, True),
            ("redo", desk.redone, True),
        ):
            controls.actions_[name].clicked.connect(partial(self._ask, action, outdates))
        controls.actions_["stop"].clicked.connect(self._lane.cancel)
        for name, button in controls.tools.items():
            button.clicked.connect(partial(self._use, name))
        for changed in (
            controls.threshold.valueChanged,
            controls.mode.currentIndexChanged,
            controls.overlap.currentIndexChanged,
        ):
            changed.connect(self._on_settings)
        controls.objects.chosen.connect(self._fly)
        controls.objects.renamed.connect(self._rename)
        controls.objects.locked.connect(self._lock)
        self._clicks.clicked.connect(self._on_click)
        self._clicks.scribbled.connect(self._on_scribble)
        self._clicks.crossed.connect(lambda points: self._ask(self._proof.crossed(points)))
        proof = controls.proof
        proof.buttons["merging"].toggled.connect(self._on_merging)
        proof.buttons["doubt"].clicked.connect(self._doubt)
        proof.buttons["yes"].clicked.connect(partial(self._answer, True))
        proof.buttons["no"].clicked.connect(partial(self._answer, False))
        proof.apply.clicked.connect(self._confine)
        self._lane.stepped.connect(self._on_step)
        self._lane.ended.connect(self._on_ended)

    # ---- the panel comes and goes

    def event(self, event: QEvent) -> bool:
        """Stop when the panel is taken out of its dock: napari hides it and keeps it."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._leave()
        return bool(super().event(event))

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Stop what runs."""
        self._leave()
        self._shapes.close()
        super().closeEvent(event)

    def _leave(self) -> None:
        self._clicks.watch(None)
        self._shapes.leave()
        self._desk.forget()
        self._lane.cancel()
        if self._layers is not None:
            self._keys.unbind()
            show_doubt(self._viewer, self._layers.image, None)
            self._layers.remove()
            self._layers = None
        self.controls.show_on(False)
        if not self._lane.busy:
            self._desk.close()

    # ---- what is chosen

    def _on_layer_changed(self) -> None:
        layer = self._choice.layer
        self.controls.folder.setText("" if layer is None else str(default_output(layer, "objects")))
        self._show_sources()

    def _show_sources(self, event: Any = None) -> None:
        """Offer the boundary layers of the image, then the models."""
        image = self._choice.layer
        layers = [one for one in self._viewer.layers if image is not None and _is_whole(one, image)]
        sources = [_source_of(layer, image) for layer in layers]
        models = [desk.Source(f"predict with {name}", model=name) for name in known_models()]
        self.controls.show_sources(sources + models)

    def _choose_folder(self, checked: bool = False) -> None:
        folder = QFileDialog.getExistingDirectory(
            self, "Where to keep the objects", self.controls.folder.text()
        )
        if folder:
            self.controls.folder.setText(folder)

    # ---- on and off

    def _toggle(self, on: bool) -> None:
        try:
            if on:
                self._start()
            else:
                self._leave()
        except Exception as error:  # the window must survive whatever a button does
            notify_error(error, "Starting")
            self.controls.show_on(False)

    def _start(self) -> None:
        image = self._choice.layer
        check_image(image, self._viewer.layers)
        assert image is not None
        folder = self._folder()
        if (folder / JOURNAL).is_file() and not self._goes_on(folder):
            folder = _next_free(folder)
            self.controls.folder.setText(str(folder))
        source = self.controls.source.currentData()
        predict = PredictSettings(threads=spare_cores())
        self._image = image
        steps = partial(self._desk.open, snapshot_of(image), source, folder, predict)
        self.controls.show_on(True)
        self._show_status("Opening the objects …")
        self.controls.show_progress(0, 0)
        self._lane.start("Opening the objects", steps)

    def _folder(self) -> Path:
        text = self.controls.folder.text().strip()
        if not text:
            raise ValueError("“Objects in” is empty; type the path of a folder.")
        return Path(text).expanduser()

    def _recipe(self) -> Recipe:
        """Return how this folder is opened again, and how the whole volume is segmented likewise."""
        layer, source = self._choice.layer, self.controls.source.currentData()
        check_image(layer, self._viewer.layers)
        assert layer is not None
        if not source.model and source.path is None:
            raise ValueError(f"{source.name} was not opened from a file, so no command can name it.")
        settings, folder = self.controls.settings, self._folder()
        output = folder.with_name(f"{folder.name} of all.zarr")
        return click_recipe(input_of(layer), source.path or "", source.model, folder, settings, output)

    def _goes_on(self, folder: Path) -> bool:
        text = (
            f"{folder} has objects from before: all that were kept, and what was said about the one in work. "
            "Go on with them? “No” begins in a new folder."
        )
        answer = QMessageBox.question(self, "Go on with these objects?", text)
        return bool(answer == QMessageBox.StandardButton.Yes)

    # ---- what is asked

    def _ask(self, action: desk.Action, outdates: bool = False, *_: Any) -> None:
        if self._layers is None:
            return
        self._desk.ask(action, outdates)
        if not self._lane.busy:
            self._lane.start("That", self._desk.run)

    def _on_click(self, at: tuple[int, int, int], positive: bool) -> None:
        self._show_status("Looking …")
        self._ask(desk.clicked(at, positive), True)

    def _on_scribble(self, points: tuple[tuple[int, int, int], ...], positive: bool) -> None:
        self._ask(desk.scribbled(points, positive), True)

    def _on_stroke(self, event: Any) -> None:
        QTimer.singleShot(0, self._record)  # napari says so just before it paints

    def _record(self) -> None:
        if self._layers is not None:
            self._ask(desk.edited(partial(desk.record, patches=self._layers.painted.take())))

    def _on_settings(self, value: int = 0) -> None:
        self._ask(desk.set_up(self.controls.settings), True)

    def _use(self, tool: str, *_: Any) -> None:
        """Use a tool on the chosen rows."""
        self._ask(desk.edited(partial(desk.TOOLS[tool], chosen=self.controls.objects.selected)))

    def _find(self, through: bool) -> None:
        """Find the object in work again, in the slice or through the slices."""
        mode = self.controls.mode
        mode.setCurrentIndex(mode.findData(through))
        self._on_settings()

    def _swap(self) -> None:
        self._clicks.swapped = not self._clicks.swapped
        self._show_status(f"Left click {'excludes' if self._clicks.swapped else 'includes'} now.")

    def _on_merging(self, on: bool) -> None:
        self._clicks.merging = on
        self._show_status("Drag across kept objects, or click on two, to merge them." if on else "")

    def _doubt(self, *_: Any) -> None:
        self._ask(self._proof.next_doubt(self.controls.objects.selected))

    def _answer(self, together: bool, *_: Any) -> None:
        self._ask(self._proof.answered(together, self.controls.objects.selected))

    @notified
    def _confine(self, checked: bool = False) -> None:
        proof, box = self.controls.proof, None
        if self._layers is None:
            return
        if proof.kind.currentText() != EVERYWHERE or proof.slices.text().strip():
            roi = region_of(self._viewer, self._image, proof.kind.currentText(), proof.slices.text())
            box = roi.within(self._layers.shape)
        self._ask(confined(box), True)

    def _rename(self, number: int, name: str) -> None:
        self._ask(desk.edited(partial(desk.rename, number=number, name=name)))

    def _lock(self, number: int, on: bool) -> None:
        self._ask(desk.edited(partial(desk.lock, number=number, on=on)))

    def _fly(self, facts: ObjectFacts) -> None:
        if self._layers is not None:
            fly_to(self._viewer, self._layers.objects, facts.centroid)

    # ---- what comes back

    def _on_step(self, step: Any) -> None:
        if isinstance(step, desk.State):
            self._show_state(step)
        elif isinstance(step, desk.Followed):
            if self._layers is not None and not step.left:
                self._layers.show_objects()
        elif isinstance(step, Asked):
            if self._layers is not None:
                show_doubt(self._viewer, self._layers.image, step.doubt)
        elif self._layers is not None and hasattr(step, "mask"):
            self._layers.show_mask(step.mask)
            self._show_status(f"Looking … {step.mask.voxels:,} voxels in {step.slices} slices.")
        elif hasattr(step, "done"):
            self.controls.show_progress(step.done, step.total)
            self._show_what_was_said(step.done)

    def _show_what_was_said(self, done: int) -> None:
        """Show the clicks as soon as their object is looked for."""
        if done == 1 and self._layers is not None and self._desk.session is not None:
            self._layers.show_prompts(self._desk.session.active.prompts)

    def _show_state(self, state: desk.State) -> None:
        if not self.controls.on.isChecked() or self._image not in self._viewer.layers:
            return
        if self._layers is None or not self._layers.there():
            self._layers = ClickLayers(self._viewer, self._image, state.session)
            self._keys.bind()
            self._layers.objects.events.paint.connect(self._on_stroke)
            self._clicks.watch(self._image)
            self.controls.show_settings(state.session.settings)
            self._show_status("Click inside an object.")
        self._layers.show_mask(state.mask)
        self._layers.show_prompts(state.prompts)
        if state.objects is not None:
            self._shapes.show(state.session, self._layers, state.objects)
            self._layers.show_objects()
        if state.words:
            self._show_status(state.words)

    def _on_ended(self) -> None:
        self.controls.show_rest()
        if self._layers is None and self._lane.outcome == "failed":
            self.controls.show_on(False)
            self._show_status("")
        elif self._layers is None:
            self._desk.close()
        elif self._lane.outcome != "done":
            self._ask(desk.shown)
        elif self._desk.waiting:
            self._lane.start("That", self._desk.run)
        else:
            self._layers.settle()

    def _show_status(self, text: str) -> None:
        self.controls.status.setText(text)


def _is_whole(layer: napari.layers.Layer, image: napari.layers.Layer) -> bool:
    """Whether a layer has the boundaries of every slice of an image."""
    if role_of(layer) != BOUNDARIES or layer.name.split(f" {BOUNDARIES}")[0] != image.name or layer.ndim != 3:
        return False
    if not is_boundary(class_of(layer)):
        return False
    return not isinstance(layer.data, SliceStack) or len(layer.data.complete) == layer.data.shape[0]


def _source_of(layer: napari.layers.Layer, image: napari.layers.Layer) -> desk.Source:
    data = layer.data[0] if layer.multiscale else layer.data
    array = data.source if isinstance(data, SliceStack) else data
    z, y, x = (
        round(float((a - b) / side))
        for a, b, side in zip(layer.translate[-3:], _translation(image), layer.scale[-3:], strict=True)
    )
    return desk.Source(f"the layer “{layer.name}”", array=array, origin=(z, y, x), path=path_of(layer))


def _translation(image: napari.layers.Layer) -> tuple[float, float, float]:
    z, y, x = [0.0] * (3 - image.ndim) + [float(one) for one in image.translate]
    return z, y, x


def _next_free(folder: Path) -> Path:
    number = 2
    while folder.with_name(f"{folder.name} {number}").exists():
        number += 1
    return folder.with_name(f"{folder.name} {number}")
