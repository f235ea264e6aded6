"""Numbers as people say them, in the panels and on the terminal; errors as libraries say them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from napari_dtn.settings import VoxelSize


_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "unable to allocate")


def is_boundary(class_name: str) -> bool:
    """Whether a class is the boundary: membrane is another word for it, and both have a plural."""
    return class_name.strip().lower() in ("boundary", "boundaries", "membrane", "membranes")


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


class Planned(Protocol):
    """What some work will take; ``Plan`` is one."""

    @property
    def slices(self) -> int: ...
    @property
    def tiles(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def output_bytes(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...


class Seen(Protocol):
    """How far a view is; ``LivePart`` is one."""

    @property
    def level(self) -> int: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def needed(self) -> int: ...


def live_words(part: Seen) -> str:
    """``Live: a rough view first, 4 of 9 tiles``, ``12 of 49 tiles``, ``Live: all 49 tiles in view``."""
    if part.done < part.total or part.level:
        rough = "a rough view first, " if part.level else ""
        return f"Live: {rough}{part.done} of {part.total} tiles"
    if part.total < part.needed:
        return f"Live: the middle {part.total} of {part.needed} tiles in view; zoom in for the others"
    return f"Live: all {part.total} tiles in view"


def plan_words(plan: Planned) -> str:
    """``4 slices, 80 tiles in 1 blocks · about 2 s · at most 4.0 MiB on disk, 0.5 GiB of memory``."""
    work = f"{plan.slices} slices, {plan.tiles} tiles in {plan.blocks} blocks"
    room = f"at most {size_of(plan.output_bytes)} on disk, {size_of(plan.memory_bytes)} of memory"
    return f"{work} · about {duration(plan.seconds)} · {room}"


def size_of(count: int) -> str:
    """``12.0 KiB``, ``1.5 GiB``."""
    size, unit = count / 1024, 0
    while size >= 1000 and unit < 5:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {'KMGTPE'[unit]}iB"


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


def changes(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Name what differs, at any depth: ``settings.prior was 0.6 and is 0.5``."""
    found = []
    for name in sorted(before.keys() | now.keys()):
        was, is_now = before.get(name), now.get(name)
        if isinstance(was, Mapping) and isinstance(is_now, Mapping):
            found += changes(was, is_now, f"{prefix}{name}.")
        elif was != is_now:
            found.append(f"{prefix}{name} was {was} and is {is_now}")
    return found


def size_words(voxel_size: VoxelSize) -> str:
    """``30 × 6 × 6 nm``."""
    return " × ".join(f"{side:g}" for side in voxel_size) + " nm"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory has run out, of the processor or of the GPU."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


class Bad(Protocol):
    """What is wrong with a slice; ``BadSlice`` is one."""

    @property
    def z(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def share(self) -> float: ...
    @property
    def reference(self) -> int | None: ...
    @property
    def shift(self) -> tuple[float, float]: ...


class Checked(Protocol):
    """The bad slices of a volume, and what was looked at; ``SliceReport`` is one."""

    @property
    def bad(self) -> Sequence[Bad]: ...
    @property
    def checked(self) -> int: ...
    @property
    def slices(self) -> int: ...
    @property
    def level(self) -> int: ...
    @property
    def windows(self) -> int: ...
    @property
    def side(self) -> int: ...


def bad_slice_words(bad: Bad) -> str:
    """``12 black (40 %)``, ``34 repeats 33``, ``55 shifted by 28, -40 px against 54``."""
    if bad.kind == "duplicated":
        return f"{bad.z} repeats {bad.reference}"
    if bad.kind == "shifted":
        y, x = bad.shift
        return f"{bad.z} shifted by {y:.0f}, {x:.0f} px against {bad.reference}"
    return f"{bad.z} {bad.kind}" + (f" ({bad.share:.0%})".replace("%", " %") if bad.share else "")


def bad_slices_words(report: Checked) -> str:
    """``2 bad slices: 12 black (40 %); 34 repeats 33``."""
    count = len(report.bad)
    if not count:
        return "No bad slices"
    return f"{count} bad slice{'s' * (count > 1)}: {'; '.join(map(bad_slice_words, report.bad))}"


def checked_words(report: Checked) -> str:
    """``500 of 12000 slices, each through 4 windows of 512 px of level 2``."""
    how = (
        "each as a whole"
        if report.windows == 1
        else f"each through {report.windows} windows of {report.side} px"
    )
    level = f" at level {report.level}" if report.level else ""
    return f"{report.checked} of {report.slices} slices, {how}{level}"


class Decisive(Protocol):
    """What decides about a pixel; ``Patch`` is one."""

    @property
    def pixel(self) -> tuple[int, int]: ...
    @property
    def extent(self) -> tuple[int, int]: ...
    @property
    def area_ratio(self) -> float: ...
    @property
    def elongation(self) -> float: ...
    @property
    def solutions(self) -> int: ...


def patch_words(patch: Decisive, pixel_size: tuple[float, float] | None) -> str:
    """``Patch of (12, 30): 1104 × 1056 nm, 0.93 of the U-Net's square, elongation 1.04``.

    Parameters
    ----------
    patch
        The patch.
    pixel_size
        ``(Y, X)`` in nm; None where it is not known.
    """
    sides = [count * side for count, side in zip(patch.extent, pixel_size or (1.0, 1.0), strict=True)]
    size = " × ".join(f"{side:.0f}" for side in sides) + (" nm" if pixel_size else " px")
    y, x = patch.pixel
    shape = f"{patch.area_ratio:.2f} of the U-Net's square, elongation {patch.elongation:.2f}"
    return f"Patch of ({y}, {x}): {size}, {shape}{_SOLUTIONS.get(patch.solutions, _SEVERAL)}"


_SOLUTIONS = {0: "; no sample reaches it, so its neighbours fill it in", 1: ""}
_SEVERAL = "; the warp folds over here, and the nearest place counts"


class Judged(Protocol):
    """What a model says of a region, against another; ``Opinion`` is one."""

    @property
    def share(self) -> float: ...
    @property
    def largest(self) -> float: ...
    @property
    def roc_auc(self) -> float | None: ...


def comparison_words(opinions: Mapping[str, Judged]) -> str:
    """Say in lines what the models of a comparison make different; the first is what it is about."""
    first, frozen, *_ = opinions.items()
    lines = [_verdict(frozen[1]) + _gain(first[1], frozen[1])]
    for name, one in opinions.items():
        auc = "" if one.roc_auc is None else f", ROC AUC {one.roc_auc:.4f}"
        other = "" if one is first[1] else f": {_percent(one.share)} of the decisions differ"
        lines.append(f"{name}{other}{auc}")
    return "\n".join(lines)


def _verdict(frozen: Judged) -> str:
    if frozen.largest < _NOTHING:
        return "The warp does nothing here: frozen to the identity, it gives the same."
    if frozen.share < _LITTLE:
        return "The warp does next to nothing here: without it almost every decision is the same."
    return f"Without the warp {_percent(frozen.share)} of the decisions differ."


def _gain(dtn: Judged, frozen: Judged) -> str:
    """Say what the warp gains against the truth; less than this is no gain of one slice."""
    if dtn.roc_auc is None or frozen.roc_auc is None:
        return ""
    gain = dtn.roc_auc - frozen.roc_auc
    little = ", next to nothing" if abs(gain) < _LITTLE else ""
    return f" The warp changes the ROC AUC by {gain:+.4f}{little}."


_NOTHING = 0.01  # of a probability: what rounding to bfloat16 does
_LITTLE = 0.001


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
