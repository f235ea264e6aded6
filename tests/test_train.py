"""Training: it learns, it resumes exactly, and it never loses what was there."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_dtn.nn.checkpoint import load_card, load_json, load_model, read_tensors, write_tensors
from napari_dtn.nn.optimise import learning_rate
from napari_dtn.patches import TrainingVolume
from napari_dtn.settings import NetworkSettings, TrainSettings
from napari_dtn.train import StepDone, TrainingData, train
from napari_dtn.volume.intensity import estimate_intensity

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dtn.phantom import Phantom

NETWORK = NetworkSettings(base_channels=4, levels=3, transformer_levels=(2,))
SETTINGS = TrainSettings(
    iterations=8, patch_size=48, batch_size=2, warmup=2, validate_every=4, precision="float32"
)


@pytest.fixture
def data(tiny_phantom: Phantom) -> TrainingData:
    volume = TrainingVolume(
        tiny_phantom.image, tiny_phantom.labels, "ids", estimate_intensity(tiny_phantom.image)
    )
    return TrainingData(volume, range(3), range(3, 4), "phantom", (30, 6, 6))


def run(data: TrainingData, path: Path, settings: TrainSettings = SETTINGS, **more: object) -> list[StepDone]:
    return list(train(data, path, network=NETWORK, settings=settings, **more))  # type: ignore[arg-type]


def stop_after(count: int, data: TrainingData, path: Path, settings: TrainSettings = SETTINGS) -> None:
    steps = train(data, path, network=NETWORK, settings=settings)
    for _ in range(count):
        next(steps)
    steps.close()  # type: ignore[attr-defined]


def same_weights(first: Path, second: Path) -> bool:
    one, other = read_tensors(first), read_tensors(second)
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def test_it_learns(data: TrainingData, tmp_path: Path, device: str) -> None:
    settings = replace(SETTINGS, iterations=80, validate_every=80, device=device)  # type: ignore[arg-type]
    steps = run(data, tmp_path / "m.safetensors", settings)
    assert np.mean([step.loss for step in steps[-10:]]) < 0.85 * np.mean([step.loss for step in steps[:5]])
    validation = steps[-1].validation
    assert validation is not None
    assert validation.scores["roc_auc"] > 0.6


def test_events_count_steps_and_time(data: TrainingData, tmp_path: Path) -> None:
    steps = run(data, tmp_path / "m.safetensors")
    assert [step.iteration for step in steps] == list(range(1, 9))
    assert [step.iteration for step in steps if step.validation] == [4, 8]
    assert steps[-1].eta == 0
    assert all(step.rate > 0 for step in steps)


@pytest.mark.parametrize("after", [1, 5])
def test_a_resumed_training_ends_with_the_same_weights(
    data: TrainingData, tmp_path: Path, after: int
) -> None:
    run(data, tmp_path / "whole.safetensors")
    broken = tmp_path / "broken.safetensors"
    stop_after(after, data, broken)
    assert not broken.exists()
    resumed = run(data, broken, resume=True)
    assert resumed[0].iteration == after + 1
    assert same_weights(tmp_path / "whole.safetensors", broken)
    assert (
        load_card(broken).training["history"] == load_card(tmp_path / "whole.safetensors").training["history"]
    )
    assert not broken.with_suffix(".resume.safetensors").exists()


def test_a_killed_training_resumes_from_its_last_checkpoint(data: TrainingData, tmp_path: Path) -> None:
    """A kill leaves no time to save: what the clock saved has to do."""
    settings = replace(SETTINGS, checkpoint_seconds=0.0)
    run(data, tmp_path / "whole.safetensors", settings)
    killed = tmp_path / "killed.safetensors"
    steps = train(data, killed, network=NETWORK, settings=settings)
    for _ in range(3):
        next(steps)
    saved = killed.with_suffix(".resume.safetensors").read_bytes()
    steps.close()  # type: ignore[attr-defined]
    killed.with_suffix(".resume.safetensors").write_bytes(saved)
    assert run(data, killed, settings, resume=True)[0].iteration == 4
    assert same_weights(tmp_path / "whole.safetensors", killed)


def test_before_the_cool_down_the_end_may_move(data: TrainingData, tmp_path: Path) -> None:
    longer = replace(SETTINGS, iterations=16)
    run(data, tmp_path / "whole.safetensors", longer)
    stop_after(4, data, tmp_path / "moved.safetensors")
    run(data, tmp_path / "moved.safetensors", longer, resume=True)
    assert same_weights(tmp_path / "whole.safetensors", tmp_path / "moved.safetensors")


def test_in_the_cool_down_it_may_not(data: TrainingData, tmp_path: Path) -> None:
    stop_after(7, data, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="iterations was 8, now it is 16; after 7 steps that is too late"):
        run(data, tmp_path / "m.safetensors", replace(SETTINGS, iterations=16), resume=True)


def test_other_settings_refuse_to_resume_and_are_named(data: TrainingData, tmp_path: Path) -> None:
    stop_after(2, data, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"settings\.learning_rate was 0\.002, now it is 0\.1"):
        run(data, tmp_path / "m.safetensors", replace(SETTINGS, learning_rate=0.1), resume=True)


def test_a_checkpoint_from_before_a_setting_goes_on_with_its_default(
    data: TrainingData, tmp_path: Path
) -> None:
    path = tmp_path / "m.safetensors"
    stop_after(2, data, path)
    checkpoint = path.with_suffix(".resume.safetensors")
    state = load_json(checkpoint, "napari_dtn_training")
    del state["network"]["filling"], state["settings"]["augment"]["zoom"]
    write_tensors(checkpoint, read_tensors(checkpoint), {"napari_dtn_training": json.dumps(state)})
    zoomed = replace(SETTINGS, augment=replace(SETTINGS.augment, zoom=1.5))
    with pytest.raises(ValueError, match=r"settings.augment.zoom was 1.0, now it is 1.5"):
        run(data, path, zoomed, resume=True)
    assert run(data, path, resume=True)[0].iteration == 3


def test_nothing_is_replaced_unasked(data: TrainingData, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    stop_after(2, data, path)
    with pytest.raises(FileExistsError, match="resume"):
        run(data, path)
    run(data, path, overwrite=True)
    with pytest.raises(FileExistsError, match="give another name"):
        run(data, path)


def test_the_seed_decides_the_weights(data: TrainingData, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(data, tmp_path / f"{name}.safetensors", replace(SETTINGS, seed=seed, iterations=3))
    assert same_weights(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert not same_weights(tmp_path / "a.safetensors", tmp_path / "c.safetensors")


def test_the_card_says_where_the_model_comes_from(data: TrainingData, tmp_path: Path) -> None:
    run(data, tmp_path / "m.safetensors")
    card = load_card(tmp_path / "m.safetensors")
    assert card.network == NETWORK
    assert card.patch_size == 48
    assert card.voxel_size == (30, 6, 6)
    assert card.training["data"]["train_z"] == [0, 3]
    assert card.training["settings"]["seed"] == 0
    assert card.training["iterations"] == 8
    assert 0 < card.scores["validation"]["scores"]["roc_auc"] < 1
    assert card.scores["validation"]["warp"]["2"]["deviation"] >= 0


def test_a_training_starts_from_a_model(data: TrainingData, tmp_path: Path) -> None:
    run(data, tmp_path / "first.safetensors")
    start = load_model(tmp_path / "first.safetensors", "cpu")
    still = replace(SETTINGS, iterations=1, learning_rate=1e-7, average=0.0)
    list(train(data, tmp_path / "second.safetensors", settings=still, start=start))
    first, second = (read_tensors(tmp_path / f"{name}.safetensors") for name in ("first", "second"))
    for name, weights in first.items():
        if "running" not in name and not name.endswith(("mean", "variance")):
            np.testing.assert_allclose(weights.float(), second[name].float(), atol=1e-3)
    assert load_card(tmp_path / "second.safetensors").training["start"] == start.sha256


def test_the_learning_rate_warms_up_stays_and_cools_down() -> None:
    settings = TrainSettings(iterations=100, warmup=10, cooldown=0.2, learning_rate=1.0)
    rates = [learning_rate(step, settings) for step in range(100)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    np.testing.assert_allclose(rates[10:80], 1)
    np.testing.assert_allclose(rates[80:], np.arange(20, 0, -1) / 20)


def test_shared_slices_are_refused(data: TrainingData) -> None:
    with pytest.raises(ValueError, match="Slices 1 to 2 are in both train_z and val_z"):
        replace(data, val_z=range(1, 4))
    with pytest.raises(ValueError, match=r"train_z 0:9 leaves the volume's z 0:4"):
        replace(data, train_z=range(9))


def classes_of(data: TrainingData, largest: int, names: tuple[str, ...] = ()) -> TrainingData:
    """The same slices, annotated as classes up to a value."""
    known = (data.volume.labels % 2 + 1).astype(np.uint8)
    known[:, :3, :3] = largest
    return replace(data, volume=replace(data.volume, labels=known, kind="classes"), classes=names)


def test_sparse_annotation_of_the_scored_slices_is_found(data: TrainingData, tmp_path: Path) -> None:
    """On the slices that have any, and to the far edges that whole tiles leave out; each pixel once."""
    known = np.zeros((12, 70, 70), np.uint8)
    known[0, :20], known[0, 20:40] = 1, 2
    known[7, 40:60, 40:60], known[7, 69, 60:] = 1, 2
    image = np.random.default_rng(0).random(known.shape)
    sparse = replace(data.volume, image=image, labels=known, kind="classes")
    data = replace(data, volume=sparse, train_z=range(2), val_z=range(2, 12))
    assert data.scored() == {"slices": [7]}
    seen = [found for _, batch in data.validation_batches(NETWORK, SETTINGS) for found in batch]
    assert [sum((one == value).sum() for one in seen) for value in (1, 2)] == [400, 10]
    step = run(data, tmp_path / "m.safetensors")[-1]
    assert step.validation is not None
    assert step.validation.scores["n_pixels"] == 410
    with pytest.raises(ValueError, match="Nothing is annotated in val_z 8:12"):
        run(replace(data, val_z=range(8, 12)), tmp_path / "other.safetensors")


def test_classes_are_called_by_their_names(data: TrainingData, tmp_path: Path) -> None:
    names = ("membrane", "cytoplasm", "mitochondrion")
    network, path = replace(NETWORK, n_classes=3), tmp_path / "m.safetensors"
    list(train(classes_of(data, 3, names), path, network=network, settings=SETTINGS))
    assert load_card(path).class_names == names


@pytest.mark.parametrize(
    ("largest", "names", "n_classes", "words"),
    [
        (3, (), 1, "holds 3, and values go from 0 .* to 2; set n_classes to 3"),
        (4, (), 3, "holds 4, and values go from 0 .* to 3"),
        (3, ("membrane", "cytoplasm", "nucleus"), 4, "n_classes is 4, and 3 classes are named"),
    ],
)
def test_values_without_a_class_are_refused(
    data: TrainingData, tmp_path: Path, largest: int, names: tuple[str, ...], n_classes: int, words: str
) -> None:
    network = replace(NETWORK, n_classes=n_classes)
    with pytest.raises(ValueError, match=words):
        train(
            classes_of(data, largest, names), tmp_path / "m.safetensors", network=network, settings=SETTINGS
        )


def test_a_mask_is_not_learned_as_ids(data: TrainingData, tmp_path: Path) -> None:
    mask = np.where(data.volume.labels == 0, 255, 0).astype(np.uint8)
    with pytest.raises(ValueError, match="0 and 255 alone, as a mask of membranes does"):
        run(replace(data, volume=replace(data.volume, labels=mask)), tmp_path / "m.safetensors")


def test_an_image_with_values_that_are_no_numbers_names_the_slice(data: TrainingData, tmp_path: Path) -> None:
    image = data.volume.image.astype(np.float32)
    image[1] = np.nan
    with pytest.raises(ValueError, match=r"Slice 1, .* NaN or infinite"):
        run(replace(data, volume=replace(data.volume, image=image)), tmp_path / "m.safetensors")


def test_a_loss_that_is_not_finite_ends_with_advice(data: TrainingData, tmp_path: Path) -> None:
    broken = TrainingVolume(
        data.volume.image, data.volume.labels, "ids", replace(data.volume.intensity, std=float("nan"))
    )
    with pytest.raises(FloatingPointError, match="train with a smaller learning rate"):
        run(replace(data, volume=broken), tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()
