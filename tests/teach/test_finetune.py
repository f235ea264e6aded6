"""Fine-tuning: it learns, resumes, keeps the best and nothing else, and can be stopped at any step."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_dtn.annotate.regions import NEVER_TAUGHT
from napari_dtn.metrics import boundary_target
from napari_dtn.nn.checkpoint import load_card, load_model, read_tensors
from napari_dtn.nn.dtn import probability
from napari_dtn.settings import FineTuneSettings
from napari_dtn.teach import finetune as module
from napari_dtn.teach.data import TeachData
from napari_dtn.teach.events import Ended, Scored, Started, Stepped
from napari_dtn.teach.finetune import TeachRequest, TeachRun, adapted_to, finetune
from napari_dtn.teach.library import Library
from napari_dtn.teach.past import taught_after, taught_before
from napari_dtn.teach.splitting import split
from napari_dtn.train.validation import validate
from napari_dtn.volume.intensity import estimate_intensity

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dtn.nn.checkpoint import Model
    from napari_dtn.phantom import Phantom
    from napari_dtn.teach.planning import Plan

SETTINGS = FineTuneSettings(iterations=6, batch_size=2, precision="float32", device="cpu", minutes=10)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validate every second step."""
    plan = module.plan

    def often(*arguments: Any) -> Plan:
        made = plan(*arguments)
        return replace(made, train=replace(made.train, validate_every=2, warmup=1))

    monkeypatch.setattr(module, "plan", often)


def request_of(
    parent: Model, data: TeachData, folder: Path, settings: FineTuneSettings = SETTINGS
) -> TeachRequest:
    return TeachRequest(parent, data, folder / "run", settings)


def five_strokes(ids: Any, seed: int) -> Any:
    """Paint three thin lines along boundaries and two broad ones inside, on two slices."""
    random, known = np.random.default_rng(seed), np.zeros(ids.shape, np.uint8)
    for number in range(5):
        z, kind = 1 + 2 * (number // 2 % 2), 1 + number % 2
        is_kind = boundary_target(ids[z]) == (kind == 1)
        y, x = random.permutation(np.argwhere(is_kind))[0]
        place = (slice(max(y - 4 * kind, 0), y + 4 * kind), slice(max(x - 4 * kind, 0), x + 4 * kind))
        known[z][place][is_kind[place]] = kind
    return known


def started(run: TeachRun, steps: int) -> None:
    """Make some steps, then stop."""
    events = run.events()
    while steps:
        steps -= isinstance(next(events), Stepped)
    events.close()  # type: ignore[attr-defined]


def test_events_come_in_order(parent: Model, data: TeachData, tmp_path: Path) -> None:
    events = list(finetune(request_of(parent, data, tmp_path)).events())
    assert [type(event) for event in events] == [
        *(Started, Scored, Scored),
        *(Stepped, Scored, Stepped) * 3,
        Ended,
    ]
    first, _, *scored = (event for event in events if isinstance(event, Scored))
    assert (first.iteration, first.best, math.isnan(first.train_loss)) == (0, True, True)
    assert [one.iteration for one in scored] == [2, 4, 6]
    steps = [event for event in events if isinstance(event, Stepped)]
    assert [step.iteration for step in steps] == [1, 2, 3, 4, 5, 6]
    assert scored[0].train_loss == pytest.approx(np.mean([step.loss for step in steps[:2]]))
    assert steps[-1].eta == 0


def test_it_learns_and_the_library_has_it(parent: Model, data: TeachData, tmp_path: Path) -> None:
    settings = replace(SETTINGS, iterations=60, learning_rate=3e-3, pull="none")
    run = finetune(request_of(parent, data, tmp_path, settings))
    scores = [event for event in run.events() if isinstance(event, Scored)]
    best = max(scores, key=lambda one: one.val_auc)
    assert best.val_auc > scores[0].val_auc + 0.05
    version = run.keep("my tissue", Library(tmp_path / "library"), {"phantom": {"before": 0.9, "after": 0.8}})
    assert not (tmp_path / "run").exists()
    assert version.parent == "tiny"
    assert version.scores["held_out"]["after"]["roc_auc"] == best.val_auc
    assert version.scores["phantom"]["after"] == 0.8
    card = load_card(version.path)
    assert card.training["data"]["annotated"]["slices"] == 1
    assert len(card.training["curve"]) == 1 + scores.index(best)
    taught = taught_before([card], data.name, data.image.shape)
    assert taught.held_out == data.held_out
    assert taught.learned == tuple(one.box for one in data.lessons)
    assert taught_before([card], "another", data.image.shape) == NEVER_TAUGHT


def test_a_model_that_is_taught_twice_remembers_both(parent: Model, data: TeachData) -> None:
    """Of each volume what it has learned at any time, and what was held out last."""
    first = replace(parent, card=replace(parent.card, training={"taught": taught_after(parent.card, data)}))
    other, held = replace(data, name="another"), ((slice(3, 4), slice(40, 60), slice(0, 80)),)
    card = first.card
    for now in (other, replace(data, held_out=held)):
        card = replace(card, training={"taught": taught_after(card, now)})
    taught = taught_before([card], data.name, data.image.shape)
    assert taught.held_out == held
    assert {box[0].start for box in taught.learned} == {1, 3}
    assert taught_before([card], "another", data.image.shape).held_out == data.held_out


def test_a_model_trained_on_slices_of_the_volume_knows_them(parent: Model, data: TeachData) -> None:
    shape = data.image.shape
    trained = {"data": {"name": data.name, "shape": list(shape), "train_z": [0, 2]}}
    taught = taught_before([replace(parent.card, training=trained)], data.name, shape)
    assert taught.learned == ((slice(0, 2), slice(0, shape[1]), slice(0, shape[2])),)
    older = {"data": {"name": data.name, "shape": list(shape), "held_out": [[[1, 2], [0, 30], [0, 80]]]}}
    taught = taught_before([replace(parent.card, training=older)], data.name, shape)
    assert (taught.held_out, taught.learned) == (data.held_out, ())


def test_what_is_kept_is_the_best_and_predicts_what_was_scored(
    parent: Model, data: TeachData, tmp_path: Path
) -> None:
    """The kept file, scored anew, gives the best validation again, up to its half precision."""
    from napari_dtn.teach.comparison import compare

    run = finetune(request_of(parent, data, tmp_path, replace(SETTINGS, learning_rate=3e-3)))
    scores = [event for event in run.events() if isinstance(event, Scored)]
    before, after = compare({"parent": parent, "best": run.best()}, data)
    assert before.scores["roc_auc"] == pytest.approx(scores[0].val_auc, abs=5e-3)
    assert after.scores["roc_auc"] == pytest.approx(max(one.val_auc for one in scores), abs=5e-3)


def test_a_snapshot_does_not_move_on(parent: Model, data: TeachData, tmp_path: Path) -> None:
    run = finetune(request_of(parent, data, tmp_path))
    events = run.events()
    for event in events:
        if isinstance(event, Stepped):
            break
    early, again = run.model(), run.model()
    assert early.sha256 == again.sha256 != parent.sha256
    weights = {name: one.clone() for name, one in early.network.state_dict().items()}
    for _ in events:
        pass
    assert run.model().sha256 != early.sha256
    assert all(one.equal(weights[name]) for name, one in early.network.state_dict().items())


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupted_run_ends_as_if_it_was_not(
    parent: Model, data: TeachData, tmp_path: Path, after: int
) -> None:
    whole = finetune(request_of(parent, data, tmp_path / "whole"))
    expected = [event for event in whole.events() if isinstance(event, Scored)]
    started(finetune(request_of(parent, data, tmp_path / "broken")), after)
    with (tmp_path / "broken" / "run" / "curve.jsonl").open("a") as curve:
        curve.write('{"iteration": ')  # what a crash may leave
    run = finetune(request_of(parent, data, tmp_path / "broken"), resume=True)
    events = list(run.events())
    assert isinstance(events[0], Started)
    assert events[0].iteration == after
    scored = [event for event in events if isinstance(event, Scored)]
    assert [one.val_loss for one in scored] == [one.val_loss for one in expected[-len(scored) :]]
    one, other = (read_tensors(tmp_path / name / "run" / "best.safetensors") for name in ("whole", "broken"))
    assert all(one[name].equal(other[name]) for name in one)
    assert run.best().card.training["curve"][0]["iteration"] == 0


@pytest.mark.parametrize("held_out", [True, False])
def test_a_crash_after_the_end_loses_nothing(
    parent: Model, data: TeachData, tmp_path: Path, held_out: bool
) -> None:
    data = data if held_out else replace(data, held_out=())
    whole = finetune(request_of(parent, data, tmp_path))
    first, taught = list(whole.events())[-1], whole.best().sha256
    run = finetune(request_of(parent, data, tmp_path), resume=True)
    events = list(run.events())
    assert [type(event) for event in events] == [Started, Ended]
    assert events[-1] == first
    assert run.best().sha256 == run.model().sha256 == taught
    assert run.keep("kept", Library(tmp_path / "library")).card["training"]["parent"] == "tiny"


def test_another_run_is_not_overwritten(parent: Model, data: TeachData, tmp_path: Path) -> None:
    started(finetune(request_of(parent, data, tmp_path)), 2)
    with pytest.raises(FileExistsError, match="resume"):
        finetune(request_of(parent, data, tmp_path))
    other = replace(data, held_out=())
    with pytest.raises(ValueError, match="belongs to another training"):
        finetune(request_of(parent, other, tmp_path), resume=True)


def test_it_ends_when_time_is_up_and_when_nothing_gets_better(
    parent: Model, data: TeachData, tmp_path: Path
) -> None:
    late = replace(SETTINGS, minutes=0.05, iterations=100_000)
    run = finetune(request_of(parent, data, tmp_path / "late", late))
    run.plan = replace(run.plan, seconds=0.0)
    events = list(run.events())
    assert events[-1].why == "time is up"  # type: ignore[union-attr]
    assert sum(isinstance(event, Stepped) for event in events) == 1
    harmful = replace(SETTINGS, learning_rate=0.05, patience=2, iterations=100)
    run = finetune(request_of(parent, data, tmp_path / "harmful", harmful))
    events = list(run.events())
    assert events[-1].why == "no better for long"  # type: ignore[union-attr]
    assert sum(isinstance(event, Stepped) for event in events) < 100


def test_without_held_out_regions_the_latest_is_kept(parent: Model, data: TeachData, tmp_path: Path) -> None:
    run = finetune(request_of(parent, replace(data, held_out=()), tmp_path))
    events = list(run.events())
    assert not any(isinstance(event, Scored) for event in events)
    assert events[-1] == Ended(None, "finished")
    version = run.keep("all of it", Library(tmp_path / "library"))
    assert load_model(version.path).card.training["iterations"] == 6


def test_a_pull_holds_the_model_to_what_it_saw_and_frozen_weights_stay(
    parent: Model, data: TeachData, tmp_path: Path
) -> None:
    image = torch.from_numpy(next(data.views(parent.card.patch_size, 0)))
    start, moved = dict(parent.network.named_parameters()), {}
    for pull in ("none", "strong"):
        settings = replace(SETTINGS, learning_rate=1e-2, pull=pull, iterations=20, freeze="encoder")
        run = finetune(request_of(parent, replace(data, held_out=()), tmp_path / pull, settings))
        before = run.model().network
        list(run.events())
        now = run.model().network
        weights = dict(now.named_parameters())
        assert all(weights[name].equal(start[name]) for name in start if name.startswith("down."))
        with torch.inference_mode():
            moved[pull] = float((probability(now(image)) - probability(before(image))).abs().mean())
    assert 0 < moved["strong"] < 0.9 * moved["none"]


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("seed", [0, 2, 3])
def test_five_strokes_never_leave_a_worse_model_than_none(
    parent: Model, tiny_phantom: Phantom, tmp_path: Path, seed: int, wrong: bool
) -> None:
    """What is kept ranks the held-out strokes as well as what training began from, whatever is taught."""
    known = five_strokes(tiny_phantom.labels, seed)
    regions, held_out = split(known, 2)
    if wrong:
        asked = np.zeros(known.shape, bool)
        for box in held_out:
            asked[box] = True
        known = np.where((known > 0) & ~asked, 3 - known, known).astype(np.uint8)
    intensity = estimate_intensity(tiny_phantom.image)
    data = TeachData(tiny_phantom.image, known, intensity, held_out, regions=regions)
    settings = replace(SETTINGS, learning_rate=0.03, iterations=20, pull="none")
    run = finetune(request_of(parent, data, tmp_path, settings))
    _, adapted, *steps = (event for event in run.events() if isinstance(event, Scored))
    kept = validate(run.best().network, data, run.plan.train, run.best().device)
    assert kept.score >= adapted.val_auc - 5e-3  # it is kept in half precision
    if wrong:
        assert min(one.val_auc for one in steps) < adapted.val_auc - 5e-3, "harmful enough to tell"


@pytest.mark.parametrize("adapt", [True, False])
def test_statistics_are_taken_from_the_volume_and_kept(
    parent: Model, data: TeachData, tmp_path: Path, adapt: bool
) -> None:
    run = finetune(request_of(parent, data, tmp_path, replace(SETTINGS, adapt=adapt)))
    start, events = run.model().network.state_dict(), list(run.events())
    same = {
        model: all(weights[name].equal(start[name]) for name in start if "running" in name)
        for model, weights in (
            ("parent", parent.network.state_dict()),
            ("taught", run.model().network.state_dict()),
        )
    }
    assert same == {"parent": not adapt, "taught": adapt}
    assert sum(isinstance(event, Scored) for event in events) == 4 + adapt


def test_several_classes_are_learned(parent: Model, data: TeachData, tmp_path: Path) -> None:
    """Where a section of the phantom is dark, and no boundary, is called a third class."""
    annotation = data.annotation.copy()
    medians = np.median(data.image, axis=(1, 2), keepdims=True)
    annotation[(annotation == 2) & (data.image < medians)] = 3
    three = replace(data, annotation=annotation, classes=("boundary", "inside", "dark"))
    settings = replace(SETTINGS, iterations=80, learning_rate=1e-2, pull="none", patience=99)
    run = finetune(request_of(parent, three, tmp_path, settings))
    scores = [event for event in run.events() if isinstance(event, Scored)]
    assert run.best().card.class_names == ("boundary", "inside", "dark")
    assert run.best().card.network.n_classes == 3
    assert max(one.val_auc for one in scores) > scores[0].val_auc + 0.1


def test_an_adapted_model_is_not_taken_for_its_parent(parent: Model, data: TeachData) -> None:
    """Exported graphs are kept by a model's identity: those of the parent do not see as it does."""
    adapted, again = adapted_to(parent, data), adapted_to(parent, data)
    assert adapted.sha256 == again.sha256 != parent.sha256
    dark = replace(data, image=data.image // 2)
    assert adapted_to(parent, dark).sha256 != adapted.sha256
