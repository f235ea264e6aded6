"""The plan: what follows from little and from much, and that the user's word counts."""

from __future__ import annotations

from napari_dtn.settings import FineTuneSettings
from napari_dtn.teach.planning import Amount, plan, plan_lines

STROKES, DENSE = Amount((2700, 1300), 10, 5), Amount((1_500_000, 4_500_000), 24, 24)


def test_the_less_is_annotated_the_more_the_model_is_held() -> None:
    little, much = (plan(amount, 224, FineTuneSettings()).train for amount in (STROKES, DENSE))
    assert little.pull > much.pull == 0
    assert little.iterations < much.iterations
    assert little.augment.zoom > much.augment.zoom


def test_what_the_user_says_counts() -> None:
    said = FineTuneSettings(
        minutes=1.5,
        iterations=7,
        learning_rate=0.25,
        batch_size=3,
        augment="none",
        freeze="encoder",
        pull="none",
        patience=5,
        seed=9,
    )
    made = plan(STROKES, 160, said, "cuda")
    train = made.train
    assert (train.iterations, train.learning_rate, train.batch_size, train.seed) == (7, 0.25, 3, 9)
    assert (train.pull, train.freeze, train.augment.flips) == (0.0, "encoder", False)
    assert (made.seconds, made.patience, train.patch_size) == (90, 5, 160)


def test_a_plan_by_hand_is_the_plan() -> None:
    for amount in (STROKES, DENSE):
        made = plan(amount, 224, FineTuneSettings())
        assert plan(Amount((90_000,), 1, 1), 224, FineTuneSettings(**made.values), "cuda") == made


def test_a_new_last_layer_is_not_held_to_what_it_saw() -> None:
    three = plan(Amount((2700, 1300, 900), 10, 5), 224, FineTuneSettings()).train
    assert three.pull == 0
    assert plan(Amount((2700, 1300, 900), 10, 5), 224, FineTuneSettings(pull="strong")).train.pull > 0


def test_a_gpu_takes_larger_batches() -> None:
    cpu, gpu = (plan(STROKES, 224, FineTuneSettings(), device).train for device in ("cpu", "cuda"))
    assert gpu.batch_size > cpu.batch_size


def test_the_plan_is_said_in_words() -> None:
    lines = plan_lines(plan(STROKES, 224, FineTuneSettings(freeze="encoder")), STROKES)
    assert lines[0] == "4000 annotated pixels in 10 places on 5 slices"
    assert any("gets to know the volume" in line for line in lines)
    assert any("3 min" in line for line in lines)
    assert any("stays as it is" in line for line in lines)
