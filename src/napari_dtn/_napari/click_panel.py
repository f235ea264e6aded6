"""The panel "Segment by clicking": a click becomes an object, and nothing that was said is lost."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from napari_dtn._napari import click_actions as actions
from napari_dtn._napari import click_desk as desk
from napari_dtn._napari.click_controls import ClickControls
from napari_dtn._napari.click_input import Clicks
from napari_dtn._napari.click_keys import Keys
from napari_dtn._napari.click_layers import ClickLayers
from napari_dtn._napari.click_sources import sources_of
from napari_dtn._napari.copying import input_of
from napari_dtn._napari.folder_choice import choose_folder, settled_folder, typed_folder
from napari_dtn._napari.job import Lane, notify_error
from napari_dtn._napari.layer_choice import LayerChoice
from napari_dtn._napari.layers import check_image, default_output, snapshot_of
from napari_dtn._napari.model_news import news
from napari_dtn._napari.object_shapes import ObjectShapes
from napari_dtn._napari.panel import Panel, stop
from napari_dtn._napari.proof_tasks import Asked
from napari_dtn._napari.proofreading import Proofreader
from napari_dtn._napari.view import fly_to
from napari_dtn.recipes import click_recipe
from napari_dtn.settings import PredictSettings, spare_cores

if TYPE_CHECKING:
    from pathlib import Path

    import napari.viewer
    from qtpy.QtGui import QCloseEvent

    from napari_dtn.recipes import Recipe
    from napari_dtn.session import ObjectFacts


class ClickPanel(Panel):
    """Objects of an image layer, by clicks.

    Parameters
    ----------
    viewer
        Its layers are offered, and it gets those with the objects.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__("click", viewer)
        self._desk = desk.ClickDesk(lambda session: self._proof.follow(session))
        self._layers: ClickLayers | None = None
        self._choice = LayerChoice(viewer)
        self.controls = ClickControls(self._choice)
        self._lane = Lane(self)
        self._shapes = ObjectShapes(
            viewer, self.controls.kept, lambda change: self._ask(actions.Edited(change))
        )
        self._lanes = [self._lane, self._shapes.lane]
        self._clicks = Clicks(viewer, self)
        self._proof = Proofreader(
            viewer, self.controls.proof, self._clicks, lambda: self.controls.objects.selected, self
        )
        self._keys = Keys(
            viewer,
            {
                "commit": partial(self._ask, actions.committed),
                "drop": partial(self._ask, actions.dropped, True),
                "undo": partial(self._ask, actions.undone, True),
                "redo": partial(self._ask, actions.redone, True),
                "in_slice": partial(self._find, False),
                "through": partial(self._find, True),
                "swap": self._swap,
                "merge": partial(self._use, "merge"),
                "delete": partial(self._use, "delete"),
                **self._proof.keys,
            },
            self.controls.show_keys,
        )
        self._lay_out(self.controls, self._recipe)
        self._connect()
        self._on_layer_changed()
        self.controls.show_on(False)

    def _connect(self) -> None:
        controls = self.controls
        self._choice.layer_changed.connect(self._on_layer_changed)
        for event in (self._viewer.layers.events.inserted, self._viewer.layers.events.removed):
            event.connect(self._show_sources)
        news.changed.connect(self._show_sources)
        controls.on.clicked.connect(self._toggle)
        controls.folder_choice.clicked.connect(self._choose_folder)
        for name, action, outdates in (
            ("commit", actions.committed, False),
            ("drop", actions.dropped, True),
            ("undo", actions.undone, True),
            ("redo", actions.redone, True),
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
        controls.source.offering.connect(self._show_sources)  # a prediction may have ended meanwhile
        controls.objects.chosen.connect(self._fly)
        controls.objects.renamed.connect(self._rename)
        controls.objects.numbered.connect(self._renumber)
        controls.objects.locked.connect(self._lock)
        self._clicks.clicked.connect(self._on_click)
        self._clicks.scribbled.connect(self._on_scribble)
        self._proof.wished.connect(self._ask)
        self._proof.said.connect(self._show_status)
        self._lane.stepped.connect(self._on_step)
        self._lane.ended.connect(self._on_ended)
        self.destroyed.connect(partial(stop, [self._lane]))

    # ---- the panel comes and goes

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Stop what runs, and follow the viewer no longer."""
        super().closeEvent(event)
        self._shapes.close()

    def _leave(self) -> None:
        self._clicks.watch(None)
        self._shapes.leave()
        self._desk.forget()
        self._lane.cancel()
        if self._layers is not None:
            self._keys.unbind()
            self._proof.leave()
            self._layers.remove()
            self._layers = None
        self.controls.show_on(False)
        if not self._lane.busy:
            self._finish()

    def _finish(self) -> None:
        """Make the edits that wait, then let go of the folder."""
        if self._desk.waiting and self._desk.session is not None:
            self._lane.start("That", self._desk.run)
        else:
            self._desk.close()

    # ---- what is chosen

    def _on_layer_changed(self) -> None:
        layer = self._choice.layer
        self.controls.folder.setText("" if layer is None else str(default_output(layer, "objects")))
        self._show_sources()

    def _show_sources(self, *_: Any) -> None:
        """Offer the boundary layers of the image, then the models."""
        self.controls.show_sources(sources_of(self._viewer.layers, self._choice.layer))

    def _choose_folder(self, checked: bool = False) -> None:
        choose_folder(self.controls.folder, "Where to keep the objects")

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
        folder = settled_folder(self._folder(), self)
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
        return typed_folder(self.controls.folder, "Objects in")

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

    # ---- what is asked

    def _ask(self, action: actions.Action, outdates: bool = False, *_: Any) -> None:
        if self._layers is None:
            return
        self._desk.ask(action, outdates)
        if not self._lane.busy:
            self._lane.start("That", self._desk.run)

    def _on_click(self, at: tuple[int, int, int], positive: bool) -> None:
        self._show_status("Looking …")
        self._ask(actions.clicked(at, positive), True)

    def _on_scribble(self, points: tuple[tuple[int, int, int], ...], positive: bool) -> None:
        self._ask(actions.scribbled(points, positive), True)

    def _on_stroke(self, event: Any) -> None:
        QTimer.singleShot(0, self._record)  # napari says so just before it paints

    def _record(self) -> None:
        patches = self._layers.painted.take() if self._layers is not None else []
        if patches:
            self._ask(actions.Edited(partial(actions.record, patches=patches)))

    def _on_settings(self, value: int = 0) -> None:
        self._ask(actions.set_up(self.controls.settings), True)

    def _use(self, tool: str, *_: Any) -> None:
        """Use a tool on the chosen rows."""
        self._ask(actions.Edited(partial(actions.TOOLS[tool], chosen=self.controls.objects.selected)))

    def _find(self, through: bool) -> None:
        """Find the object in work again, in the slice or through the slices."""
        mode = self.controls.mode
        mode.setCurrentIndex(mode.findData(through))
        self._on_settings()

    def _swap(self) -> None:
        self._clicks.swapped = not self._clicks.swapped
        self._show_status(f"Left click {'excludes' if self._clicks.swapped else 'includes'} now.")

    def _rename(self, number: int, name: str) -> None:
        self._ask(actions.Edited(partial(actions.rename, number=number, name=name)))

    def _renumber(self, number: int, typed: str) -> None:
        if typed.strip() != str(number):  # a double click that changes nothing
            self._ask(actions.Edited(partial(actions.renumber, number=number, typed=typed)))

    def _lock(self, number: int, on: bool) -> None:
        self._ask(actions.Edited(partial(actions.lock, number=number, on=on)))

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
            self._proof.show(step)
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
            self._proof.begin(self._layers)
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
        if self._layers is None:
            self.controls.show_on(False)
            if self._lane.outcome == "failed":
                self._show_status("")
            self._finish()
        elif self._lane.outcome != "done":
            self._ask(actions.shown)
        elif self._desk.waiting:
            self._lane.start("That", self._desk.run)
        else:
            self._layers.settle()

    def _show_status(self, text: str) -> None:
        self.controls.status.setText(text)
