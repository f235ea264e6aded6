"""Numbers as people say them, in the panels and on the terminal; errors as libraries say them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from napari_dtn.settings import VoxelSize


_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "unable to allocate")


class Steps(Protocol):
    """How far some slices are; ``TileDone`` is one."""

    @property
    def slices_done(self) -> int: ...
    @property
    def slices(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def eta(self) -> float: ...


def progress_words(step: Steps) -> str:
    """``slice 12 of 100 · 1.3 slices/s · 1 min 10 s left``."""
    current = min(step.slices_done + 1, step.slices)
    rate = f"{step.rate:.1f}" if step.rate >= 1 else f"{step.rate:.2f}"
    return f"slice {current} of {step.slices} · {rate} slices/s · {duration(step.eta)} left"


def duration(seconds: float) -> str:
    """``8 s``, ``1 min 10 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def size_words(voxel_size: VoxelSize) -> str:
    """``30 × 6 × 6 nm``."""
    return " × ".join(f"{side:g}" for side in voxel_size) + " nm"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory has run out, of the processor or of the GPU."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)
