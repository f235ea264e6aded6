"""A model learns from annotations: a training that can be followed, stopped, resumed, kept or discarded."""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_dtn.nn.checkpoint import Model, ModelCard, load_card, load_model, save_model
from napari_dtn.nn.devices import resolve_device
from napari_dtn.nn.dtn import DenseTransformerNetwork
from napari_dtn.nn.header import KEY, with_json, write_whole
from napari_dtn.nn.heads import with_classes
from napari_dtn.nn.normalising import adapted
from napari_dtn.settings import FineTuneSettings
from napari_dtn.teach.curve import Curve
from napari_dtn.teach.data import TeachData
from napari_dtn.teach.events import Ended, Scored, Started, Stepped, TeachEvent, Why
from napari_dtn.teach.library import Library, Version
from napari_dtn.teach.past import TAUGHT, taught_after
from napari_dtn.teach.planning import Plan, plan, plan_lines
from napari_dtn.train.run import StepDone, Training
from napari_dtn.train.validation import Validation, validate


@dataclass(frozen=True)
class TeachRequest:
    """What is asked for.

    Parameters
    ----------
    parent
        The model to start from.
    data
        Volume, annotation, held-out regions.
    folder
        Where the run keeps its state: it belongs to the run alone, and a crashed run resumes from it.
    settings
        What the user decided.
    """

    parent: Model
    data: TeachData
    folder: Path
    settings: FineTuneSettings = field(default_factory=FineTuneSettings)


class TeachRun:
    """One fine-tuning; iterate ``events()`` to make it happen.

    Not iterating is a pause. Closing the generator stops and saves: then ``keep`` the best, go on later
    with a new run of the same request, or ``discard`` it all. All methods belong to the thread that
    iterates, between two events.

    Attributes
    ----------
    plan
        What will be done.
    """

    def __init__(self, request: TeachRequest, resume: bool = False) -> None:
        self.request, data = request, request.data
        device = resolve_device(request.settings.device).type
        self.plan: Plan = plan(data.amount, request.parent.card.patch_size, request.settings, device)
        self._parent = with_classes(request.parent, data.class_names(data.n_classes))
        data.check(self._parent.card.network)
        start = adapted_to(self._parent, data) if request.settings.adapt else self._parent
        latest = request.folder / "latest.safetensors"
        self._training = Training(data, latest, start.card.network, self.plan.train, start)
        self._ended = resume and latest.exists()  # by an earlier run; nothing was kept of it
        self._training.claim(resume, overwrite=self._ended)
        self._curve = Curve(request.folder / "curve.jsonl", self._training.iteration, self._ended)
        self._seconds = self._curve.seconds
        self._best_file = request.folder / "best.safetensors"

    def events(self) -> Iterator[TeachEvent]:
        """Train: ``Started``, a ``Scored`` of the parent, ``Stepped`` and ``Scored``, at last ``Ended``.

        Where the network is adapted to the volume first, a second ``Scored`` before the first step says
        what that did.
        """
        yield Started(self.plan, plan_lines(self.plan, self.request.data.amount), self._training.iteration)
        if self._training.iteration == 0 and self.request.data.scored() and not self._ended:
            yield from self._before()
        why: Why = "finished"
        with closing(self._steps()) as steps:
            for event in steps:
                yield event
                if isinstance(event, Stepped) and (end := self._reason_to_end()):
                    why = end
                    break
        if not self.request.data.scored() and not self._ended:
            self._save_best()
        yield Ended(self._curve.best, why)

    def _before(self) -> Iterator[Scored]:
        """Score the parent, and what training starts from where that is another."""
        device = self._training.device
        parent = validate(self._parent.network.to(device), self.request.data, self.plan.train, device)
        yield self._scored(parent, math.nan, self._parent.network)
        if self.request.settings.adapt:
            yield self._scored(self._training.validate(), math.nan)

    def _steps(self) -> Generator[Scored | Stepped]:
        """Make steps; a validation is told before the step that it belongs to."""
        if self._ended:
            return
        losses: list[float] = []
        with closing(self._training.steps()) as steps:  # type: ignore[type-var]
            while step := self._timed(steps):
                losses.append(step.loss)
                if step.validation:
                    yield self._scored(step.validation, float(np.mean(losses)))
                    losses.clear()
                yield self._stepped(step)

    def _timed(self, steps: Iterator[StepDone]) -> StepDone | None:
        """Make one step; a pause between two does not count as training."""
        began = time.monotonic()
        step = next(steps, None)
        self._seconds += time.monotonic() - began
        return step

    def _stepped(self, step: StepDone) -> Stepped:
        each = self._seconds / step.iteration
        eta = min((step.iterations - step.iteration) * each, self.plan.seconds - self._seconds)
        return Stepped(step.iteration, step.iterations, step.loss, self._seconds, max(eta, 0.0))

    def _scored(
        self, validation: Validation, train_loss: float, network: DenseTransformerNetwork | None = None
    ) -> Scored:
        scored = self._curve.add(validation, self._seconds, train_loss)
        if scored.best:
            self._save_best(network)
        return scored

    def _save_best(self, network: DenseTransformerNetwork | None = None) -> None:
        network = network or self._training.trainee.average
        save_model(self._best_file, network.state_dict(), self._card())

    def _reason_to_end(self) -> Why | None:
        if self._seconds >= self.plan.seconds:
            return "time is up"
        waited = self._curve.since_best >= self.plan.patience
        return "no better for long" if waited else None

    # ---- what comes of it

    def model(self) -> Model:
        """Return the model as it is now (moving average of the weights), for a preview."""
        return self.best() if self._ended else self._training.model(self._card())

    def best(self) -> Model:
        """Return what ``keep`` would keep: the best so far, without held-out regions the latest."""
        return load_model(self._kept_file(), self.request.settings.device)

    def keep(
        self, name: str, library: Library | None = None, measured: Mapping[str, Any] | None = None
    ) -> Version:
        """Put the best so far into the library, as a new version of ``name``; remove the run's folder.

        Parameters
        ----------
        name
            Of the model.
        library
            The user's, where left out.
        measured
            More scores for its card, such as those of the phantom.
        """
        version = (library or Library()).add(self._kept_file(), name, measured)
        self.discard()
        return version

    def write(self, output: Path, measured: Mapping[str, Any] | None = None) -> None:
        """Write the best so far into a file of its own, ``measured`` as in ``keep``; remove the folder."""
        card = load_card(self._kept_file())
        card = replace(card, name=output.stem, scores={**card.scores, **(measured or {})})
        write_whole(output, with_json(self._kept_file(), KEY, card.to_json()))
        self.discard()

    def discard(self) -> None:
        """Remove the run's folder."""
        shutil.rmtree(self.request.folder, ignore_errors=True)

    def _kept_file(self) -> Path:
        if not self.request.data.scored() and not self._ended:
            self._save_best()
        return self._best_file

    def _card(self) -> ModelCard:
        card, parent = self._training.card(), self.request.parent
        training = {
            **{
                name: value
                for name, value in card.training.items()
                if name not in ("boundary_rule", "history")
            },
            "parent": parent.card.name,
            "parent_sha256": parent.sha256,
            "date": datetime.now().astimezone().isoformat(timespec="seconds"),
            "seconds": round(self._seconds, 1),
            "curve": self._curve.plain,
            TAUGHT: taught_after(parent.card, self.request.data),
        }
        scores = {"held_out": self._curve.before_and_after}
        return replace(card, name=f"{parent.card.name} in training", training=training, scores=scores)


def adapted_to(model: Model, data: TeachData) -> Model:
    """Return a model that knows the volume: what a fine-tuning starts from, before its first step.

    Parameters
    ----------
    model
        The parent; not changed.
    data
        The volume; its annotation is not read.
    """
    views = list(data.views(model.card.patch_size, model.card.network.context))
    seen = hashlib.sha256(b"".join(view.tobytes() for view in views)).hexdigest()
    images = (torch.from_numpy(view).to(model.device) for view in views)
    return model.changed(adapted(model.network, images), f"adapted to {seen}")


def finetune(request: TeachRequest, resume: bool = False) -> TeachRun:
    """Set up a fine-tuning.

    Parameters
    ----------
    request
        What is asked for.
    resume
        Go on with what the folder holds of an interrupted run of the same request, where there is one.

    Raises
    ------
    FileExistsError
        The folder holds another run, and ``resume`` is not set.
    ValueError
        The parent does not fit the data, or the interrupted run was another.
    """
    return TeachRun(request, resume)
