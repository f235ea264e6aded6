"""What the warp panel asks of the core: generators of frozen events for a job; no Qt, no napari."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_dtn._napari.tasks import Desk, Request
from napari_dtn._napari.warp_drawing import Drawing, draw_effective, draw_patch, draw_pieces
from napari_dtn.words import patch_words

if TYPE_CHECKING:
    from napari_dtn.predict import Predictor
    from napari_dtn.predict.comparing import Comparison
    from napari_dtn.volume.tiles import Tile
    from napari_dtn.warp import Warp

_KEPT = 1024  # tiles whose warps are kept: some 15 KiB each
_SIDE = 8  # tiles along the longer side of what is drawn, around the centre of the view
DTN, FROZEN, UNET = "DTN", "DTN, warp frozen", "U-Net"


@dataclass(frozen=True)
class View:
    """What is to be drawn.

    Parameters
    ----------
    z, y, x
        The part of the volume in view, in pixels.
    level
        Level of the network; 0 for the deepest with a pair.
    wanted
        Names of layers.
    factor
        By how much displacements are exaggerated.
    """

    z: int
    y: slice
    x: slice
    level: int
    wanted: frozenset[str]
    factor: float


@dataclass(frozen=True, eq=False)
class Drawn:
    """Some tiles are looked at; in the end, what there is to be seen.

    Parameters
    ----------
    done, total
        Tiles.
    model
        The model's name.
    levels
        Its levels with a pair; none for a U-Net, of which nothing is drawn.
    drawing
        At last.
    """

    done: int
    total: int
    model: str
    levels: tuple[int, ...]
    drawing: Drawing | None = None


@dataclass(frozen=True, eq=False)
class PatchFound:
    """The patch of a pixel, or what follows it: how much each pixel decides."""

    drawing: Drawing
    words: str


class Warps:
    """The warps of the tiles that were looked at last, so that going back is instant."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, tuple[Warp, ...]] = OrderedDict()

    def predictor(self, request: Request) -> Predictor:
        """Return the request's model, set up for its volume."""
        return self._desk.predictor(request)

    def of(self, request: Request, z: int, tiles: list[Tile]) -> list[tuple[Warp, ...]]:
        """Return the warps of some tiles of a row."""
        from napari_dtn.predict.warping import tile_warps

        keys = {tile: (request.maker, z, tile.row, tile.column) for tile in tiles}
        with self._lock:
            found = {tile: self._known[key] for tile, key in keys.items() if key in self._known}
        missing = [tile for tile in tiles if tile not in found]
        if missing:
            first, last = tiles.index(missing[0]), tiles.index(missing[-1])
            found |= dict(tile_warps(self._desk.predictor(request), z, tiles[first : last + 1]))
        with self._lock:
            for tile in tiles:
                self._known[keys[tile]] = found[tile]
                self._known.move_to_end(keys[tile])
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return [found[tile] for tile in tiles]


def look(warps: Warps, request: Request, view: View) -> Iterator[Drawn]:
    """Find the warps of the tiles in view, row by row, and draw them."""
    from napari_dtn.garbage import short_collections

    with short_collections():
        yield from _look(warps, request, view)


def _look(warps: Warps, request: Request, view: View) -> Iterator[Drawn]:
    from napari_dtn.warp import Piece

    predictor = warps.predictor(request)
    name, network = predictor.model.card.name, predictor.model.card.network
    levels = tuple(sorted(set(network.transformer_levels)))
    rows, columns = (_middle(side) for side in (predictor.grid.rows(view.y), predictor.grid.columns(view.x)))
    done, total, pieces = 0, len(rows) * len(columns) if levels else 0, []
    yield Drawn(done, total, name, levels)
    level = view.level if view.level in levels else max(levels, default=0)
    for row in rows if levels else ():
        tiles = [predictor.grid.tile(row, column) for column in columns]
        for tile, found in zip(tiles, warps.of(request, view.z, tiles), strict=True):
            (warp,) = (one for one in found if one.level == level)
            pieces.append(Piece(warp, *predictor.grid.owned(tile)))
        done += len(tiles)
        yield Drawn(done, total, name, levels)
    if pieces:
        yield Drawn(done, total, name, levels, draw_pieces(view.z, pieces, view.wanted, view.factor))


def _middle(tiles: range) -> range:
    over = max(0, len(tiles) - _SIDE)
    return tiles[over // 2 : len(tiles) - (over + 1) // 2]


def patch(warps: Warps, request: Request, at: tuple[int, int, int], effective: bool) -> Iterator[PatchFound]:
    """Find the patch of pixel (z, y, x), and on request how much each pixel decides."""
    from napari_dtn.predict.warping import effective_patch, pixel_patch

    z, *pixel = at
    y, x = pixel
    predictor = warps.predictor(request)
    (found,) = warps.of(request, z, [predictor.grid.at(y, x)])
    learned = pixel_patch(predictor, (y, x), found)
    voxel_size = request.volume.voxel_size
    words = patch_words(learned, None if voxel_size is None else voxel_size[1:])
    yield PatchFound(draw_patch(z, learned), words)
    if effective:
        values, tile = effective_patch(predictor, z, (y, x))
        yield PatchFound(draw_effective(z, values, (tile.y, tile.x)), words)


def compare(desk: Desk, request: Request, unet: str, view: View, truth: Any) -> Iterator[Comparison]:
    """Predict what is in view by the DTN, by it without its warp, and by the U-Net.

    Parameters
    ----------
    desk, request
        The DTN, and what it looks at.
    unet
        Name or file of the U-Net.
    view
        What is in view.
    truth
        Ids, ``(Z, Y, X)`` or ``(Y, X)``; None where there are none.
    """
    import numpy as np

    from napari_dtn.nn.checkpoint import load_model
    from napari_dtn.predict import Predictor
    from napari_dtn.predict.comparing import compare
    from napari_dtn.predict.warping import frozen

    dtn = desk.predictor(request)
    if not dtn.model.card.network.transformer_levels:
        raise ValueError(
            f"The model {dtn.model.card.name} has no transformer, so there is no warp to freeze."
        )
    other = load_model(unet, request.settings.device)
    plain = Predictor.of(other, dtn.volume, request.settings, dtn.intensity)
    ids = None if truth is None else np.asarray((truth[view.z] if truth.ndim > 2 else truth)[view.y, view.x])
    yield from compare({DTN: dtn, FROZEN: frozen(dtn), UNET: plain}, view.z, view.y, view.x, ids)
