"""The panel "Teach the model": annotate, train, and keep the model only if it is better."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_dtn._napari.annotating import Annotating
from napari_dtn._napari.finetune_controls import FineTuneControls
from napari_dtn._napari.folder_choice import choose_folder, typed_folder
from napari_dtn._napari.layer_choice import LayerChoice
from napari_dtn._napari.layers import default_output
from napari_dtn._napari.library_tab import Shelf
from napari_dtn._napari.model_news import news, offer_known
from napari_dtn._napari.panel import Panel, stop
from napari_dtn._napari.teaching import Teaching

if TYPE_CHECKING:
    import napari.viewer


class FineTunePanel(Panel):
    """Teaches a model what is annotated in an image layer.

    Parameters
    ----------
    viewer
        Its layers are offered, and it gets the annotations and what the model makes of a slice.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__("finetune", viewer)
        self._choice, ids = LayerChoice(viewer), LayerChoice(viewer, "Labels")
        self.controls = controls = FineTuneControls(self._choice, ids)
        self.annotating = Annotating(
            viewer,
            controls.annotate,
            lambda: self._choice.layer,
            partial(typed_folder, controls.folder, "Kept in"),
            controls.train.model.currentData,
            self,
        )
        self.teaching = Teaching(viewer, controls.train, self.annotating, self)
        self.shelf = Shelf(controls.library, self.teaching.lesson, self)
        self._lanes = [
            self.annotating.lane,
            self.annotating.suggest_lane,
            self.teaching.lane,
            self.shelf.lane,
        ]
        self._lay_out(controls, self.teaching.recipe)
        self._connect()
        self._show_models()
        self._on_layer_changed()

    def _connect(self) -> None:
        self._choice.layer_changed.connect(self._on_layer_changed)
        self.controls.folder_choice.clicked.connect(self._choose_folder)
        for part in (self.annotating, self.teaching, self.shelf):
            part.said.connect(self.controls.show_status)
        self.annotating.opened.connect(self._lock)
        self.annotating.closed.connect(self._lock)
        self.teaching.kept.connect(lambda version: news.changed.emit())
        news.changed.connect(self._show_models)
        self.destroyed.connect(partial(stop, self._lanes))

    def _leave(self) -> None:
        self.teaching.leave()
        self.shelf.leave()
        self.annotating.leave()

    # ---- what is chosen

    def _show_models(self) -> None:
        box = self.controls.train.model
        offer_known(box, lambda name: box.addItem(name, name) if box.findData(name) < 0 else None)

    def _on_layer_changed(self) -> None:
        layer = self._choice.layer
        self.controls.folder.setText("" if layer is None else str(default_output(layer, "objects")))
        self.controls.train.name.setText("my model" if layer is None else _name_after(layer.name))

    def _choose_folder(self, checked: bool = False) -> None:
        choose_folder(self.controls.folder, "Where to keep annotations and objects")

    def _lock(self) -> None:
        """The image and its folder stay the same while annotations are open."""
        controls, is_open = self.controls, self.annotating.layer is not None
        for widget in (controls.image, controls.folder, controls.folder_choice):
            widget.setEnabled(not is_open)


def _name_after(image: str) -> str:
    """A name that the library takes."""
    plain = "".join(letter if letter.isalnum() or letter in " .+-" else " " for letter in image)
    return f"{' '.join(plain.split())[:60]} model".strip()
