"""How far a prediction is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari_dtn.predict.blocks import Block, Blocks


@dataclass(frozen=True)
class TileDone:
    """Some tiles of a volume are done, or a slice is complete.

    Parameters
    ----------
    z
        Slice of the volume that it is about.
    done, total
        Tiles done so far, and in all.
    slices_done, slices
        Slices complete on disk, and in all.
    elapsed
        Seconds since the start.
    before
        Tiles that an earlier run had done, of which this one continues the output.
    slice_done
        Whether slice ``z`` has just become complete, on disk too.
    """

    z: int
    done: int
    total: int
    slices_done: int
    slices: int
    elapsed: float
    before: int = 0
    slice_done: bool = False

    @property
    def rate(self) -> float:
        """Slices per second."""
        return (self.done - self.before) / self.total * self.slices / max(self.elapsed, 1e-9)

    @property
    def eta(self) -> float:
        """Seconds left."""
        return self.elapsed * (self.total - self.done) / max(self.done - self.before, 1)


class Progress:
    """Counts tiles and complete slices, and makes events of them.

    Parameters
    ----------
    blocks
        All blocks.
    finished
        Numbers of those that an earlier run has finished.
    """

    def __init__(self, blocks: Blocks, finished: Iterable[int]) -> None:
        self._blocks = blocks
        self._began = time.monotonic()
        self._first = blocks.zs[0].start
        self._slices = blocks.zs[-1].stop - self._first
        self._missing = np.full(self._slices, blocks.per_slice, np.int64)  # blocks that a slice waits for
        self._before = 0
        for number in finished:
            block = blocks[number]
            self._before += blocks.tiles_in(block)
            self._missing[self._within(block.z)] -= 1
        self._done = self._before
        self._slices_done = int((self._missing == 0).sum())

    def finished_before(self) -> Iterator[TileDone]:
        """Yield an event for each slice that an earlier run has completed."""
        for z in np.flatnonzero(self._missing == 0).tolist():
            yield self._event(self._first + z, slice_done=True)

    def _within(self, z: slice) -> slice:
        return slice(z.start - self._first, z.stop - self._first)

    def tiles(self, count: int, z: int) -> TileDone:
        """Count tiles of slice z."""
        self._done += count
        return self._event(z, slice_done=False)

    def part_written(self, z: int) -> TileDone | None:
        """Count a block's part of slice z that is on disk; an event where the slice is complete by it."""
        self._missing[z - self._first] -= 1
        if self._missing[z - self._first]:
            return None
        self._slices_done += 1
        return self._event(z, slice_done=True)

    def block_written(self, block: Block) -> Iterable[TileDone]:
        """Count a whole block, its tiles and its parts of slices."""
        yield self.tiles(self._blocks.tiles_in(block), block.z.start)
        for z in range(block.z.start, block.z.stop):
            event = self.part_written(z)
            if event is not None:
                yield event

    def end(self) -> TileDone:
        """Return the event that everything is done and recorded."""
        return self._event(self._first + self._slices - 1, slice_done=False)

    def _event(self, z: int, slice_done: bool) -> TileDone:
        elapsed = time.monotonic() - self._began
        return TileDone(
            z,
            self._done,
            self._blocks.tiles,
            self._slices_done,
            self._slices,
            elapsed,
            self._before,
            slice_done,
        )
