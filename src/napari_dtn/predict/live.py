"""What is on screen becomes a picture of its boundaries, tile by tile; what was seen is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from napari_dtn.bounded import Bounded
from napari_dtn.predict.blending import Float, as_uint8, blank, blend
from napari_dtn.predict.caching import Folder, Tile8
from napari_dtn.predict.mosaic import Mosaic, Picture, weighed
from napari_dtn.predict.predictor import Predictor
from napari_dtn.predict.view import AT_ONCE, Lattice, Pass, Rectangle, View, passes
from napari_dtn.predict.whole import input_state, provenance
from napari_dtn.settings import LiveSettings
from napari_dtn.volume.tiles import Tile, TileGrid

_MOST = 1024  # tiles of a view: half a minute's work; whoever zooms in gets the others
_SETTINGS = ("backend", "precision", "overlap", "device")  # that decide about a tile's values


@dataclass(frozen=True, eq=False)
class LivePart:
    """Some tiles of a view are in the picture.

    Parameters
    ----------
    picture
        Shows them.
    level
        Of the volume: 0 is what counts, above is a rough view.
    done, total
        Tiles in the picture so far, and those that will be.
    needed
        Tiles that all of the view takes: more than ``total`` where it is too large.
    """

    picture: Picture
    level: int
    done: int
    total: int
    needed: int


class LivePrediction:
    """Predicts what is looked at; asking for the same again is quick.

    Tiles are kept as round(255 p), and the picture is what the lattice's weights make of those that are
    there: where no tile is missing it is what :meth:`Predictor.predict` gives, up to that rounding.

    Parameters
    ----------
    predictor
        A model set up for a volume.
    settings
        How much is kept.
    root
        Folder of what is kept on disk; the user's cache folder where left out.
    """

    def __init__(
        self, predictor: Predictor, settings: LiveSettings | None = None, root: Path | None = None
    ) -> None:
        settings = settings or LiveSettings()
        self.predictor, self.settings = predictor, settings
        half = settings.memory * 10**6 // 2
        chunks = Bounded(half)
        self._tiles = Bounded(half)
        self._folder = _folder(predictor, settings, root or user_cache_path("napari-dtn") / "live")
        self._sheets = [
            _Sheet(level, _at_level(predictor, level), chunks)
            for level in range(len(predictor.volume.levels))
        ]
        self.picture = Picture(
            predictor.volume.shape,
            predictor.classes,
            [sheet.mosaic for sheet in self._sheets],
            [sheet.lattice.depth for sheet in self._sheets],
        )
        side = predictor.grid.size
        self._most = min(_MOST, half // (4 * side * side * (predictor.classes + 1)))

    def steps(self, view: View) -> Iterator[LivePart]:
        """Predict what is missing of a view: rough first where it takes long, from its middle outwards.

        Yields
        ------
        LivePart
            After every batch, and after what was known already.
        """
        *rough, fine = passes(view, [sheet.lattice for sheet in self._sheets], self._most)
        for part in (*rough, fine) if self._lacking(fine) > AT_ONCE else (fine,):
            sheet, done = self._sheets[part.level], 0
            for patch in part.patches:
                for count in self._patch(sheet, part, patch):
                    done += count
                    yield LivePart(self.picture, part.level, done, part.tiles, part.needed)

    def _lacking(self, part: Pass) -> int:
        sheet = self._sheets[part.level]
        return sum(sheet.lacks(part.z, tile, part.region) for patch in part.patches for tile in patch)

    def _patch(self, sheet: _Sheet, part: Pass, patch: Sequence[Tile]) -> Iterator[int]:
        """Put a rectangle of tiles into the picture; yield how many tiles are in it by now."""
        z = part.z
        lacking = [tile for tile in patch if sheet.lacks(z, tile, part.region)]
        known = [tile for tile in lacking if self._known(sheet, z, tile) is not None]
        if known:
            self._show(sheet, z, known)
        yield len(patch) - len(lacking) + len(known)
        missing = set(lacking) - set(known)
        if missing:
            yield from self._predict(sheet, z, patch, missing)

    def _predict(self, sheet: _Sheet, z: int, patch: Sequence[Tile], missing: set[Tile]) -> Iterator[int]:
        predictor = sheet.predictor
        read = [(tile, image) for _, tile, image in sheet.source.tiles(z, list(patch)) if tile in missing]
        for first in range(0, len(read), predictor.settings.batch_size):
            batch = read[first : first + predictor.settings.batch_size]
            found = predictor.probabilities(np.stack([image for _, image in batch]))
            for (tile, _), probability in zip(batch, found, strict=True):
                self._keep(sheet, z, tile, as_uint8(probability))
            self._show(sheet, z, [tile for tile, _ in batch])
            yield len(batch)

    def _known(self, sheet: _Sheet, z: int, tile: Tile) -> Tile8 | None:
        key = sheet.key(z, tile)
        found: Tile8 | None = self._tiles.get(key)
        if found is None and self._folder is not None:
            found = self._folder.get(key)
            if found is not None:
                self._tiles.put(key, found)
        return found

    def _keep(self, sheet: _Sheet, z: int, tile: Tile, values: Tile8) -> None:
        key = sheet.key(z, tile)
        self._tiles.put(key, values)
        if self._folder is not None and not sheet.source.lost(z, *sheet.around([tile])):
            self._folder.put(key, values)

    def _show(self, sheet: _Sheet, z: int, tiles: Sequence[Tile]) -> None:
        """Blend the part of a slice that some tiles cover, from every tile that is in memory there."""
        region = sheet.around(tiles)
        there = ((tile, self._tiles.get(sheet.key(z, tile))) for tile in sheet.lattice.grid.over(*region))
        found = ((tile, values) for tile, values in there if values is not None)
        sheet.mosaic.paste(z, region[0].start, region[1].start, sheet.blended(z, found, region))


class _Sheet:
    """A level of the volume: the network set up for it, its lattice, and its part of the picture."""

    def __init__(self, level: int, predictor: Predictor, chunks: Bounded) -> None:
        self.predictor = predictor
        self.source = predictor.source
        depth, *shape = predictor.volume.shape
        self.lattice = Lattice(level, depth, predictor.grid)
        self.mosaic = Mosaic(level, (shape[0], shape[1]), predictor.classes, chunks)

    def key(self, z: int, tile: Tile) -> tuple[int, int, int, int]:
        return self.lattice.level, z, tile.row, tile.column

    def around(self, tiles: Sequence[Tile]) -> Rectangle:
        """Return the pixels of the slice that some tiles cover, and all between them."""
        grid = self.lattice.grid
        y = slice(min(tile.y for tile in tiles), min(max(tile.y for tile in tiles) + grid.size, grid.height))
        x = slice(min(tile.x for tile in tiles), min(max(tile.x for tile in tiles) + grid.size, grid.width))
        return y, x

    def lacks(self, z: int, tile: Tile, region: Rectangle) -> bool:
        """Tell whether what a tile shows of a region is not complete."""
        y, x = (
            slice(max(ours.start, there.start), min(ours.stop, there.stop))
            for ours, there in zip(self.around([tile]), region, strict=True)
        )
        return self.mosaic.lacks(z, y, x)

    def blended(self, z: int, tiles: Iterable[tuple[Tile, Tile8]], region: Rectangle) -> Tile8:
        """Return a part of slice z as the mosaic takes it; what could not be read is 0."""
        y, x = region
        out: Float = np.zeros((self.predictor.classes + 1, y.stop - y.start, x.stop - x.start), np.float32)
        for tile, values in tiles:
            window = self.lattice.grid.window(tile)
            blend(out, np.concatenate([values * window, window[None]]), tile, region)
        pixels = weighed(out[:-1], out[-1])
        blank(pixels[:-1], region, self.source.unreadable(z))
        return pixels


def _at_level(predictor: Predictor, level: int) -> Predictor:
    """Return the predictor for another level of its volume; the statistics stay those of the finest."""
    if level == 0:
        return predictor
    volume = replace(predictor.volume, levels=predictor.volume.levels[level : level + 1])
    grid = TileGrid(*volume.shape[1:], predictor.grid.size, predictor.grid.overlap)
    return replace(predictor, volume=volume, grid=grid)


def _folder(predictor: Predictor, settings: LiveSettings, root: Path) -> Folder | None:
    if not settings.on_disk or predictor.volume.path is None:
        return None
    known = provenance(predictor)
    known["settings"] = {name: known["settings"][name] for name in _SETTINGS}
    text = json.dumps({**known, **input_state(predictor.volume)}, sort_keys=True)
    return Folder(root, hashlib.sha256(text.encode()).hexdigest()[:32], settings.disk * 10**9)
