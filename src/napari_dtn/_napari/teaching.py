"""The half of the panel that trains: starts it, shows how it goes, keeps what came of it or forgets it."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QMessageBox

from napari_dtn._napari import finetune_resume as resuming
from napari_dtn._napari import finetune_tasks as tasks
from napari_dtn._napari.copying import input_of
from napari_dtn._napari.finetune_controls import TrainControls, say
from napari_dtn._napari.finetune_lesson import Lesson, lesson_of
from napari_dtn._napari.job import Lane, notified
from napari_dtn._napari.layers import open_resampled, snapshot_of
from napari_dtn._napari.taught_layers import show_taught
from napari_dtn._napari.view import slice_in_view
from napari_dtn.recipes import teach_recipe
from napari_dtn.teach.events import Ended, Scored, Started, Stepped
from napari_dtn.teach.library import check_name
from napari_dtn.words import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    import napari.viewer

    from napari_dtn._napari.annotating import Annotating
    from napari_dtn.recipes import Recipe
    from napari_dtn.teach.preflight import Remark

_FOLDER = "training"  # beside the annotations
_ENDS = {
    "finished": "All steps are made",
    "no better for long": "It became no better for long",
    "time is up": "The time is up",
}


class Teaching(QObject):
    """Does what its controls say.

    Parameters
    ----------
    viewer
        Gets the slice as the model sees it.
    controls
        Theirs.
    annotating
        What is learned from.

    Signals
    -------
    said
        Words for people.
    kept
        A version is in the library.
    """

    said = Signal(str)
    kept = Signal(object)

    def __init__(
        self, viewer: napari.viewer.Viewer, controls: TrainControls, annotating: Annotating, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer, self.controls, self._annotating = viewer, controls, annotating
        self.desk, self.lane = tasks.TeachDesk(), Lane(self)
        self._image: Any = None
        self._waiting = False  # something learned is neither kept nor discarded
        self._looked: tasks.Looked | None = None
        self._first = self._best = self._last = math.nan
        self._memory: tasks.Remembered | None = None
        self._remarks: tuple[Remark, ...] = ()
        controls.train.clicked.connect(self._train)
        controls.resume.clicked.connect(self._resume)
        controls.pause.toggled.connect(self._pause)
        controls.keep.clicked.connect(self._keep)
        controls.cancel.clicked.connect(self._cancel)
        controls.before.toggled.connect(self._show_slice)
        controls.resample.clicked.connect(self._resample)
        self.lane.stepped.connect(self._on_step)
        self.lane.ended.connect(self._on_ended)
        viewer.dims.events.current_step.connect(self._on_slice)
        annotating.opened.connect(self._show_state)
        annotating.closed.connect(self._show_state)
        self._show_state()

    @property
    def running(self) -> bool:
        """Whether it trains."""
        return self.lane.busy

    # ---- what is asked

    def lesson(self, name: str = "", compared: Sequence[Path] = ()) -> partial[Lesson]:
        """Return what takes down what is annotated now; a job calls it.

        Parameters
        ----------
        name
            Of the new model.
        compared
            Models that are to be compared, and not taught.

        Raises
        ------
        ValueError
            Nothing is annotated.
        """
        ours = self._annotating
        annotations, settings = ours.annotations, self.controls.settings.read()
        image, parent = snapshot_of(ours.image), self.controls.model.currentData()
        folder = ours.folder / _FOLDER
        return partial(lesson_of, image, annotations, parent, name, settings, folder, compared)

    def recipe(self) -> Recipe:
        """Return how *Train* is run without a window.

        Raises
        ------
        ValueError
            Nothing is annotated, the image has no file, or the new model has no name.
        """
        ours, name = self._annotating, self.controls.name.text().strip()
        classes, settings = ours.annotations.classes, self.controls.settings.read()
        check_name(name)
        parent = self.controls.model.currentData()
        return teach_recipe(input_of(ours.image), ours.folder, classes, parent, name, settings)

    @notified
    def _train(self, checked: bool = False) -> None:
        name = self.controls.name.text().strip()
        check_name(name)
        make = self.lesson(name)
        if self._interrupted() and not self._may_forget():
            return
        self._start(lambda: resuming.written(make()), resume=False)

    def _may_forget(self) -> bool:
        text = "A training of these annotations was interrupted or never kept. Forget it, and begin anew?"
        answer = QMessageBox.question(self.controls, "Begin anew?", text)
        return bool(answer == QMessageBox.StandardButton.Yes)

    @notified
    def _resume(self, checked: bool = False) -> None:
        ours = self._annotating
        _ = ours.annotations
        self._start(partial(resuming.read, ours.folder / _FOLDER, snapshot_of(ours.image)), resume=True)

    def _start(self, make: Any, resume: bool) -> None:
        self._image, self._waiting, self._looked, self._memory = self._annotating.image, False, None, None
        self._first = self._best = self._last = math.nan
        self.controls.plot.clear()
        for label in (self.controls.scores, self.controls.plan):
            say(label, "")
        self.controls.show_remarks(())
        self.controls.settings.show_values({})
        self._on_slice()
        self.lane.start("Training", partial(self.desk.train, make, resume))
        self._show_state()
        self.controls.show_progress(0, 0, "")
        self.said.emit("Getting ready …")

    @notified
    def _resample(self, checked: bool = False) -> None:
        factors = next(one.resample for one in self._remarks if one.resample)
        name = open_resampled(self._viewer, self._image, factors)
        self.said.emit(f"Cancel, close the annotation, and annotate “{name}” instead.")

    def _pause(self, on: bool) -> None:
        self.lane.pause(on)
        self.controls.pause.setText("Go on" if on else "Pause")

    def _keep(self, checked: bool = False) -> None:
        if self.running:
            self._wish("keep")
        else:
            self.lane.start("Keeping the model", partial(self.desk.keep, self.controls.name.text().strip()))

    def _cancel(self, checked: bool = False) -> None:
        if self.running:
            self._wish("discard")
        else:
            self.desk.discard()
            self._waiting = False
            self.said.emit("What was learned is forgotten.")
            self._show_state()

    def _wish(self, wish: tasks.Wish) -> None:
        self.desk.wish = wish
        self.controls.pause.setChecked(False)
        self.said.emit("Stopping …")

    def leave(self) -> None:
        """Stop; the training can be gone on with."""
        self.lane.cancel()

    # ---- what comes back

    def _on_step(self, step: tasks.Step) -> None:
        if isinstance(step, Stepped):
            text = f"step {step.iteration} of {step.iterations} · {duration(step.eta)} left"
            self.controls.show_progress(step.iteration, step.iterations, text)
        elif isinstance(step, Scored):
            self._on_scored(step)
        elif isinstance(step, Started):
            say(self.controls.plan, "\n".join(step.words))
            self.controls.settings.show_values(step.plan.values)
            self.said.emit(f"Going on from step {step.iteration}." if step.iteration else "Training …")
        elif isinstance(step, Ended):
            self._waiting = True
            self.said.emit(f"{_ENDS[step.why]}: {self._advice()}.")
        else:
            self._on_own(step)

    def _advice(self) -> str:
        """What to do with a training that has ended; nothing is held out where scores are NaN."""
        if self._best <= self._first:
            return "what is held out was seen best before. Discard it, annotate more places, train again"
        return "keep it, or discard it"

    def _on_own(self, step: Any) -> None:
        if isinstance(step, tasks.Looked):
            self._looked = step
            self._show_slice()
        elif isinstance(step, tasks.Remembered):
            self._memory = step
            self._show_scores()
        elif isinstance(step, tasks.Remarked):
            self._remarks = step.remarks
            self.controls.show_remarks(step.remarks)
        elif isinstance(step, tasks.Kept):
            self._waiting = False
            self.said.emit(f"Kept: {step.version.name}, version of {step.version.date}.")
            self.kept.emit(step.version)

    def _on_scored(self, scored: Scored) -> None:
        if not self.controls.plot.points and scored.iteration == 0:
            self._first = scored.val_auc
        self.controls.plot.add(scored)
        self._last = scored.val_auc
        if scored.best:
            self._best = scored.val_auc
        self._show_scores()

    def _show_scores(self) -> None:
        layer = self._annotating.layer
        score = "AUC" if layer is None or len(layer.classes) == 2 else "mean IoU"
        held = _numbers(before=self._first, best=self._best, now=self._last)
        memory = self._memory
        kept = _numbers(before=memory.before, after=memory.after) if memory else ""
        lines = [f"Held out, {score}: {held}" if held else "", f"Phantom, AUC: {kept}" if kept else ""]
        say(self.controls.scores, "\n".join(line for line in lines if line))

    def _on_ended(self) -> None:
        if self.lane.outcome != "done" and not self._waiting:
            self.said.emit("The training stopped; Resume goes on with it." if self._interrupted() else "")
        elif self.desk.wish == "discard":
            self._waiting = False
            self.said.emit("What was learned is forgotten.")
        self._show_state()

    def _show_state(self) -> None:
        self.controls.show_state(self.running, self._waiting, self._interrupted())

    def _interrupted(self) -> bool:
        folder: Path = self._annotating.folder / _FOLDER
        return self._annotating.layer is not None and resuming.is_unfinished(folder)

    # ---- the slice in view

    def _on_slice(self, event: Any = None) -> None:
        if self._image is not None and self._image in self._viewer.layers:
            self.desk.z = slice_in_view(self._viewer, self._image)

    def _show_slice(self, checked: bool = False) -> None:
        if self._looked is not None and self._image in self._viewer.layers:
            show_taught(self._viewer, self._image, self._looked, self.controls.before.isChecked())


def _numbers(**values: float | None) -> str:
    """``before 0.812, best 0.934``: those that are known."""
    known = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    return ", ".join(f"{name} {value:.3f}" for name, value in known.items())
