"""The controls of the panel "Teach the model": what they are and where they stand, not what they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QButtonGroup,
    QFormLayout,
    QGridLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_dtn._napari.annotation_list import PlaceList
from napari_dtn._napari.controls import row, shrinking_box
from napari_dtn._napari.finetune_plot import CurvePlot
from napari_dtn._napari.form import SettingsForm, named
from napari_dtn._napari.library_list import LibraryControls
from napari_dtn.colours import CLASSES
from napari_dtn.settings import FineTuneSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_dtn._napari.layer_choice import LayerChoice
    from napari_dtn.teach.preflight import Remark

NAME = "finetune"
FORGET = 0
CLASSES_AT_FIRST = "boundary, inside"


def button(name: str, text: str, tip: str, checkable: bool = False) -> QPushButton:
    """Return a named button."""
    made = named(QPushButton(text), f"{NAME}.{name}", tip)
    made.setCheckable(checkable)
    return made


def note(name: str, tip: str) -> QLabel:
    """Return a label for words; it takes no room while it has none."""
    label = named(QLabel(), f"{NAME}.{name}", tip)
    label.setWordWrap(True)
    label.setVisible(False)
    return label


def say(label: QLabel, text: str) -> None:
    """Let a label say something, or vanish."""
    label.setText(text)
    label.setVisible(bool(text))


class ClassButtons(QWidget):
    """A button for each class, and one to forget; the number is the key.

    Signals
    -------
    chosen
        1 + class, or 0 to forget.
    """

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._group = QButtonGroup(self)
        self._group.idClicked.connect(self.chosen)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(3)

    def show_classes(self, classes: Sequence[str]) -> None:
        """Offer these classes."""
        for old in self._group.buttons():
            self._group.removeButton(old)
            old.deleteLater()
        for place, (value, name) in enumerate([*enumerate(classes, 1), (FORGET, "forget")]):
            self._grid.addWidget(self._button(value, name), place // 3, place % 3)

    def check(self, value: int) -> None:
        """Show which one is painted."""
        self._group.button(value).setChecked(True)

    def _button(self, value: int, name: str) -> QPushButton:
        made = button(f"class_{value}", f"{value} {name}", f"Paint “{name}”: key {value}.", True)
        made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        if value != FORGET:
            square = QPixmap(12, 12)
            square.fill(QColor(CLASSES[(value - 1) % len(CLASSES)]))
            made.setIcon(QIcon(square))
        self._group.addButton(made, value)
        return made


class AnnotateControls(QWidget):
    """What is said about pixels, in the order in which one says it."""

    def __init__(self, ids: LayerChoice) -> None:
        super().__init__()
        self.on = button("on", "New annotation", "Open the annotations of this image, or begin them.", True)
        self.names = named(
            QLineEdit(CLASSES_AT_FIRST),
            f"{NAME}.classes",
            "Names of the classes of a new annotation, with commas between; classes may be added later.",
        )
        self.classes = ClassButtons()
        self.brush = button("brush", "Brush", "Paint strokes; their size is in napari's layer controls.")
        self.polygon = button("polygon", "Polygon", "Paint polygons: click corners, double click to end.")
        self.box = button(
            "box",
            "Review box",
            "Draw rectangles in which all boundary is painted: the rest is inside.",
        )
        self.undo = button("undo", "Undo", "Take the last stroke or edit back (Ctrl+Z).")
        self.redo = button("redo", "Redo", "Do it again (Ctrl+Shift+Z).")
        self.ids = named(ids, f"{NAME}.ids", "A Labels layer that segments the whole volume by ids.")
        self.add_ids = button("add_ids", "Add", "Make annotation of these ids, by the boundary rule.")
        self.add_objects = button(
            "add_objects", "Add kept objects", "Make annotation of all objects kept while clicking."
        )
        self.pixels = note("pixels", "Annotated pixels of each class.")
        self.regions = named(
            PlaceList(), f"{NAME}.regions", "What is annotated: slice and pixels; a click flies there."
        )
        self.suggest = button(
            "suggest", "Where next?", "Let the model look round the volume for what it is least sure of."
        )
        self.next = button("next", "Fly to next", "Fly to the next suggested place (N).")
        self.suggestions = named(
            PlaceList(), f"{NAME}.suggestions", "Where to annotate next, the best first; a click flies there."
        )
        self._lay_out()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 4)
        form = QFormLayout()
        form.addRow("Classes", self.names)
        layout.addLayout(form)
        layout.addWidget(self.on)
        layout.addWidget(self.classes)
        layout.addWidget(row(self.brush, self.polygon, self.box, self.undo, self.redo))
        layout.addWidget(row(QLabel("Ids"), self.ids, self.add_ids, self.add_objects))
        layout.addWidget(self.pixels)
        layout.addWidget(self.regions, 1)
        layout.addWidget(row(self.suggest, self.next))
        layout.addWidget(self.suggestions, 1)

    def show_on(self, on: bool) -> None:
        """Enable what needs an annotation, or what comes before it."""
        self.on.setChecked(on)
        self.on.setText("Close annotation" if on else "New annotation")
        self.names.setEnabled(not on)
        needs = (self.brush, self.polygon, self.box, self.undo, self.redo, self.add_ids, self.add_objects)
        for widget in (self.classes, *needs, self.suggest, self.next):
            widget.setEnabled(on)


class TrainControls(QWidget):
    """What is learned from it, by which model, and how it goes."""

    def __init__(self) -> None:
        super().__init__()
        self.model = named(shrinking_box(), f"{NAME}.model", "The model that training starts from.")
        self.name = named(QLineEdit(), f"{NAME}.name", "What the new version is called in the library.")
        self.settings = SettingsForm(FineTuneSettings, NAME)
        self.train = button("train", "Train", "Teach the model what is annotated, in the background.")
        self.resume = button("resume", "Resume", "Go on with the training that was interrupted.")
        self.pause = button("pause", "Pause", "Wait after this step, until pressed again.", True)
        self.keep = button("keep", "Stop and keep", "Put the best so far into the library.")
        self.cancel = button("cancel", "Cancel", "Stop, and forget what was learned.")
        self.progress = named(QProgressBar(), f"{NAME}.progress", "How far the training is.")
        self.plot = named(CurvePlot(), f"{NAME}.plot", "Losses and score against time; a star is the best.")
        self.before = button(
            "before", "Show before", "Show the slice in view as the model saw it before the training.", True
        )
        self.scores = note("scores", "The best so far, and what the model remembers of the phantom.")
        self.plan = note("plan", "What the settings that are left open came to.")
        self.remarks = note("remarks", "What to know about the annotation.")
        self.resample = button(
            "resample",
            "Open resampled",
            "Open the image with pixels as large as those the model knows, as another layer to annotate.",
        )
        self.resample.setVisible(False)
        self._lay_out()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 4)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Start from", self.model)
        form.addRow("Name", self.name)
        layout.addLayout(form)
        layout.addWidget(row(self.train, self.resume, self.pause))
        layout.addWidget(row(self.keep, self.cancel, self.before))
        layout.addWidget(self.progress)
        layout.addWidget(self.plot)
        for one in (self.scores, self.remarks, self.resample, self.plan):
            layout.addWidget(one)
        layout.addWidget(self.settings)
        layout.addStretch(1)

    def show_state(self, running: bool, waiting: bool, interrupted: bool) -> None:
        """Enable what can be pressed.

        Parameters
        ----------
        running
            Whether it trains.
        waiting
            Whether something learned waits to be kept.
        interrupted
            Whether there is a training to go on with.
        """
        self.train.setEnabled(not running)
        self.resume.setVisible(interrupted and not running and not waiting)
        self.pause.setEnabled(running)
        self.keep.setEnabled(running or waiting)
        self.cancel.setEnabled(running or waiting)
        self.keep.setText("Stop and keep" if running else "Keep")
        self.cancel.setText("Cancel" if running else "Discard")
        if not running:
            self.pause.setChecked(False)
            self.progress.setRange(0, 1)
            self.progress.reset()

    def show_progress(self, done: int, total: int, text: str) -> None:
        """Fill the bar, with words on it; a total of 0 means that the end is not known."""
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.progress.setFormat(text)

    def show_remarks(self, remarks: Sequence[Remark]) -> None:
        """Say what to know about the annotation, and offer what can be done about it."""
        say(self.remarks, "\n".join(f"{one.words} {one.remedy}" for one in remarks))
        self.resample.setVisible(any(one.resample for one in remarks))


class FineTuneControls(QWidget):
    """Image and folder, then the steps as tabs: annotate, train, models."""

    def __init__(self, choice: LayerChoice, ids: LayerChoice) -> None:
        super().__init__()
        self.image = named(choice, f"{NAME}.image", "The image layer that is annotated.")
        self.folder = named(
            QLineEdit(), f"{NAME}.folder", "Where annotations and objects are kept, as they are made."
        )
        self.folder_choice = named(QToolButton(), f"{NAME}.folder_choice", "Choose the folder.")
        self.folder_choice.setText("…")
        self.annotate, self.train, self.library = AnnotateControls(ids), TrainControls(), LibraryControls()
        self.tabs = named(QTabWidget(), f"{NAME}.tabs", "Annotate, train, and what came of it.")
        for text, tab in self._tabs().items():
            self.tabs.addTab(tab, text)
        self.status = named(QLabel(), f"{NAME}.status", "What the panel did last.")
        self.status.setWordWrap(True)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.image)
        form.addRow("Kept in", row(self.folder, self.folder_choice))
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.status)

    def _tabs(self) -> Mapping[str, QWidget]:
        return {"Annotate": self.annotate, "Train": self.train, "Models": self.library}

    def show_status(self, text: str) -> None:
        """Say what the panel does."""
        self.status.setText(text)
