"""A table of committed objects."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from qtpy.QtCore import QItemSelection, QItemSelectionModel, QItemSelectionRange, QModelIndex, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_dtn._napari.object_model import ID, LOCKED, NAME, ObjectModel

if TYPE_CHECKING:
    from napari_dtn.session import ObjectFacts


class ObjectTable(QTableView):
    """Rows of objects; a click flies there; ids, names, locks and whether they are shown can be changed.

    Signals
    -------
    chosen
        The facts of the object whose row was clicked.
    renamed, numbered, locked, shown
        Id, and its new name, number (as it was typed), lock, or whether it is shown.
    """

    chosen = Signal(object)
    renamed = Signal(int, str)
    numbered = Signal(int, str)
    locked = Signal(int, bool)
    shown = Signal(int, bool)

    def __init__(self) -> None:
        super().__init__()
        self.rows = ObjectModel()
        self.setModel(self.rows)
        self.verticalHeader().setVisible(False)
        header = self.horizontalHeader()
        header.setResizeContentsPrecision(0)  # as wide as what is in view, however many rows there are
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Interactive)
        header.resizeSection(NAME, 90)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setMinimumHeight(140)
        self.setSortingEnabled(True)
        self.sortByColumn(ID, Qt.SortOrder.AscendingOrder)
        self.clicked.connect(self._on_clicked)
        self.rows.modelAboutToBeReset.connect(self._remember)
        self.rows.modelReset.connect(self._select_again)
        for name in ("renamed", "numbered", "locked", "shown"):
            getattr(self.rows, name).connect(getattr(self, name))

    @property
    def selected(self) -> list[int]:
        """Ids of the selected rows."""
        return [one.id for one in self.selected_facts]

    @property
    def selected_facts(self) -> list[ObjectFacts]:
        """What is known of the objects of the selected rows, from the top."""
        parts = self.selectionModel().selection()
        rows = {row for part in parts for row in range(part.top(), part.bottom() + 1)}
        return [self.rows.rows[row] for row in sorted(rows)]

    def show_objects(self, objects: Sequence[ObjectFacts]) -> None:
        """Show these objects and no others; what was selected stays so."""
        self.rows.put(objects)

    def _remember(self) -> None:
        self._kept = {*self.selected}

    def _select_again(self) -> None:
        rows = [row for row, one in enumerate(self.rows.rows) if one.id in self._kept]
        chosen = QItemSelection()
        for _, run in groupby(enumerate(rows), lambda place: place[1] - place[0]):
            first, *others = (row for _, row in run)
            last = others[-1] if others else first
            chosen.append(QItemSelectionRange(self.rows.index(first, ID), self.rows.index(last, ID)))
        flag = QItemSelectionModel.SelectionFlag
        self.selectionModel().select(chosen, flag.Select | flag.Rows)

    def _on_clicked(self, index: QModelIndex) -> None:
        if index.column() != LOCKED:
            self.chosen.emit(self.rows.rows[index.row()])
