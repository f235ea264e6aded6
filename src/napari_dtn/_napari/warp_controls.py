"""The controls of the panel "Warp": what they are and where they stand, not what they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGroupBox,
    QLabel,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_dtn._napari.controls import row, shrinking_box
from napari_dtn._napari.form import named
from napari_dtn._napari.layer_choice import LayerChoice
from napari_dtn._napari.warp_drawing import AREA, ARROWS, FIDUCIALS, FOLDS, GRID, MOVES
from napari_dtn._napari.warp_tasks import DTN, FROZEN, UNET

NAME = "warp"
OFF, CLICK, HOVER = PATCHES = ("Off", "On click", "Under the cursor")

# Of each box: its name, its words, the layers, and what they show.
_KINDS = (
    (
        "lattice",
        "Fiducial points",
        (ARROWS, FIDUCIALS),
        "Where each fiducial point looks.",
    ),
    ("grid", "Grid lines", (GRID,), "A straight grid over the slice, as the warp bends it."),
    (
        "displacement",
        "Displacement",
        (MOVES,),
        "Where each place looks, as arrows coloured by direction.",
    ),
    (
        "area",
        "Area change",
        (AREA,),
        "The logarithm of the Jacobian determinant: blue where the network looks closer, orange wider.",
    ),
    ("folds", "Fold-overs", (FOLDS,), "Crosses where the warp turns over: its determinant is not positive."),
)


class WarpControls(QWidget):
    """All controls, in the order in which one uses them."""

    def __init__(self, image: LayerChoice, truth: LayerChoice) -> None:
        super().__init__()
        self.image = named(image, f"{NAME}.image", "The image layer to look at.")
        self.truth = named(truth, f"{NAME}.truth", "Labels whose borders are the truth, for the scores.")
        self._make_model()
        self._make_boxes()
        self._make_patch()
        self._make_compare()
        self._lay_out()

    def _make_model(self) -> None:
        self.model = named(shrinking_box(), f"{NAME}.model", "The model whose warp is shown.")
        self.model_file = named(QToolButton(), f"{NAME}.model_file", "Choose a model file (.safetensors).")
        self.model_file.setText("File…")
        self.level = named(
            QComboBox(), f"{NAME}.level", "The level of the network whose warp is drawn, counted from 1."
        )
        self.level.addItem("deepest", 0)

    def _make_boxes(self) -> None:
        self.boxes = {}
        self._layers = {}
        for name, words, layers, tip in _KINDS:
            self.boxes[name] = named(QCheckBox(words), f"{NAME}.{name}", tip)
            self._layers[name] = layers
        self.factor = named(
            QDoubleSpinBox(),
            f"{NAME}.factor",
            "How many times as long as they are displacements are drawn; areas and patches stay as they are.",
        )
        self.factor.setRange(1, 20)
        self.factor.setDecimals(1)
        self.factor.setPrefix("× ")

    def _make_patch(self) -> None:
        self.patch = named(
            QComboBox(),
            f"{NAME}.patch",
            "Draw what decides about a pixel: its learned patch, beside the square of a U-Net.",
        )
        self.patch.addItems(PATCHES)
        self.effective = named(
            QCheckBox("Effective patch"),
            f"{NAME}.effective",
            "Also how much each pixel decides about it: the gradient of the output, smoothed.",
        )

    def _make_compare(self) -> None:
        self.unet = named(shrinking_box(), f"{NAME}.unet", "The U-Net to compare with.")
        self.compare = named(
            QPushButton("Compare"),
            f"{NAME}.compare",
            "Predict what is in view by the DTN, by the DTN without its warp, and by the U-Net.",
        )
        self.shown = named(
            QComboBox(), f"{NAME}.shown", "Whose boundaries are shown, and compared with the DTN's."
        )
        self.shown.addItems((DTN, FROZEN, UNET))
        self.progress = named(QProgressBar(), f"{NAME}.progress", "How far it is.")
        self.progress.setTextVisible(False)
        self.status = named(QLabel(), f"{NAME}.status", "What the panel found.")
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.addLayout(_form(("Image", self.image), ("Model", row(self.model, self.model_file))))
        show = QGroupBox("Show")
        form = _form(("Level", self.level), ("Exaggerate", self.factor))
        for box in self.boxes.values():
            form.addRow(box)
        show.setLayout(form)
        layout.addWidget(show)
        patch = QGroupBox("Patch of a pixel")
        patch.setLayout(_form(("Draw", row(self.patch, self.effective))))
        layout.addWidget(patch)
        compare = QGroupBox("Compare with and without the warp")
        compare.setLayout(
            _form(("U-Net", self.unet), ("Truth", self.truth), ("Show", self.shown), ("", self.compare))
        )
        layout.addWidget(compare)
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        layout.addStretch(1)

    @property
    def checked(self) -> list[str]:
        """Names of the layers whose boxes are ticked."""
        return [what for name, box in self.boxes.items() if box.isChecked() for what in self._layers[name]]

    def untick(self) -> None:
        """Untick all boxes; what they drew stays."""
        for box in self.boxes.values():
            box.blockSignals(True)
            box.setChecked(False)
            box.blockSignals(False)

    def layers_of(self, name: str) -> Sequence[str]:
        """Return the layers of a box."""
        return self._layers[name]

    def boxes_of(self, what: str) -> Iterator[QCheckBox]:
        """Yield the boxes of a layer."""
        yield from (self.boxes[name] for name, layers in self._layers.items() if what in layers)

    def add_model(self, model: str, unet: bool, choose: bool = False) -> None:
        """Offer a model by its bundled name or the path of its file."""
        box = self.unet if unet else self.model
        if box.findData(model) < 0:
            box.addItem(Path(model).name, model)
        if choose:
            box.setCurrentIndex(box.findData(model))

    def show_levels(self, levels: Sequence[int]) -> None:
        """Offer the levels of the model, unless they are offered already."""
        known = [self.level.itemData(row) for row in range(1, self.level.count())]
        if known == list(levels):
            return
        chosen = self.level.currentData()
        self.level.blockSignals(True)
        while self.level.count() > 1:
            self.level.removeItem(1)
        for level in levels:
            self.level.addItem(f"{level} (stride {1 << (level - 1)})", level)
        self.level.setCurrentIndex(max(0, self.level.findData(chosen)))
        self.level.blockSignals(False)
        self.level.setEnabled(len(levels) > 1)

    def show_progress(self, done: int, total: int) -> None:
        """Fill the bar; it is empty when all is done, or nothing is to be done."""
        self.progress.setValue(100 * done // total if done < total else 0)


def _form(*rows: tuple[str, QWidget]) -> QFormLayout:
    form = QFormLayout()
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for label, widget in rows:
        form.addRow(label, widget)
    return form
