"""The controls of the panel "Predict boundaries": what they are and where they stand, not what they do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_dtn._napari.form import SettingsForm, named
from napari_dtn._napari.layer_choice import LayerChoice
from napari_dtn._napari.live_controls import LiveControls
from napari_dtn._napari.slice_note import BadSlicesNote
from napari_dtn.settings import Device, PredictSettings, VoxelSize, spare_cores

NAME = "predict"
WHOLE, VIEW, RECTANGLE = REGIONS = ("Whole volume", "Current view", "Rectangle")


class VoxelSizeBoxes(QWidget):
    """Three numbers in nm, a button that gives them to the layer, and where they come from."""

    applied = Signal()

    def __init__(self) -> None:
        super().__init__()
        tip = "Size of a voxel along {}, in nm. It scales the layers and is stored with the prediction."
        self._boxes = [named(_nanometres(), f"{NAME}.voxel_{axis}", tip.format(axis)) for axis in "zyx"]
        self._apply = named(
            QPushButton("Apply"), f"{NAME}.voxel_apply", "Scale the image layer by these numbers."
        )
        self._apply.clicked.connect(self.applied)
        self._hint = named(_note(), f"{NAME}.voxel_hint", "Where the voxel size comes from.")
        self._as_shown = self.value
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for column, box in enumerate(self._boxes):
            layout.addWidget(box, 0, column)
            layout.setColumnStretch(column, 1)
        layout.addWidget(self._apply, 0, 3)
        layout.addWidget(self._hint, 1, 0, 1, 4)

    @property
    def value(self) -> VoxelSize:
        """Voxel size in nm, ``(Z, Y, X)``."""
        z, y, x = (box.value() for box in self._boxes)
        return z, y, x

    def show_size(self, voxel_size: VoxelSize, hint: str) -> None:
        """Show a voxel size and where it comes from."""
        for box, side in zip(self._boxes, voxel_size, strict=True):
            box.setValue(side)
        self._as_shown = self.value
        _show(self._hint, hint)

    @property
    def touched(self) -> bool:
        """Whether somebody has changed what was shown, which is rounded."""
        return self.value != self._as_shown


class PredictControls(QWidget):
    """All controls, in the order in which one uses them."""

    def __init__(self, choice: LayerChoice) -> None:
        super().__init__()
        self.image = named(choice, f"{NAME}.image", "The image layer to predict: an EM slice or stack.")
        self.bad_slices = named(BadSlicesNote(), f"{NAME}.bad_slices", "Bad slices of the image layer.")
        self.voxel_size = VoxelSizeBoxes()
        self._make_model()
        self._make_region()
        self._make_output()
        self._make_actions()
        self.live = LiveControls(f"{NAME}.live")
        self.settings = SettingsForm(PredictSettings, NAME, ("device",), threads=spare_cores())
        self._lay_out()

    def _make_model(self) -> None:
        self.model = named(shrinking_box(), f"{NAME}.model", "The model: one that came along, or a file.")
        self.model_file = named(
            QToolButton(), f"{NAME}.model_file", "Choose a model file (.safetensors) that you trained."
        )
        self.model_file.setText("File…")
        self.model_info = named(_note(), f"{NAME}.model_info", "What the chosen model is.")
        self.device = named(
            shrinking_box(),
            f"{NAME}.device",
            "Where the network runs. “auto” takes a GPU where there is one.",
        )
        self.device.addItem("auto", "auto")

    def _make_region(self) -> None:
        self.region = named(
            shrinking_box(),
            f"{NAME}.region",
            "What “Predict volume” predicts: all of every slice, what the canvas shows, or the rectangle in "
            "the selected Shapes layer.",
        )
        for text in REGIONS:
            self.region.addItem(text, text)
        self.slices = named(
            QLineEdit(), f"{NAME}.slices", "Which slices, as start:stop; empty for all of them."
        )
        self.slices.setPlaceholderText("all slices")
        self.estimate = named(
            QPushButton("Estimate"),
            f"{NAME}.estimate",
            "Time one batch, and say what “Predict volume” would take: tiles, time, disk and memory.",
        )

    def _make_output(self) -> None:
        self.output = named(
            QLineEdit(),
            f"{NAME}.output",
            "Where “Predict volume” writes the boundaries: a new OME-Zarr folder.",
        )
        self.output_file = named(QToolButton(), f"{NAME}.output_file", "Choose where to write.")
        self.output_file.setText("…")

    def _make_actions(self) -> None:
        self.preview = named(
            QPushButton("Preview slice"), f"{NAME}.preview", "Predict the slice in view and lay it on top."
        )
        self.warp = named(
            QCheckBox("Show warp"),
            f"{NAME}.warp",
            "Draw what the transformer does in the tile under the cursor, or at the centre of the view: "
            "fiducial points, their displacements, and the warped grid.",
        )
        self.run = named(
            QPushButton("Predict volume"),
            f"{NAME}.run",
            "Predict the region in the background. An unfinished output is gone on with.",
        )
        self.pause = named(
            QPushButton("Pause"), f"{NAME}.pause", "Wait after the tiles in progress, until pressed again."
        )
        self.pause.setCheckable(True)
        self.pause.toggled.connect(lambda on: self.pause.setText("Resume" if on else "Pause"))
        self.cancel = named(
            QPushButton("Cancel"),
            f"{NAME}.cancel",
            "Stop after the tiles in progress; what is done stays on disk, and can be gone on with.",
        )
        self.progress = named(QProgressBar(), f"{NAME}.progress", "How far the prediction is.")
        self.progress.setRange(0, 1)
        self.progress.setFormat("")
        self.status = named(QLabel(), f"{NAME}.status", "What the panel did last.")
        self.status.setWordWrap(True)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        form.addRow("Image", self.image)
        form.addRow("", self.bad_slices)
        form.addRow("Voxel (nm)", self.voxel_size)
        form.addRow("Model", row(self.model, self.model_file))
        form.addRow("", self.model_info)
        form.addRow("Device", self.device)
        form.addRow("Region", row(self.region, self.slices))
        form.addRow("Output", row(self.output, self.output_file))
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.settings)
        layout.addWidget(self.live.settings)
        layout.addWidget(row(self.preview, self.live.box, self.warp))
        layout.addWidget(self.live.note)
        layout.addWidget(row(self.estimate, self.run, self.pause, self.cancel))
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        layout.addStretch(1)

    def show_devices(self, devices: Mapping[Device, str]) -> None:
        """Offer the devices of this machine, the fastest first."""
        chosen = self.device.currentData()
        self.device.clear()
        first = next(iter(devices))
        self.device.addItem(f"auto: {first} ({devices[first]})", "auto")
        for device, description in devices.items():
            self.device.addItem(f"{device} ({description})", device)
        self.device.setCurrentIndex(max(0, self.device.findData(chosen)))

    def add_model(self, model: str, choose: bool = False) -> None:
        """Offer a model by its bundled name or the path of its file."""
        if self.model.findData(model) < 0:
            self.model.addItem(Path(model).name, model)
            self.model.setItemData(self.model.count() - 1, model, Qt.ItemDataRole.ToolTipRole)
        if choose:
            self.model.setCurrentIndex(self.model.findData(model))

    def show_model_info(self, text: str) -> None:
        """Say what the chosen model is."""
        _show(self.model_info, text)

    def show_status(self, text: str) -> None:
        """Say what the panel does."""
        _show(self.status, text)

    def show_progress(self, done: int, total: int, text: str) -> None:
        """Fill the bar, with words on it; a total of 0 means that the end is not known."""
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.progress.setFormat(text)
        self.show_status("" if total else text)  # a bar without an end has no words on it

    def show_end(self, text: str) -> None:
        """Empty the bar, and say how it ended."""
        self.progress.setRange(0, 1)
        self.progress.reset()
        self.progress.setFormat("")
        self.show_status(text)

    def show_busy(self, running: bool, looking: bool) -> None:
        """Enable what can be pressed while a volume is predicted, or a slice."""
        self.run.setEnabled(not running)
        self.estimate.setEnabled(not running)
        self.pause.setEnabled(running)
        if not running:
            self.pause.setChecked(False)
        self.preview.setEnabled(not looking)
        self.cancel.setEnabled(running or looking)


class _PlainSpinBox(QDoubleSpinBox):
    """Shows 30, not 30.000."""

    def textFromValue(self, value: float) -> str:  # noqa: N802
        return f"{value:.10g}"


def _nanometres() -> QDoubleSpinBox:
    box = _PlainSpinBox()
    box.setRange(0.001, 1e6)
    box.setDecimals(3)
    box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
    box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    box.setMinimumWidth(48)
    return box


def _note() -> QElidingLabel:
    """One line that a narrow panel shortens."""
    note = QElidingLabel()
    note.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    note.setVisible(False)
    return note


def _show(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))


class OfferBox(QComboBox):
    """A box that says so before it shows what it offers."""

    offering = Signal()

    def showPopup(self) -> None:  # noqa: N802
        """Show what it offers by then."""
        self.offering.emit()
        super().showPopup()


def shrinking_box() -> OfferBox:
    """A box that a long name does not make wide."""
    box = OfferBox()
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box


def row(*widgets: QWidget) -> QWidget:
    """Return widgets side by side."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return row
