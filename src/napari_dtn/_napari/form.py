"""A settings dataclass as a form, and controls with a name and a tooltip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from magicgui import magicgui
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget
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
        for field in self._form:
            if field.name not in elsewhere:
                rows.addRow(field.name.replace("_", " ").capitalize(), field.native)
                named(field.native, f"{prefix}.{field.name}", field.tooltip)
        for name, value in values.items():
            self._form[name].value = value
        box = named(QCollapsible(title), f"{prefix}.advanced", "Settings that rarely need a change.")
        box.setDuration(0)
        box.addWidget(fields)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(box)

    def on_change(self, act: Callable[[], object]) -> None:
        """Call ``act`` whenever a field changes."""
        self._form.changed.connect(lambda _: act())

    def read(self, **elsewhere: Any) -> T:
        """Return the settings, with the values of the fields that are elsewhere.

        Raises
        ------
        ValueError
            A value is out of its limits.
        """
        settings: T = self._form(**elsewhere)
        return settings
