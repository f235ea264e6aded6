"""The controls of Live."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QLabel

from napari_dtn._napari.form import SettingsForm, named
from napari_dtn.settings import LiveSettings

_TIP = (
    "Show the boundaries of whatever is on screen, by themselves: scroll, pan or zoom. Where much is on "
    "screen and the volume has coarser levels, a rough view of one of them comes first; the network knows "
    "structures at the finest level, so that is replaced from the middle outwards. What was seen is kept."
)


class LiveControls:
    """A box to tick, a line that says how far it is or why it waits, and what is kept.

    Parameters
    ----------
    name
        Of the box; the others' names begin with it.
    """

    def __init__(self, name: str) -> None:
        self.box = named(QCheckBox("Live"), name, _TIP)
        self.note = named(QLabel(), f"{name}.status", "How far Live is, or why it waits.")
        self.note.setWordWrap(True)
        self.note.setVisible(False)
        self.settings = SettingsForm(LiveSettings, name, title="Live cache")

    def say(self, text: str) -> None:
        """Show a line; nothing where it is empty."""
        self.note.setText(text)
        self.note.setVisible(bool(text))
