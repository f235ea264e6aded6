"""The living state of a training: its steps, its validations, and the files that it resumes from."""

from __future__ import annotations

import copy
import json
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_dtn import __version__
from napari_dtn.metrics import RULES
from napari_dtn.nn.checkpoint import (
    Model,
    ModelCard,
    check_savable,
    load_json,
    read_tensors,
    save_model,
    weights_sha256,
    write_tensors,
)
from napari_dtn.nn.devices import resolve_device, resolve_precision
from napari_dtn.nn.dtn import DenseTransformerNetwork, build_network
from napari_dtn.nn.optimise import Trainee, learning_rate
from napari_dtn.settings import NetworkSettings, TrainSettings, usable_cores
from napari_dtn.train.data import Batch, Sampler, TrainingSource
from napari_dtn.train.validation import Validation, validate

_AHEAD = 2  # batches a thread
_GPU_THREADS = 4  # a GPU makes a step sooner than one thread a batch
_RESUME_KEY = "napari_dtn_training"
# Settings that may change when a training is resumed; iterations within limits, see _check_iterations.
_FREE_SETTINGS = ("iterations", "device", "checkpoint_seconds")


@dataclass(frozen=True)
class StepDone:
    """One optimiser step is done.

    Parameters
    ----------
    iteration, iterations
        Steps made, and to make.
    loss
        Of this step's batch.
    learning_rate
        Of this step.
    elapsed
        Seconds since this run began.
    steps
        Steps of this run; fewer than ``iteration`` after a resume.
    validation
        Where this step ended with one.
    """

    iteration: int
    iterations: int
    loss: float
    learning_rate: float
    elapsed: float
    steps: int
    validation: Validation | None = None

    @property
    def rate(self) -> float:
        """Iterations per second."""
        return self.steps / max(self.elapsed, 1e-9)

    @property
    def eta(self) -> float:
        """Seconds left."""
        return (self.iterations - self.iteration) / max(self.rate, 1e-9)


@dataclass
class Training:
    """The living state of one training."""

    data: TrainingSource
    output: Path
    shape: NetworkSettings
    settings: TrainSettings
    start: Model | None
    iteration: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.data.check(self.shape)
        device = resolve_device(self.settings.device)
        self.device = device
        precision = resolve_precision(self.settings.precision, device)
        self.trainee = Trainee(self._fresh_network().to(device), self.settings, precision == "bfloat16")
        self.checkpoint = checkpoint_of(self.output)

    def _fresh_network(self) -> DenseTransformerNetwork:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            network = build_network(self.shape, sampler="dense" if self.device.type == "mps" else None)
        if self.start is not None:
            network.load_state_dict(self.start.network.state_dict())
        return network

    def claim(self, resume: bool, overwrite: bool) -> None:
        """Take over a checkpoint, or make sure that nothing is lost by starting anew."""
        check_output(self.output, resume, overwrite)
        if resume and self.checkpoint.exists():
            self._restore()

    def steps(self) -> Iterator[StepDone]:
        """Make all steps that are left."""
        first, began, saved = self.iteration, time.monotonic(), time.monotonic()
        sampler = self.data.sampler(self.shape, self.settings)
        with closing(_batches(sampler, self.iteration, self.settings, self._threads)) as batches:
            try:
                for image, annotation in batches:
                    loss = float(self.trainee.step(self.iteration, *self._on_device(image, annotation)))
                    _check_finite(loss, self.iteration)
                    self.iteration += 1
                    validation = self._validate_if_due()
                    if time.monotonic() - saved > self.settings.checkpoint_seconds:
                        self._save()
                        saved = time.monotonic()
                    yield self._event(loss, time.monotonic() - began, self.iteration - first, validation)
            except GeneratorExit:
                # Only between two steps is the state a whole; a step that fails leaves the last checkpoint.
                self._save()
                raise
        self._finish()

    @property
    def _threads(self) -> int:
        return 1 if self.device.type == "cpu" else min(_GPU_THREADS, usable_cores())

    def _event(self, loss: float, elapsed: float, steps: int, validation: Validation | None) -> StepDone:
        rate = learning_rate(self.iteration - 1, self.settings)
        return StepDone(self.iteration, self.settings.iterations, loss, rate, elapsed, steps, validation)

    def _on_device(self, *arrays: NDArray[Any]) -> list[torch.Tensor]:
        waiting = self.device.type == "cuda"  # elsewhere what is copied may be gone before it was
        return [torch.from_numpy(array).to(self.device, non_blocking=waiting) for array in arrays]

    def _validate_if_due(self) -> Validation | None:
        due = self.iteration % self.settings.validate_every == 0 or self.iteration == self.settings.iterations
        if not due or not self.data.scored():
            return None
        validation = self.validate()
        self.history.append(asdict(validation))
        return validation

    def validate(self) -> Validation:
        """Score the averaged weights as they are now."""
        validation = validate(self.trainee.average, self.data, self.settings, self.device)
        return replace(validation, iteration=self.iteration)

    def model(self, card: ModelCard) -> Model:
        """Return the averaged weights as they are now, as a model with this card."""
        network = copy.deepcopy(self.trainee.average)
        return Model(network, card, weights_sha256(network.state_dict()), self.device)

    # ---- files

    def _identity(self) -> dict[str, Any]:
        """What must not change between two runs of one training."""
        return {
            "network": asdict(self.shape),
            "settings": {k: v for k, v in asdict(self.settings).items() if k not in _FREE_SETTINGS},
            "data": self.data.describe(),
            "start": self.start.sha256 if self.start else None,
        }

    def _save(self) -> None:
        state = {
            **self._identity(),
            "iterations": self.settings.iterations,
            "iteration": self.iteration,
            "history": self.history,
        }
        write_tensors(self.checkpoint, self.trainee.tensors(), {_RESUME_KEY: json.dumps(state)})

    def _restore(self) -> None:
        state = load_json(self.checkpoint, _RESUME_KEY)
        # A setting that did not exist then was what its default says.
        defaults = {"network": asdict(NetworkSettings()), "settings": asdict(TrainSettings())}
        changed = _first_difference(_plain(self._identity()), _completed(state, _plain(defaults)))
        if changed:
            raise ValueError(
                f"{self.checkpoint} belongs to another training: {changed}. Use the old value, or overwrite."
            )
        self._check_iterations(state["iteration"], state["iterations"])
        self.trainee.fill(read_tensors(self.checkpoint))
        self.iteration, self.history = state["iteration"], state["history"]

    def _check_iterations(self, done: int, planned: int) -> None:
        """Refuse a new number of iterations that would have changed the steps already made."""
        then = replace(self.settings, iterations=planned).cooldown_start
        unchanged_until = min(then, self.settings.cooldown_start)
        if self.settings.iterations != planned and done > unchanged_until:
            raise ValueError(
                f"iterations was {planned}, now it is {self.settings.iterations}; after {done} steps that is "
                f"too late, since the learning rate falls from step {unchanged_until} on. Use {planned}."
            )

    def _finish(self) -> None:
        save_model(self.output, self.trainee.average.state_dict(), self.card())
        self.checkpoint.unlink(missing_ok=True)

    def card(self) -> ModelCard:
        """Say what the model is by now, and where it comes from."""
        rule = RULES[self.data.describe().get("labels_kind", "ids")]
        training = {
            **self._identity(),
            "iterations": self.iteration,
            **({"boundary_rule": rule} if self.shape.n_classes == 1 else {}),
            "version": __version__,
            "torch": torch.__version__.split("+")[0],
            "history": self.history,
        }
        del training["network"]
        last = self.history[-1] if self.history else {}
        scores = {"validation": {**last, **self.data.scored()}} if last else {}
        names = self.start.card.class_names if self.start else self.data.class_names(self.shape.n_classes)
        return ModelCard(
            name=self.output.stem,
            network=self.shape,
            patch_size=self.settings.patch_size,
            voxel_size=self.data.voxel_size or (self.start.card.voxel_size if self.start else None),
            class_names=names,
            normalisation=self.data.normalisation,
            training=training,
            scores=scores,
        )


def checkpoint_of(output: Path) -> Path:
    """Return where a training keeps what it resumes from: beside its model."""
    return output.with_suffix(".resume.safetensors")


def check_output(output: Path, resume: bool, overwrite: bool) -> None:
    """Refuse an output that a training could not be written to at its end, or that would be lost by it.

    Raises
    ------
    FileExistsError
        There is a model or checkpoint, and it is neither gone on with nor to be overwritten.
    ValueError, OSError
        As :func:`~napari_dtn.nn.checkpoint.check_savable`.
    """
    checkpoint = checkpoint_of(output)
    resumed = resume and checkpoint.exists()
    check_savable(output, overwrite or resumed)
    if checkpoint.exists() and not (overwrite or resumed):
        raise FileExistsError(
            f"{checkpoint} exists already, of an unfinished training: go on with it by --resume, or begin "
            "anew with --overwrite."
        )


def _check_finite(loss: float, iteration: int) -> None:
    if not np.isfinite(loss):
        raise FloatingPointError(
            f"The loss became {loss} at iteration {iteration + 1}; train with a smaller learning rate."
        )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as JSON gives them back: lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def _completed(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with the defaults of those that are missing, at every depth."""
    known = {**defaults, **values}
    both = (name for name, default in defaults.items() if isinstance(default, dict) and name in values)
    return known | {name: _completed(values[name], defaults[name]) for name in both}


def _first_difference(now: Mapping[str, Any], then: Mapping[str, Any], path: str = "") -> str | None:
    """Name the first value that is not what it was."""
    for key, value in now.items():
        before, name = then.get(key), f"{path}{key}"
        if isinstance(value, dict) and isinstance(before, dict):
            inside = _first_difference(value, before, f"{name}.")
            if inside:
                return inside
        elif value != before:
            return f"{name} was {before}, now it is {value}"
    return None


def _batches(sampler: Sampler, first: int, settings: TrainSettings, threads: int) -> Generator[Batch]:
    """The batches of all steps from ``first`` on, made a little ahead in so many threads."""
    size = settings.batch_size
    with ThreadPoolExecutor(threads, "patches") as pool:
        waiting: deque[Future[Any]] = deque()
        for step in range(first, settings.iterations):
            waiting.append(pool.submit(sampler.batch, range(step * size, (step + 1) * size)))
            if len(waiting) > _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
