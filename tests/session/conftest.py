"""A volume of rooms with walls, whose objects are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_dtn.session import ClickSession
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.settings import ClickSettings
from napari_dtn.volume.opening import volume_from_array
from support.rooms import ROOM, by_walls, walls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_dtn.volume.opening import Volume

SHAPE = (12, 96, 128)


@dataclass(frozen=True, eq=False)
class Rooms:
    """Square rooms, the same in each slice; the wall between the first two is thin air."""

    volume: Volume
    boundaries: StoredBoundaries
    truth: np.ndarray


@pytest.fixture(autouse=True)
def _by_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_dtn.session.evidence.merge_probabilities", by_walls)


@pytest.fixture(scope="session")
def rooms() -> Rooms:
    y, x = np.indices(SHAPE[1:])
    truth = (1 + y // ROOM * (SHAPE[2] // ROOM) + x // ROOM).astype(np.uint32)
    stack = walls(SHAPE)
    image = np.round(200 * (1 - stack)).astype(np.uint8)
    volume = volume_from_array(image, (30, 6, 6), "rooms")
    return Rooms(volume, StoredBoundaries(stack, SHAPE), np.broadcast_to(truth, SHAPE))


@pytest.fixture
def session(rooms: Rooms, tmp_path: Path) -> Iterator[ClickSession]:
    made = ClickSession(
        rooms.volume,
        boundaries=rooms.boundaries,
        folder=tmp_path / "session",
        settings=ClickSettings(window=64, reach=4, threshold=0.8),
    )
    yield made
    made.close()
