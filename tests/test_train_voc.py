"""Training on PASCAL VOC: patches are pure and aligned, a training resumes, its card says what it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, log_loss

from napari_dtn.augment import NOT_ANNOTATED
from napari_dtn.classify import classify
from napari_dtn.nn.checkpoint import load_card, load_model, read_tensors
from napari_dtn.settings import AugmentSettings, NetworkSettings, TrainSettings
from napari_dtn.train import train, validate
from napari_dtn.train.voc import VocData, VocSampler, annotation_of
from napari_dtn.voc import CLASS_NAMES, normalised, resized
from support.voc import VOID, made_up, real, write_list

if TYPE_CHECKING:
    from pathlib import Path

STILL = AugmentSettings(flips=False, contrast=0, brightness=0, noise=0, defects=0)
MOVED = replace(STILL, flips=True, zoom=2, stretch=1.5, elastic=2)
NETWORK = NetworkSettings(base_channels=2, levels=3, in_channels=3, n_classes=21, transformer_levels=(2,))
SETTINGS = TrainSettings(
    iterations=4, patch_size=32, batch_size=2, warmup=1, validate_every=2, precision="float32", device="cpu"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> VocData:
    return VocData.of(made_up(tmp_path_factory.mktemp("voc") / "VOC2012"))


def sampler(data: VocData, augment: AugmentSettings, size: int = 48, seed: int = 0) -> VocSampler:
    return VocSampler(data.folder, data.train, size, augment, seed)


# ---- patches


def test_a_patch_depends_on_seed_and_number_alone(data: VocData) -> None:
    everything = AugmentSettings(zoom=2, stretch=1.5, elastic=2)
    image, annotation = sampler(data, everything).patch(7)
    images, annotations = sampler(data, everything).batch([3, 7])
    assert images.shape == (2, 3, 48, 48)
    np.testing.assert_array_equal(images[1], image)
    np.testing.assert_array_equal(annotations[1], annotation)
    assert not np.array_equal(sampler(data, everything).patch(8)[0], image)
    assert not np.array_equal(sampler(data, everything, seed=1).patch(7)[0], image)


def test_unchanged_patches_are_the_whole_training_images(data: VocData) -> None:
    whole = [resized(*data.folder.read(name), 48, 48) for name in data.train]
    drawn = set()
    for number in range(30):
        image, annotation = sampler(data, STILL).patch(number)
        (which,) = [k for k, (_, classes) in enumerate(whole) if (annotation_of(classes) == annotation).all()]
        np.testing.assert_array_equal(image, normalised(whole[which][0]))
        drawn.add(which)
    assert drawn == set(range(len(data.train)))


def test_void_is_not_annotated_and_a_class_is_one_more_than_its_index() -> None:
    classes = np.array([[0, 20], [VOID, 7]], np.uint8)
    np.testing.assert_array_equal(annotation_of(classes), [[1, 21], [NOT_ANNOTATED, 8]])


def test_image_and_classes_move_together(data: VocData) -> None:
    """Objects are bright and the ground is dark, wherever they go; what is no image is not annotated."""
    right = []
    for number in range(40):
        image, annotation = sampler(data, MOVED).patch(number)
        known = annotation != NOT_ANNOTATED
        assert set(np.unique(annotation)) <= {NOT_ANNOTATED, 1, 9, 16}
        right.append(((image[0] > 0) == (annotation > 1))[known])
    assert np.concatenate(right).mean() > 0.98


def test_patches_are_magnified_reduced_and_mirrored(data: VocData) -> None:
    """From half to twice the size: a framed image leaves a rim, a magnified one shows a part."""
    one = replace(data, train=data.train[:1])
    whole = annotation_of(resized(*data.folder.read(data.train[0]), 48, 48)[1])
    zoomed = [sampler(one, replace(STILL, zoom=2)).patch(number)[1] for number in range(40)]
    objects = [np.count_nonzero(annotation > 1) for annotation in zoomed]
    assert min(objects) < 0.4 * np.count_nonzero(whole > 1)
    assert max(objects) > 2.0 * np.count_nonzero(whole > 1)
    assert max(np.count_nonzero(annotation == NOT_ANNOTATED) for annotation in zoomed) > 0.5 * whole.size

    mirrored = [sampler(one, replace(STILL, flips=True)).patch(number)[1] for number in range(20)]
    same = [(annotation == whole).all() for annotation in mirrored]
    turned = [(annotation == whole[:, ::-1]).all() for annotation in mirrored]
    assert all(a or b for a, b in zip(same, turned, strict=True))
    assert 0 < sum(same) < 20


# ---- training


@pytest.fixture(params=["made up", "real"])
def voc(request: pytest.FixtureRequest, data: VocData, tmp_path: Path) -> VocData:
    if request.param == "made up":
        return data
    shared_data = request.getfixturevalue("shared_data")
    return VocData.of(real(shared_data / "voc", tmp_path / "VOC2012"))


def test_a_resumed_training_ends_with_the_same_weights(voc: VocData, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    losses = [step.loss for step in train(voc, whole, network=NETWORK, settings=SETTINGS)]
    assert np.isfinite(losses).all()
    steps = train(voc, broken, network=NETWORK, settings=SETTINGS)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert len(list(train(voc, broken, network=NETWORK, settings=SETTINGS, resume=True))) == 3
    one, other = read_tensors(whole), read_tensors(broken)
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)
    assert load_card(whole).training["history"] == load_card(broken).training["history"]


def test_it_learns(data: VocData, tmp_path: Path, device: str) -> None:
    settings = replace(SETTINGS, iterations=60, learning_rate=0.03, validate_every=60, augment=STILL)
    settings = replace(settings, device=device)  # type: ignore[arg-type]
    steps = list(train(data, tmp_path / "m.safetensors", network=NETWORK, settings=settings))
    assert np.mean([step.loss for step in steps[-5:]]) < 0.5 * steps[0].loss


def test_the_card_says_what_the_model_is(data: VocData, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    list(train(data, path, network=NETWORK, settings=SETTINGS))
    card = load_card(path)
    assert card.class_names == CLASS_NAMES
    assert card.voxel_size is None
    assert "ImageNet" in card.normalisation
    assert card.patch_size == 32
    assert "boundary_rule" not in card.training
    described = card.training["data"]
    assert (described["name"], described["train"], described["val"]) == ("VOC2012", 4, 2)
    assert (card.scores["validation"]["split"], card.scores["validation"]["images"]) == ("val", 2)


def test_validation_scores_are_those_of_scikit_learn(data: VocData, tmp_path: Path) -> None:
    """Over all pixels of all held-out images together; the void rims do not count."""
    path = tmp_path / "m.safetensors"
    list(train(data, path, network=NETWORK, settings=SETTINGS))
    model = load_model(path, "cpu")
    scores = validate(model.network, data, SETTINGS, model.device).scores
    found = list(classify(model, data.folder, data.val, "float32"))
    truth = np.concatenate([one.truth.ravel() for one in found])
    known = truth != VOID
    probability = np.concatenate([one.probability.reshape(21, -1).T for one in found])[known]
    table = confusion_matrix(truth[known], probability.argmax(axis=1), labels=range(21))
    present = table.sum(0) + table.sum(1) > 0
    union = (table.sum(0) + table.sum(1) - table.diagonal())[present]
    assert scores["n_pixels"] == known.sum()
    assert scores["mean_iou"] == pytest.approx(np.mean(table.diagonal()[present] / union), abs=1e-12)
    assert scores["accuracy"] == pytest.approx(table.diagonal().sum() / table.sum(), abs=1e-12)
    assert scores["loss"] == pytest.approx(log_loss(truth[known], probability, labels=range(21)), abs=1e-5)


def test_a_changed_list_refuses_to_resume(data: VocData, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    steps = train(data, path, network=NETWORK, settings=SETTINGS)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"data\.train was 4, now it is 3"):
        train(replace(data, train=data.train[1:]), path, network=NETWORK, settings=SETTINGS, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"in_channels": 1}, "in_channels is 1; PASCAL VOC needs a network with in_channels 3"),
        ({"n_classes": 2}, "n_classes is 2; PASCAL VOC needs a network with n_classes 21"),
        ({"context": 1}, "context is 1"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(
    data: VocData, tmp_path: Path, change: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        train(data, tmp_path / "m.safetensors", network=replace(NETWORK, **change), settings=SETTINGS)


def test_shared_images_are_refused(tmp_path: Path) -> None:
    root = made_up(tmp_path)
    write_list(root, "val", ["2007_000000", "2007_000005"])
    with pytest.raises(ValueError, match="1 images, such as 2007_000000, are in both train and val"):
        VocData.of(root)
