"""Models come and go while panels are open: their menus follow at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_dtn.nn.bundled import known_models

if TYPE_CHECKING:
    from qtpy.QtWidgets import QComboBox


class _News(QObject):
    changed = Signal()  # the user's library has other models


news = _News()


def offer_known(box: QComboBox, add: Callable[[str], object]) -> None:
    """Offer the models that there are in a menu whose data are names or paths; what is chosen stays so."""
    known = known_models()
    for name in known:
        add(name)
    for place in reversed(range(box.count())):
        model = box.itemData(place)
        if model and model not in known and not Path(model).is_file():
            box.removeItem(place)
