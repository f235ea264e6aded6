"""What a model has learned of a volume, from version to version: its card says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from napari_dtn.annotate.regions import Taught
from napari_dtn.nn.checkpoint import ModelCard
from napari_dtn.settings import Box
from napari_dtn.teach.data import TeachData

TAUGHT = "taught"  # of a card's training: for each volume its name, shape, and boxes held_out and learned
Numbers = tuple[tuple[int, int], ...]


def taught_before(cards: Iterable[ModelCard], name: str, shape: Sequence[int]) -> Taught:
    """Return what models have learned of a volume, and what was held back from them, as their cards say.

    Parameters
    ----------
    cards
        Of the model to start from, or of those that are compared.
    name, shape
        Of the volume, as the cards call it.
    """
    known = [one for card in cards for one in _volumes(card) if _is(one, name, shape)]
    held_out, learned = (_together(known, what) for what in ("held_out", "learned"))
    return Taught(tuple(map(_box, held_out)), tuple(map(_box, learned)))


def taught_after(card: ModelCard, data: TeachData) -> list[dict[str, Any]]:
    """Return what the card of a model has to say of its volumes, once some data have taught it.

    Parameters
    ----------
    card
        Of the model before.
    data
        What it is taught by.
    """
    before = [one for one in _volumes(card) if _is(one, data.name, data.image.shape)]
    now = {"learned": [numbers_of(one.box) for one in data.lessons]}
    this = {
        "name": data.name,
        "shape": [int(side) for side in data.image.shape],
        "held_out": [numbers_of(box) for box in data.held_out],
        "learned": list(_together([*before, now], "learned")),
    }
    return [*(one for one in _volumes(card) if one not in before), this]


def numbers_of(box: Box) -> Numbers:
    """Return the ends of a box, as a card has them."""
    return tuple((int(side.start), int(side.stop)) for side in box)


def _volumes(card: ModelCard) -> list[dict[str, Any]]:
    """What a card says of volumes; of a model that was trained on one, its slices."""
    if TAUGHT in card.training:
        return list(card.training[TAUGHT])
    data = card.training.get("data", {})
    if "train_z" in data:
        whole = [data["train_z"], *([0, side] for side in data["shape"][1:])]
        return [{**data, "held_out": [], "learned": [whole]}]
    return [{**data, "learned": []}] if "held_out" in data else []


def _is(one: dict[str, Any], name: str, shape: Sequence[int]) -> bool:
    return one["name"] == name and list(one["shape"]) == list(shape)


def _together(volumes: Iterable[dict[str, Any]], what: str) -> dict[Numbers, None]:
    """The boxes of all, each once, in order."""
    return dict.fromkeys(tuple((a, b) for a, b in box) for one in volumes for box in one[what])


def _box(numbers: Numbers) -> Box:
    z, y, x = (slice(start, stop) for start, stop in numbers)
    return z, y, x
