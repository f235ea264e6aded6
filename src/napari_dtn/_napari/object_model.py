"""Committed objects as rows for Qt, which asks for the cells that it shows and for no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor

if TYPE_CHECKING:
    from napari_dtn.session import ObjectFacts

COLUMNS = ("id", "name", "µm³", "slices", "locked", "box z · y · x", "centroid z, y, x")
ID, NAME, VOLUME, SLICES, LOCKED, BOX, CENTROID = range(len(COLUMNS))
TIPS = {
    ID: "Id in the labels; double click to give another. Ticked: shown; the colour is that of the layer.",
    NAME: "Double click to name an object.",
    LOCKED: "Ticked: every edit leaves the object alone.",
    BOX: "Voxels, ends excluded. May be larger than need be where the object has lost voxels.",
    CENTROID: "Mean voxel.",
}
_Role = Qt.ItemDataRole
_SORTED_BY: tuple[Callable[[ObjectFacts], Any], ...] = (
    lambda one: one.id,
    lambda one: one.name.casefold(),
    lambda one: one.voxels,
    lambda one: one.slices,
    lambda one: one.locked,
    lambda one: one.box,
    lambda one: one.centroid,
)


class ObjectModel(QAbstractTableModel):
    """Rows of objects.

    Signals
    -------
    renamed, numbered, locked, shown
        Id, and its new name, number (as it was typed), lock, or whether it is shown: what the user wants.
    """

    renamed = Signal(int, str)
    numbered = Signal(int, str)
    locked = Signal(int, bool)
    shown = Signal(int, bool)

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[ObjectFacts] = []
        self.colour_of: Callable[[ObjectFacts], str] | None = None
        self._order = (ID, Qt.SortOrder.AscendingOrder)

    def put(self, objects: Sequence[ObjectFacts]) -> None:
        """Show these objects and no others, in the order that was chosen."""
        self.beginResetModel()
        self.rows = self._in_order(objects)
        self.endResetModel()

    def sort(self, column: int, order: Any = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; rows that are alike stay as they were."""
        self._order = (column, order)
        self.put(self.rows)

    def _in_order(self, objects: Sequence[ObjectFacts]) -> list[ObjectFacts]:
        column, order = self._order
        return sorted(objects, key=_SORTED_BY[column], reverse=order == Qt.SortOrder.DescendingOrder)

    # ---- what Qt asks for

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Any, role: int = _Role.DisplayRole) -> Any:  # noqa: N802
        if orientation != Qt.Orientation.Horizontal:
            return None
        return {_Role.DisplayRole: COLUMNS[section], _Role.ToolTipRole: TIPS.get(section)}.get(_Role(role))

    def flags(self, index: QModelIndex) -> Any:
        """Say which cells can be typed into and which ticked."""
        more = {
            NAME: Qt.ItemFlag.ItemIsEditable,
            ID: Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEditable,
            LOCKED: Qt.ItemFlag.ItemIsUserCheckable,
        }
        return super().flags(index) | more.get(index.column(), Qt.ItemFlag.NoItemFlags)

    def data(self, index: QModelIndex, role: int = _Role.DisplayRole) -> Any:
        facts, column = self.rows[index.row()], index.column()
        if role in (_Role.DisplayRole, _Role.EditRole):
            return _text(facts, column)
        if role == _Role.CheckStateRole and column in (ID, LOCKED):
            return Qt.CheckState.Checked if _ticked(facts, column) else Qt.CheckState.Unchecked
        if role == _Role.DecorationRole and column == ID and self.colour_of is not None:
            return QColor(self.colour_of(facts))
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = _Role.EditRole) -> bool:  # noqa: N802
        """Pass on what the user wants; the row follows when it has been done."""
        facts, column = self.rows[index.row()], index.column()
        if role == _Role.EditRole and column in (ID, NAME):
            (self.renamed if column == NAME else self.numbered).emit(facts.id, str(value))
        elif role == _Role.CheckStateRole and column in (ID, LOCKED):
            signal = self.shown if column == ID else self.locked
            signal.emit(facts.id, Qt.CheckState(value) == Qt.CheckState.Checked)
        else:
            return False
        return True


def _text(facts: ObjectFacts, column: int) -> str:
    """Return a cell, made when it is shown."""
    if column == VOLUME:
        return f"{facts.um3:.4g}" if facts.um3 else "–"
    if column == BOX:
        return " · ".join(f"{start}–{end}" for start, end in facts.box)
    if column == CENTROID:
        return ", ".join(f"{value:.0f}" for value in facts.centroid)
    return {ID: str(facts.id), NAME: facts.name, SLICES: str(facts.slices)}.get(column, "")


def _ticked(facts: ObjectFacts, column: int) -> bool:
    return facts.locked if column == LOCKED else not facts.hidden
