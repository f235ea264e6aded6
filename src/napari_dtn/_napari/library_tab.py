"""What is done with the user's models in the panel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QInputDialog

from napari_dtn._napari import finetune_tasks as tasks
from napari_dtn._napari.compared_window import ComparedWindow
from napari_dtn._napari.job import Lane, notified
from napari_dtn._napari.library_list import LibraryControls
from napari_dtn._napari.model_news import news
from napari_dtn.teach.library import Library

if TYPE_CHECKING:
    from napari_dtn._napari.finetune_lesson import Lesson
    from napari_dtn.teach.library import Version


class Shelf(QObject):
    """Does what its controls say.

    Parameters
    ----------
    controls
        Theirs.
    lesson
        Returns what makes what versions are compared on.

    Signals
    -------
    said
        Words for people.
    """

    said = Signal(str)

    def __init__(
        self, controls: LibraryControls, lesson: Callable[..., Callable[[], Lesson]], parent: QObject
    ) -> None:
        super().__init__(parent)
        self.controls, self._lesson = controls, lesson
        self.lane, self.pictures = Lane(self), ComparedWindow(controls)
        self.lane.stepped.connect(self._on_step)
        for name, button in controls.buttons.items():
            button.clicked.connect(getattr(self, f"_{name}"))
        news.changed.connect(self.refresh)
        self.refresh()

    def leave(self) -> None:
        """Stop what runs, and put the pictures away."""
        self.lane.cancel()
        self.pictures.close()

    def refresh(self) -> None:
        """Show the versions that there are."""
        self.controls.show_versions(Library().versions())

    def _one(self) -> Version:
        """Return the chosen version.

        Raises
        ------
        ValueError
            None is, or several are.
        """
        chosen = self.controls.chosen
        if len(chosen) != 1:
            raise ValueError("Choose one row of the table first.")
        return chosen[0]

    @notified
    def _compare(self, checked: bool = False) -> None:
        chosen = self.controls.chosen
        if len(chosen) < 2:
            raise ValueError("Choose two rows of the table to compare: click one, and Ctrl+click another.")
        make = self._lesson(compared=[one.path for one in chosen])
        self.lane.start("Comparing", partial(tasks.compare, chosen, make))
        self.pictures.clear()
        self.said.emit("Comparing …")

    @notified
    def _revert(self, checked: bool = False) -> None:
        version = self._one()
        Library().revert(version)
        self._tell(f"{version.name} is the version of {version.date} now.")

    @notified
    def _rename(self, checked: bool = False) -> None:
        old = self._one().name
        new, yes = QInputDialog.getText(self.controls, "Rename", f"Another name for {old}:", text=old)
        if yes and new.strip() != old:
            Library().rename(old, new.strip())
            self._tell(f"{old} is called {new.strip()} now.")

    @notified
    def _delete(self, checked: bool = False) -> None:
        version = self._one()
        Library().delete(version)
        self._tell(f"{version.id} is in the trash; Restore brings it back.")

    @notified
    def _restore(self, checked: bool = False) -> None:
        trash = {version.id: version for version in Library().trash()}
        if not trash:
            raise ValueError("The trash is empty.")
        chosen, yes = QInputDialog.getItem(self.controls, "Restore", "Which version:", list(trash), 0, False)
        if yes:
            Library().restore(trash[chosen])
            self._tell(f"{chosen} is back.")

    @notified
    def _share(self, checked: bool = False) -> None:
        version = self._one()
        kinds = "Model (*.safetensors);;bioimage.io package (*.zip)"
        path, _ = QFileDialog.getSaveFileName(self.controls, "Share", f"{version.name}.safetensors", kinds)
        if path:
            self.lane.start("Sharing the model", partial(tasks.share, version, Path(path)))

    @notified
    def _add(self, checked: bool = False) -> None:
        path, _ = QFileDialog.getOpenFileName(self.controls, "Add a model", "", "Models (*.safetensors)")
        if not path:
            return
        name, yes = QInputDialog.getText(
            self.controls, "Add a model", "Its name among your models:", text=Path(path).stem
        )
        if yes:
            self._tell(f"{Library().add(path, name.strip()).id} is among your models.")

    def _tell(self, words: str) -> None:
        news.changed.emit()
        self.said.emit(words)

    def _on_step(self, step: Any) -> None:
        if isinstance(step, str):
            self.said.emit(step)
        elif isinstance(step, list):
            self.controls.show_compared(step)
            self.said.emit("")
        else:
            self.pictures.add(step)
            self.pictures.show()
