"""Dense Transformer Networks for electron microscopy volumes.

Importing the package loads neither torch nor napari: each public name is fetched from its module when it is
first asked for.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_dtn.annotate import open_annotations
    from napari_dtn.nn.checkpoint import load_model
    from napari_dtn.phantom import make_phantom
    from napari_dtn.predict import predict, predict_slice
    from napari_dtn.segmenting import segment
    from napari_dtn.session import ClickSession
    from napari_dtn.shapes.measuring import measure_objects
    from napari_dtn.shapes.running import save_shapes
    from napari_dtn.shapes.table import save_table
    from napari_dtn.train import train
    from napari_dtn.volume.label_files import save_labels
    from napari_dtn.volume.opening import open_volume

__version__ = "0.1.0"

__all__ = [
    "ClickSession",
    "__version__",
    "load_model",
    "make_phantom",
    "measure_objects",
    "open_annotations",
    "open_volume",
    "predict",
    "predict_slice",
    "save_labels",
    "save_shapes",
    "save_table",
    "segment",
    "train",
]

_HOMES = {
    "ClickSession": "napari_dtn.session",
    "load_model": "napari_dtn.nn.checkpoint",
    "make_phantom": "napari_dtn.phantom",
    "open_annotations": "napari_dtn.annotate",
    "measure_objects": "napari_dtn.shapes.measuring",
    "open_volume": "napari_dtn.volume.opening",
    "predict": "napari_dtn.predict",
    "predict_slice": "napari_dtn.predict",
    "save_labels": "napari_dtn.volume.label_files",
    "save_shapes": "napari_dtn.shapes.running",
    "save_table": "napari_dtn.shapes.table",
    "segment": "napari_dtn.segmenting",
    "train": "napari_dtn.train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keep ``napari_dtn.predict`` the function when its module of the same name has been imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
