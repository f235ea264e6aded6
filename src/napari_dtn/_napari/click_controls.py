"""The controls of the panel "Segment by clicking": what they are and where they stand, not what they do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QGridLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QProgressBar,
    QPushButton,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
    QWidgetAction,
)

from napari_dtn._napari.controls import row, shrinking_box
from napari_dtn._napari.form import named
from napari_dtn._napari.object_controls import ObjectControls
from napari_dtn._napari.proof_controls import ProofControls
from napari_dtn.settings import ClickSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dtn._napari.click_desk import Source
    from napari_dtn._napari.layer_choice import LayerChoice

NAME = "click"
IN_SLICE, THROUGH = "In the slice", "Through the slices"
MOUSE = """Left click: this belongs to the object; on a kept object, take it up again
Right click, Ctrl+click: this does not
Shift+drag, Shift+Ctrl+drag: the same as a scribble
Alt+drag across kept objects: merge them

"""
#: What can be done to the objects of the chosen rows: object name, text, tip.
TOOLS = (
    ("merge", "Merge", "Make one object of the chosen rows (M)."),
    (
        "split",
        "Split",
        "Split the object under the clicks in work: blue crosses stay, orange ones get a new id.",
    ),
    ("delete", "Delete", "Delete the chosen objects (Delete)."),
    ("fill", "Fill holes", "Fill background that the chosen objects enclose."),
    ("smooth", "Smooth", "Smooth the outlines of the chosen objects."),
    ("interpolate", "Interpolate", "Fill the slices that the chosen objects miss in between."),
    ("teach", "Teach", "Make training data of the chosen objects, for the panel “Teach the model”."),
)


class ClickControls(QWidget):
    """All controls, in the order in which one uses them."""

    def __init__(self, choice: LayerChoice) -> None:
        super().__init__()
        self.image = named(choice, f"{NAME}.image", "The image layer whose objects are to be found.")
        self._make_sources()
        self._make_wishes()
        self._make_actions()
        self.tools = {name: named(QPushButton(text), f"{NAME}.{name}", tip) for name, text, tip in TOOLS}
        self.kept = ObjectControls()
        self.proof = ProofControls()
        self.objects = self.kept.table
        self._make_keys()
        self._lay_out()

    def _make_sources(self) -> None:
        self.source = named(
            shrinking_box(),
            f"{NAME}.source",
            "Where boundaries come from: a model that predicts what you look at, or a predicted layer. Of a "
            "layer whose graph napari-dtn segment kept, objects through the slices are found at once.",
        )
        self.folder = named(
            QLineEdit(), f"{NAME}.folder", "Where objects and their history are kept, as they are made."
        )
        self.folder_choice = named(QToolButton(), f"{NAME}.folder_choice", "Choose the folder.")
        self.folder_choice.setText("…")

    def _make_wishes(self) -> None:
        self.mode = named(
            shrinking_box(),
            f"{NAME}.mode",
            "Whether an object ends at the slice or goes on through the others.",
        )
        self.mode.addItem(IN_SLICE, False)
        self.mode.addItem(THROUGH, True)
        self.threshold = named(
            QSlider(Qt.Orientation.Horizontal),
            f"{NAME}.threshold",
            "How sure a merge must be: to the left the object grows, to the right it shrinks.",
        )
        self.threshold.setRange(1, 99)
        self.threshold_value = named(QLabel(), f"{NAME}.threshold_value", "How sure a merge must be.")
        self.threshold.valueChanged.connect(lambda value: self.threshold_value.setText(f"{value / 100:.2f}"))
        self.threshold.setValue(round(100 * ClickSettings().threshold))
        self.overlap = named(
            shrinking_box(), f"{NAME}.overlap", "What happens where a new object lies over kept ones."
        )
        for text, value in (
            ("others keep", "keep"),
            ("cut out of others", "cut"),
            ("replace others", "replace"),
        ):
            self.overlap.addItem(text, value)

    def _make_actions(self) -> None:
        self.on = named(
            QPushButton("Start clicking"),
            f"{NAME}.on",
            "Open the objects of this image, and listen to the mouse.",
        )
        self.on.setCheckable(True)
        buttons = (
            ("commit", "Keep", "Write the object in work into the labels (Enter)."),
            ("drop", "Drop", "Forget the object in work (Escape)."),
            ("undo", "Undo", "Take back the last click, or the last edit (Ctrl+Z)."),
            ("redo", "Redo", "Do it again (Ctrl+Shift+Z)."),
            ("stop", "Stop", "Stop the object from growing further; it stays as far as it is."),
        )
        self.actions_ = {name: named(QPushButton(text), f"{NAME}.{name}", tip) for name, text, tip in buttons}
        self.progress = named(QProgressBar(), f"{NAME}.progress", "How far the search is.")
        self.progress.setFormat("")
        self.status = named(QLabel(), f"{NAME}.status", "What the panel did last.")
        self.status.setWordWrap(True)

    def _make_keys(self) -> None:
        """Say what mouse and keys do in a menu: in the panel it would take a third of the height."""
        self.keys = named(QLabel(), f"{NAME}.keys", "Mouse and keys over the canvas while clicking is on.")
        self.keys.setMargin(8)
        self._keys_action = QWidgetAction(self)
        self._keys_action.setDefaultWidget(self.keys)
        menu = QMenu(self)
        menu.addAction(self._keys_action)
        self.keys_button = named(
            QPushButton("Mouse and keys"), f"{NAME}.keys_button", "What mouse and keys do over the canvas."
        )
        self.keys_button.setMenu(menu)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.image)
        form.addRow("Boundaries", self.source)
        form.addRow("Objects in", row(self.folder, self.folder_choice))
        form.addRow("Object", self.mode)
        form.addRow("Certainty", row(self.threshold, self.threshold_value))
        form.addRow("Overlap", self.overlap)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.on)
        layout.addWidget(row(*self.actions_.values()))
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        layout.addWidget(self.kept, 1)
        grid = QGridLayout()
        for place, button in enumerate(self.tools.values()):
            grid.addWidget(button, *divmod(place, 4))
        layout.addLayout(grid)
        layout.addWidget(self.proof)
        layout.addWidget(self.keys_button)

    @property
    def settings(self) -> ClickSettings:
        """What the controls say."""
        return ClickSettings(
            threshold=self.threshold.value() / 100,
            volume=self.mode.currentData(),
            overlap=self.overlap.currentData(),
        )

    def show_settings(self, settings: ClickSettings) -> None:
        """Let the controls say what a session was left with, without a word to anyone."""
        for box in (self.threshold, self.mode, self.overlap):
            box.blockSignals(True)
        self.threshold.setValue(round(100 * settings.threshold))
        self.threshold_value.setText(f"{settings.threshold:.2f}")
        self.mode.setCurrentIndex(self.mode.findData(settings.volume))
        self.overlap.setCurrentIndex(self.overlap.findData(settings.overlap))
        for box in (self.threshold, self.mode, self.overlap):
            box.blockSignals(False)

    def show_sources(self, sources: list[Source]) -> None:
        """Offer where boundaries may come from; what was chosen stays so."""
        chosen = self.source.currentText()
        self.source.clear()
        for source in sources:
            self.source.addItem(source.name, source)
        self.source.setCurrentIndex(max(0, self.source.findText(chosen)))

    def show_keys(self, words: str) -> None:
        """Say what the keys do."""
        self.keys.setText(MOUSE + words)
        self._keys_action.setText(words)  # so that the menu measures it anew

    def show_progress(self, done: int, total: int) -> None:
        """Fill the bar; a total of 0 means that the end is not known."""
        with _painted_later(self.progress):
            self.progress.setRange(0, total)
            self.progress.setValue(done)

    def show_rest(self) -> None:
        """Empty the bar."""
        with _painted_later(self.progress):
            self.progress.setRange(0, 1)
            self.progress.reset()

    def show_on(self, on: bool) -> None:
        """Enable what needs a session, or what comes before it."""
        self.on.setChecked(on)
        self.on.setText("Stop clicking" if on else "Start clicking")
        for widget in (*self.actions_.values(), *self.tools.values(), *self.proof.buttons.values()):
            widget.setEnabled(on)
        self.proof.apply.setEnabled(on)
        for widget in (self.image, self.source, self.folder, self.folder_choice):
            widget.setEnabled(not on)


@contextmanager
def _painted_later(bar: QProgressBar) -> Iterator[None]:
    """Change a bar that would paint itself, and all of the window with it, at every change."""
    bar.setUpdatesEnabled(False)
    try:
        yield
    finally:
        bar.setUpdatesEnabled(True)
