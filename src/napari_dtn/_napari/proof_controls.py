"""The controls of proofreading in the click panel: what they are and where they stand."""

from __future__ import annotations

from qtpy.QtWidgets import QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_dtn._napari.controls import RECTANGLE, VIEW, row, shrinking_box
from napari_dtn._napari.form import named

EVERYWHERE = "Everywhere"
#: What can be pressed: object name, text, tip.
_BUTTONS = (
    (
        "merging",
        "Merge with the mouse",
        "Drag across kept objects, or click on two, to merge them (Shift+M; Alt+drag does it at any time).",
    ),
    ("doubt", "Next doubtful place", "Go to where it is least certain whether the object goes on (D)."),
    ("yes", "One object", "The two sides of the place belong together (Y)."),
    ("no", "Cut", "They do not (N)."),
)


class ProofControls(QWidget):
    """Merging with the mouse, doubtful places, and the box that objects may not leave."""

    def __init__(self) -> None:
        super().__init__()
        self.buttons = {name: named(QPushButton(text), f"click.{name}", tip) for name, text, tip in _BUTTONS}
        self.buttons["merging"].setCheckable(True)
        self.kind = named(
            shrinking_box(),
            "click.within",
            "Where objects may lie: what the view shows, or the selected rectangle of a Shapes layer.",
        )
        self.kind.addItems([EVERYWHERE, VIEW, RECTANGLE])
        self.slices = named(QLineEdit(), "click.slices", "Slices that objects may lie in, as start:stop.")
        self.slices.setPlaceholderText("all slices")
        self.apply = named(QPushButton("Apply"), "click.confine", "Keep objects within this box from now on.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(row(self.kind, self.slices, self.apply))
        layout.addWidget(row(self.buttons["merging"], self.buttons["doubt"]))
        layout.addWidget(row(self.buttons["yes"], self.buttons["no"]))
