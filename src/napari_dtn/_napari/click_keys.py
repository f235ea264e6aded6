"""Keys of the click panel: napari lists and rebinds them, and they count while the panel clicks."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from app_model.types import KeyCode, KeyMod
from napari.layers import Labels, Shapes
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.key_bindings import KeymapProvider, coerce_keybinding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import napari.layers
    import napari.viewer
    from app_model.types import KeyBinding

_BRUSH = ("merge", "delete")  # in a labels layer, their keys are those of the brush
_MAC = sys.platform == "darwin"  # whose keyboards may have Backspace alone
# Cmd on a Mac, where napari's own undo would else change a layer that we keep.
UNDO = KeyMod.CtrlCmd | KeyCode.KeyZ
REDO = KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyZ
#: What keys do: name, words for people, keys.
KEYS = (
    ("commit", "keep the object", ("Enter", "C")),
    ("drop", "drop it", ("Escape", "Shift-C")),
    ("undo", "undo", (UNDO,)),
    ("redo", "redo", (REDO,)),
    ("in_slice", "find it in the slice", ("S",)),
    ("through", "find it through the slices", ("Shift-S",)),
    ("swap", "left click includes, or excludes", ("T",)),
    ("merge", "merge the chosen rows", ("M",)),
    ("delete", "delete them", ("Delete", "Backspace") if _MAC else ("Delete",)),
    ("merging", "merge with the mouse, or no longer", ("Shift-M",)),
    ("doubt", "next doubtful place", ("D",)),
    ("yes", "it is one object", ("Y",)),
    ("no", "it is not: cut", ("N",)),
)


class ClickKeymap(KeymapProvider):
    """Which key means what, as napari's preferences have it; nothing is bound by it."""


@cache
def register() -> None:
    """Tell napari about the keys, once: a viewer's own keys stay as they are until a panel clicks."""
    for name, words, keys in KEYS:
        action = f"napari-dtn:{name}"
        action_manager.register_action(action, _named(name), f"Segment by clicking: {words}", ClickKeymap)
        if action not in get_settings().shortcuts.shortcuts:
            for key in keys:
                action_manager.bind_shortcut(action, coerce_keybinding(key))


def _named(name: str) -> Callable[..., None]:
    def command(*_: Any) -> None:
        """Stand for what the panel that clicks will do."""

    command.__name__ = name
    return command


def keys_words() -> str:
    """Return a line for each thing that keys do, such as ``keep the object: Enter or C``."""
    keys: dict[str, list[str]] = {}
    for key, command in ClickKeymap.class_keymap.items():
        keys.setdefault(command.__name__, []).append(str(key))
    return "\n".join(f"{words}: {' or '.join(keys[name])}" for name, words, _ in KEYS if name in keys)


class Keys:
    """Keys of the viewer, and of the layer that is selected, while the panel clicks.

    Parameters
    ----------
    viewer
        Whose keys.
    actions
        What each name of :data:`KEYS` does.
    show
        Called with the keys in words, whenever they change.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        actions: dict[str, Callable[[], None]],
        show: Callable[[str], None],
    ) -> None:
        register()
        self._viewer, self._actions, self._show = viewer, actions, show
        self._bound: list[tuple[Any, KeyBinding, Any, Any]] = []  # target, key, our action, that before it
        self._events = (viewer.layers.selection.events.active, action_manager.events.shortcut_changed)
        show(keys_words())

    def bind(self) -> None:
        """Let them count, whichever layer is selected and whatever they are changed to."""
        for event in self._events:
            event.connect(self._bind_anew)
        self._bind_anew()

    def unbind(self) -> None:
        """Give them back."""
        for event in self._events:
            event.disconnect(self._bind_anew)
        self._free()

    def _bind_anew(self, event: Any = None) -> None:
        self._free()
        for target, key, name in self._wanted():
            ours = self._doing(name)
            before = target.bind_key(key, ours, overwrite=True)
            self._bound.append((target, key, ours, before))
        self._show(keys_words())

    def _wanted(self) -> Iterator[tuple[Any, KeyBinding, str]]:
        """Yield targets, keys and names; a layer's own keys come first, so it needs ours, but not to draw."""
        layer = self._viewer.layers.selection.active
        for key, command in ClickKeymap.class_keymap.items():
            yield self._viewer, key, command.__name__
            painted = isinstance(layer, Labels) and command.__name__ in _BRUSH
            if layer is not None and not isinstance(layer, Shapes) and not painted:
                yield layer, key, command.__name__

    def _free(self) -> None:
        for target, key, ours, before in reversed(self._bound):
            now = target.bind_key(key, None, overwrite=True)
            there = before if now is ours else now  # who has bound it since keeps it
            if there is not None:
                target.bind_key(key, there, overwrite=True)
        self._bound = []

    def _doing(self, name: str) -> Callable[[Any], None]:
        return lambda _: self._actions[name]()
