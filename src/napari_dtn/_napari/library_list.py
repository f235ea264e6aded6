"""The user's models as a table with what can be done to them: what it looks like, not what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_dtn._napari.form import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_dtn.teach.comparison import Compared
    from napari_dtn.teach.library import Version

NAME = "finetune"
_COLUMNS = ("", "name", "date", "parent", "score")
#: What can be done: object name, text, tip.
BUTTONS = (
    ("compare", "Compare", "Score the chosen versions on the held-out regions, and see these side by side."),
    ("revert", "Use this one", "Let the name stand for the chosen version."),
    ("rename", "Rename…", "Give all versions of the chosen model another name."),
    ("delete", "Delete", "Move the chosen version to the trash."),
    ("restore", "Restore…", "Bring a deleted version back."),
    ("share", "Share…", "Write the chosen version as one file: .safetensors, or .zip for bioimage.io."),
    ("add", "Add file…", "Put a .safetensors file, from train or from a colleague, among your models."),
)


class LibraryControls(QWidget):
    """A row for each version, the newest of a name first; ● is the one that the name stands for."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: list[Version] = []
        self.table = named(_table(), f"{NAME}.versions", "Your models; choose one, or two to compare.")
        self.buttons = {name: named(QPushButton(text), f"{NAME}.{name}", tip) for name, text, tip in BUTTONS}
        self.compared = named(QLabel(), f"{NAME}.compared", "Scores on the held-out regions.")
        self.compared.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 4)
        layout.addWidget(self.table, 1)
        grid = QGridLayout()
        for place, one in enumerate(self.buttons.values()):
            grid.addWidget(one, place // 3, place % 3)
        layout.addLayout(grid)
        layout.addWidget(self.compared)

    @property
    def chosen(self) -> list[Version]:
        """Versions of the chosen rows."""
        return [self.versions[index.row()] for index in self.table.selectionModel().selectedRows()]

    def show_versions(self, versions: Sequence[Version]) -> None:
        """Show these versions and no others."""
        self.versions = list(versions)
        self.table.setRowCount(len(versions))
        for number, version in enumerate(versions):
            for column, text in enumerate(_texts(version)):
                item = QTableWidgetItem(text)
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                item.setToolTip(_tip(version))
                self.table.setItem(number, column, item)

    def show_compared(self, compared: Sequence[Compared]) -> None:
        """Show scores side by side."""
        names = list(dict.fromkeys(name for one in compared for name in one.scores))
        head = _row("", (one.name for one in compared))
        rows = (_row(name, (_number(one.scores.get(name)) for one in compared)) for name in names)
        self.compared.setText(f"<table>{head}{''.join(rows)}</table>")


def _row(name: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td>{text}&nbsp;&nbsp;</td>' for text in (name, *cells))}</tr>"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _table() -> QTableWidget:
    table = QTableWidget(0, len(_COLUMNS))
    table.setHorizontalHeaderLabels(_COLUMNS)
    table.verticalHeader().setVisible(False)
    table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setMinimumHeight(120)
    return table


def _texts(version: Version) -> tuple[str, ...]:
    mark = "●" if version.current else ""
    return mark, version.name, version.date[5:16], version.parent, _score(version.scores.get("held_out", {}))


def _score(held_out: Mapping[str, Any]) -> str:
    """``0.81 → 0.93``: before and after, on what was held out."""
    values = [_auc(held_out.get(when) or {}) for when in ("before", "after")]
    return " → ".join(f"{value:.3f}" for value in values if value is not None)


def _auc(scores: Mapping[str, Any]) -> float | None:
    score = scores.get("roc_auc", scores.get("mean_iou"))
    return None if score is None else float(score)


def _tip(version: Version) -> str:
    training = version.card["training"]
    phantom = version.scores.get("phantom") or {}
    remembered = [f"{when} {value:.3f}" for when, value in phantom.items() if value is not None]
    lines = [
        version.id,
        f"from {version.parent}, {training.get('iterations', 0)} steps" if version.parent else "",
        f"phantom AUC: {', '.join(remembered)}" if remembered else "",
    ]
    return "\n".join(line for line in lines if line)
