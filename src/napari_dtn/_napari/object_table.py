"""A table of committed objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

if TYPE_CHECKING:
    from napari_dtn.session import ObjectFacts

_COLUMNS = ("id", "name", "slices", "µm³", "locked")
_ID, _NAME, _SLICES, _VOLUME, _LOCKED = range(len(_COLUMNS))


class ObjectTable(QTableWidget):
    """Rows of objects; a click flies there, names and locks can be changed.

    Signals
    -------
    chosen
        The facts of the object whose row was clicked.
    renamed, locked
        Id, and its new name or lock.
    """

    chosen = Signal(object)
    renamed = Signal(int, str)
    locked = Signal(int, bool)

    def __init__(self) -> None:
        super().__init__(0, len(_COLUMNS))
        self._facts: dict[int, ObjectFacts] = {}
        self.setHorizontalHeaderLabels(_COLUMNS)
        self.verticalHeader().setVisible(False)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.horizontalHeader().setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setMinimumHeight(140)
        self.setSortingEnabled(True)
        self.sortByColumn(_ID, Qt.SortOrder.AscendingOrder)
        self.cellClicked.connect(self._on_clicked)
        self.itemChanged.connect(self._on_changed)

    @property
    def selected(self) -> list[int]:
        """Ids of the selected rows."""
        return [self._id(index.row()) for index in self.selectionModel().selectedRows()]

    def show_objects(self, objects: Sequence[ObjectFacts]) -> None:
        """Show these objects and no others; what was selected stays so."""
        kept = {*self.selected}
        self._facts = {one.id: one for one in objects}
        self.blockSignals(True)
        self.setSortingEnabled(False)
        self.setRowCount(len(objects))
        for row, facts in enumerate(objects):
            for column, item in enumerate(_items(facts)):
                self.setItem(row, column, item)
        self.setSortingEnabled(True)
        self.clearSelection()
        for row in range(self.rowCount()):
            if self._id(row) in kept:
                self.selectionModel().select(
                    self.model().index(row, 0),
                    self.selectionModel().SelectionFlag.Select | self.selectionModel().SelectionFlag.Rows,
                )
        self.blockSignals(False)

    def _id(self, row: int) -> int:
        return int(self.item(row, _ID).data(Qt.ItemDataRole.DisplayRole))

    def _on_clicked(self, row: int, column: int) -> None:
        if column != _LOCKED:
            self.chosen.emit(self._facts[self._id(row)])

    def _on_changed(self, item: QTableWidgetItem) -> None:
        number = self._id(item.row())
        if item.column() == _NAME:
            self.renamed.emit(number, item.text())
        elif item.column() == _LOCKED:
            self.locked.emit(number, item.checkState() == Qt.CheckState.Checked)


def _items(facts: ObjectFacts) -> list[QTableWidgetItem]:
    items = []
    for value in (facts.id, facts.name, facts.slices, round(facts.um3, 4), ""):
        item = QTableWidgetItem()
        item.setData(Qt.ItemDataRole.DisplayRole, value)  # numbers sort as numbers
        item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
        items.append(item)
    items[_NAME].setFlags(items[_NAME].flags() | Qt.ItemFlag.ItemIsEditable)
    items[_LOCKED].setFlags(items[_LOCKED].flags() | Qt.ItemFlag.ItemIsUserCheckable)
    items[_LOCKED].setCheckState(Qt.CheckState.Checked if facts.locked else Qt.CheckState.Unchecked)
    return items
