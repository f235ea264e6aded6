"""Versions side by side: what is shown is what the product predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_dtn.annotate.thumbnails import rgb
from napari_dtn.nn.heads import with_classes
from napari_dtn.predict import Predictor
from napari_dtn.settings import PredictSettings
from napari_dtn.teach.comparison import look
from napari_dtn.volume.opening import volume_from_array

if TYPE_CHECKING:
    from napari_dtn.nn.checkpoint import Model
    from napari_dtn.teach.data import TeachData


def probability(model: Model, data: TeachData, z: int) -> np.ndarray:
    """Return what the panel that predicts would show of the whole slice."""
    volume = volume_from_array(data.image)
    return Predictor.of(model, volume, PredictSettings(backend="eager"), data.intensity).predict(z)


def test_a_held_out_place_through_the_eyes_of_two_models(parent: Model, data: TeachData) -> None:
    several = with_classes(parent, ("boundary", "inside", "blob"))
    (place,) = look({"one": parent, "three": several}, data)
    assert list(place.pictures) == ["image", "annotated", "one", "three"]
    known = data.annotation[place.z, place.y, place.x]
    annotated = place.pictures["annotated"]
    for value in (1, 2):
        assert (annotated[known == value] == rgb(value - 1)).all()
    np.testing.assert_array_equal(annotated[known == 0], place.pictures["image"][known == 0])
    one = 255 * probability(parent, data, place.z)[0, place.y, place.x]
    assert np.abs(place.pictures["one"] - one[..., None]).max() <= 1
    three = probability(several, data, place.z)[:, place.y, place.x]
    mixed = sum(p[..., None] * np.array(rgb(number), float) for number, p in enumerate(three))
    assert np.abs(place.pictures["three"] - mixed).max() <= 1


@pytest.mark.parametrize("most", [1, 2])
def test_what_is_learned_from_is_not_shown(parent: Model, data: TeachData, most: int) -> None:
    assert {place.z for place in look({"one": parent}, data, most)} == {1}
