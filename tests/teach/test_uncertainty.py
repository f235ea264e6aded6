"""A real model looks round a phantom: flips do not matter, and what was spoilt is suggested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_dtn.annotate.regions import Region
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.phantom import PhantomSettings, make_phantom
from napari_dtn.predict import Predictor
from napari_dtn.settings import PredictSettings
from napari_dtn.teach.uncertainty import look, suggest
from napari_dtn.volume.opening import volume_from_array

if TYPE_CHECKING:
    from napari_dtn.nn.checkpoint import Model

SETTINGS = PredictSettings(device="cpu", backend="eager", precision="float32")


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("dtn-snemi3d", device="cpu")


def test_what_a_model_sees_turns_with_the_image(model: Model) -> None:
    image = make_phantom(PhantomSettings(shape=(1, 224, 224))).image
    whole = slice(0, 1), slice(0, 224), slice(0, 224)
    seen = [
        look(Predictor.of(model, volume_from_array(one.copy(), (30, 6, 6)), SETTINGS), whole)
        for one in (image, image[:, ::-1], image[..., ::-1])
    ]
    assert np.abs(seen[1].probability[:, ::-1] - seen[0].probability).max() < 1e-4
    assert np.abs(seen[2].probability[..., ::-1] - seen[0].probability).max() < 1e-4
    assert seen[0].probability.std() > 0.1


def test_stained_tissue_is_suggested_until_it_is_annotated(model: Model) -> None:
    image = make_phantom(PhantomSettings(shape=(1, 448, 448))).image
    stained = slice(0, 192), slice(256, 448)
    stains = gaussian_filter(np.random.default_rng(0).normal(0, 400, (1, 192, 192)), (0, 3, 3))
    image[:, *stained] = np.clip(image[:, *stained] + stains, 0, 255)
    predictor = Predictor.of(model, volume_from_array(image, (30, 6, 6)), SETTINGS)
    *steps, last = suggest(predictor, count=3)
    assert [(one.done, one.total, one.suggestions) for one in steps] == [(0, 1, ())]
    assert len(last.suggestions) == 3
    first, *_ = last.suggestions
    assert first.y.start < 192
    assert first.x.stop > 256
    *_, last = suggest(predictor, [Region(0, *stained, (9, 9))], 3)
    assert all(one.y.start >= 192 or one.x.stop <= 256 for one in last.suggestions)
