"""Reading, inference, blending and writing of blocks, all at the same time and boundedly far apart.

::

    reader thread      caller's thread     blender thread      writer thread
    windows, tiles  →  the network      →  rows of tiles    →  chunks, then the record of the block

The caller's thread hands everything on, so there is nothing to lock, and an error of any thread is raised
in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, ParamSpec, Protocol, TypeVar

from napari_dtn.predict.blending import Canvas, Float, Rectangle, Strip
from napari_dtn.predict.blocks import Block
from napari_dtn.predict.reading import Batch, Places, Source
from napari_dtn.volume.tiles import TileGrid

P = ParamSpec("P")
T = TypeVar("T")
TILES_AHEAD = 32  # that are read before they are needed
BEHIND = 2  # batches that wait to be blended, and strips that wait to be written


@dataclass(frozen=True)
class BlockDone:
    """A block is on disk.

    Parameters
    ----------
    block
        Which.
    unreadable
        Parts of it, each with its slice, that could not be read and are 0.
    """

    block: Block
    unreadable: tuple[tuple[int, Rectangle], ...]


class Target(Protocol):
    """Where blocks go; both are called in the writer thread."""

    def write(self, strip: Strip) -> None:
        """Write finished rows."""
        ...

    def record(self, done: BlockDone) -> None:
        """Make durable what was written of a block, then note that it is."""
        ...


@dataclass(frozen=True, eq=False)
class Engine:
    """What turns blocks into strips.

    Parameters
    ----------
    source
        The volume.
    grid
        The lattice of tiles.
    run
        The network: a batch's probabilities, ``(N, classes, size, size)``.
    classes
        Maps of a prediction.
    batch_size
        Tiles that go through the network together.
    strip_height
        Rows that are written together.
    """

    source: Source
    grid: TileGrid
    run: Callable[[Batch], Float]
    classes: int
    batch_size: int
    strip_height: int


def run_blocks(
    engine: Engine, blocks: Iterable[Block], target: Target
) -> Iterator[Batch | Strip | BlockDone]:
    """Compute blocks into a target; iterate to make it happen.

    Yields
    ------
    Batch, Strip or BlockDone
        A batch that went through the network, a strip that is written, a block that is recorded. Whoever
        stops iterating finds everything that went through the network on disk.
    """
    batches = engine.source.batches(blocks, engine.grid, engine.batch_size)
    depth = max(1, TILES_AHEAD // engine.batch_size)
    with (
        _Tail(engine, target) as tail,
        ThreadPoolExecutor(1, "reader") as reader,
        closing(_ahead(reader, batches, depth)) as ahead,
    ):
        for batch in ahead:
            tail.put(batch, engine.run(batch))
            yield batch
            yield from tail.written(BEHIND)
        yield from tail.written(0)


def _ahead(pool: ThreadPoolExecutor, items: Iterator[T], depth: int) -> Generator[T, None, None]:
    """Iterate in a pool of one thread, ``depth`` items ahead of whoever iterates here."""
    end = object()
    waiting: deque[Future[T | object]] = deque(pool.submit(next, items, end) for _ in range(depth))
    try:
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, items, end))
            yield item  # type: ignore[misc]
    finally:
        for future in waiting:
            future.cancel()


Finished = list[Strip | BlockDone]


class _Tail:
    """What follows the network: blending in one thread, writing in another."""

    def __init__(self, engine: Engine, target: Target) -> None:
        self._blender, self._writer = ThreadPoolExecutor(1, "blender"), ThreadPoolExecutor(1, "writer")
        self._blends: deque[Future[Finished]] = deque()
        self._writes: deque[Future[Strip | BlockDone]] = deque()
        self._blend = _UntilFailure(_Blending(engine))
        self._write = _UntilFailure(_Writing(target))

    def __enter__(self) -> _Tail:
        return self

    def __exit__(self, *error: object) -> None:
        """Finish what is under way, whatever has happened: it is computed already."""
        try:
            for _ in self.written(0):
                pass
        finally:
            self._blender.shutdown()
            self._writer.shutdown()

    def put(self, batch: Batch, probability: Float) -> None:
        """Blend a batch; its images, most of its bytes, are not kept for that."""
        blend = self._blender.submit(self._blend, batch.block, batch.places, probability, batch.last)
        self._blends.append(blend)

    def written(self, behind: int) -> Iterator[Strip | BlockDone]:
        """Hand on what is blended, yield what is written; wait until at most ``behind`` of each are left."""
        while self._blends and (len(self._blends) > behind or self._blends[0].done()):
            for item in self._blends.popleft().result():
                self._writes.append(self._writer.submit(self._write, item))
        while self._writes and (len(self._writes) > behind or self._writes[0].done()):
            yield self._writes.popleft().result()


class _Blending:
    """Puts batches on the canvas of their block; lives in the blender thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._block: Block | None = None

    def __call__(self, block: Block, places: Places, probabilities: Float, last: bool) -> Finished:
        engine = self._engine
        if block != self._block:
            self._block = block
            self._canvas = Canvas(block, engine.grid, engine.classes, engine.strip_height)
        finished: Finished = []
        for (z, tile), probability in zip(places, probabilities, strict=True):
            finished += self._canvas.add(z, tile, probability, engine.source.unreadable(z))
        if last:
            finished.append(BlockDone(block, tuple(self._unreadable(block))))
        return finished

    def _unreadable(self, block: Block) -> Iterator[tuple[int, Rectangle]]:
        for z in range(block.z.start, block.z.stop):
            for part in self._engine.source.unreadable(z):
                y, x = (
                    slice(max(side.start, within.start), min(side.stop, within.stop))
                    for side, within in zip(part, (block.y, block.x), strict=True)
                )
                if y.start < y.stop and x.start < x.stop:
                    yield z, (y, x)


class _Writing:
    """Writes strips and records blocks; lives in the writer thread."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def __call__(self, item: Strip | BlockDone) -> Strip | BlockDone:
        self._target.write(item) if isinstance(item, Strip) else self._target.record(item)
        return item


class _UntilFailure(Generic[P, T]):
    """A step of the pipeline that does nothing any more once it has failed, but fail again.

    Otherwise a block could be recorded whose data were not written: what follows a failed call is in the
    queue already.
    """

    def __init__(self, step: Callable[P, T]) -> None:
        self._step = step
        self._failure: BaseException | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._failure is not None:
            raise self._failure
        try:
            return self._step(*args, **kwargs)
        except BaseException as error:
            self._failure = error
            raise
