"""A settings dataclass as a form, and controls with a name and a tooltip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from magicgui import magicgui
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible

T = TypeVar("T")
W = TypeVar("W", bound=QWidget)


def named(widget: W, name: str, tooltip: str) -> W:
    """Give a control its object name, for scripts, and its tooltip, for people."""
    widget.setObjectName(name)
    widget.setToolTip(tooltip)
    return widget


class SettingsForm(QWidget, Generic[T]):
    """A collapsed part of a panel: fields, limits and tooltips as the dataclass declares them.

    Parameters
    ----------
    kind
        A settings dataclass.
    prefix
        Of the controls' object names.
    elsewhere
        Fields that have a control of their own in the panel.
    title
        What it says when it is collapsed.
    values
        What the fields say at first, instead of the dataclass's defaults.
    """

    def __init__(
        self,
        kind: type[T],
        prefix: str,
        elsewhere: Sequence[str] = (),
        title: str = "Advanced",
        **values: Any,
    ) -> None:
        super().__init__()
        self._form: Any = magicgui(kind, call_button=False)
        fields, rows = QWidget(), QFormLayout()
        fields.setLayout(rows)
        self._came_to: dict[str, QLabel] = {}
        for field in self._form:
            if field.name not in elsewhere:
                named(field.native, f"{prefix}.{field.name}", field.tooltip)
                note = self._came_to[field.name] = QLabel()
                named(note, f"{prefix}.{field.name}_came_to", "What was decided at the last start.")
                note.setVisible(False)
                rows.addRow(field.name.replace("_", " ").capitalize(), _beside(field.native, note))
        for name, value in values.items():
            self._form[name].value = value
        box = QCollapsible(title, expandedIcon="▾", collapsedIcon="▸")
        named(box, f"{prefix}.advanced", "Settings that rarely need a change.")
        box.setDuration(0)
        box.addWidget(fields)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(box)

    def on_change(self, act: Callable[[], object]) -> None:
        """Call ``act`` whenever a field changes."""
        self._form.changed.connect(lambda _: act())

    def show_values(self, values: Mapping[str, object]) -> None:
        """Say beside fields what they came to, where they say something else: those that are left open."""
        for name, note in self._came_to.items():
            value = values.get(name, self._form[name].value)
            note.setText(f"→ {value}")
            note.setVisible(value != self._form[name].value)

    def read(self, **elsewhere: Any) -> T:
        """Return the settings, with the values of the fields that are elsewhere.

        Raises
        ------
        ValueError
            A value is out of its limits.
        """
        settings: T = self._form(**elsewhere)
        return settings


def _beside(field: QWidget, note: QWidget) -> QWidget:
    both = QWidget()
    layout = QHBoxLayout(both)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(field, 1)
    layout.addWidget(note)
    return both
