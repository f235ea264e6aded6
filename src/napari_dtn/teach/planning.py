"""How to train, from how much is annotated and what there is to train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_dtn.settings import AugmentSettings, FineTuneSettings, Freeze, Strength, TrainSettings
from napari_dtn.words import duration

_LITTLE, _MUCH = 20_000, 500_000  # annotated pixels: some strokes; two dense slices of 512 x 512
_AUGMENT = {
    "none": AugmentSettings(flips=False, contrast=0.0, brightness=0.0, noise=0.0, defects=0.0),
    "mild": AugmentSettings(),
    "strong": AugmentSettings(contrast=0.3, noise=0.2, zoom=1.25, stretch=1.25),
}
_PULL = {"none": 0.0, "mild": 0.3, "strong": 1.0}


@dataclass(frozen=True)
class Amount:
    """How much is annotated for training, what is held out not counted.

    Parameters
    ----------
    pixels
        Pixels of each class.
    regions
        Regions, as the annotation has them.
    slices
        Slices with any annotation.
    """

    pixels: tuple[int, ...]
    regions: int
    slices: int

    @property
    def total(self) -> int:
        """Pixels of all classes."""
        return sum(self.pixels)


@dataclass(frozen=True)
class Plan:
    """What a fine-tuning does; every value may be set by hand in :class:`FineTuneSettings`.

    Parameters
    ----------
    train
        How each step is made.
    seconds
        Most seconds of training.
    patience
        Validations without a better one after which it ends.
    augment, pull
        The strengths that ``train`` has as numbers.
    """

    train: TrainSettings
    seconds: float
    patience: int
    augment: Strength
    pull: Strength

    @property
    def values(self) -> dict[str, Any]:
        """What those of :class:`FineTuneSettings` that may be left open came to."""
        train = self.train
        return {
            "iterations": train.iterations,
            "learning_rate": train.learning_rate,
            "batch_size": train.batch_size,
            "augment": self.augment,
            "freeze": train.freeze,
            "pull": self.pull,
            "patience": self.patience,
        }


def plan(amount: Amount, patch_size: int, settings: FineTuneSettings, device: str = "cpu") -> Plan:
    """Return what to do.

    The less is annotated, the more random changes it needs to stand for all the rest, and the sooner nothing
    more can be learned from it. Strokes leave most of each patch open: there the model is held to what it
    saw until then, unless several classes make its last layer new.

    Parameters
    ----------
    amount
        What is annotated.
    patch_size
        That of the model which training starts from: the warp depends on it.
    settings
        What the user decided; the rest is decided here.
    device
        ``cpu``, ``cuda`` or ``mps``.
    """
    little, much, several = amount.total < _LITTLE, amount.total >= _MUCH, len(amount.pixels) > 2
    augment: Strength = _chosen(settings.augment, "mild" if much else "strong")
    pull: Strength = _chosen(settings.pull, "none" if much or several else "strong")
    freeze: Freeze = "nothing" if settings.freeze == "auto" else settings.freeze
    train = TrainSettings(
        iterations=settings.iterations or (160 if little else 1000 if much else 320),
        batch_size=settings.batch_size or (16 if device != "cpu" else 4 if much else 2),
        patch_size=patch_size,
        learning_rate=settings.learning_rate or 1e-3,
        warmup=20,
        cooldown=0.0,
        weight_decay=0.0,
        pull=_PULL[pull],
        freeze=freeze,
        statistics="kept" if settings.adapt else "batch",
        average=0.98,
        precision=settings.precision,
        device=settings.device,
        seed=settings.seed,
        validate_every=20,
        checkpoint_seconds=20.0,
        augment=_AUGMENT[augment],
    )
    return Plan(train, 60 * settings.minutes, settings.patience or 8, augment, pull)


def _chosen(wish: Strength, otherwise: Strength) -> Strength:
    return otherwise if wish == "auto" else wish


def plan_lines(plan: Plan, amount: Amount) -> tuple[str, ...]:
    """Say a plan in words, a line for each decision."""
    train = plan.train
    frozen = "the way down stays as it is" if train.freeze == "encoder" else "all weights learn"
    adapted = ("the network gets to know the volume first",) if train.statistics == "kept" else ()
    return (
        f"{amount.total} annotated pixels in {_counted(amount.regions, 'place')} "
        f"on {_counted(amount.slices, 'slice')}",
        *adapted,
        f"at most {train.iterations} steps of {train.batch_size} patches, or {duration(plan.seconds)}",
        f"learning rate {train.learning_rate:g}; {frozen}",
        f"random changes of the patches: {plan.augment}; pull towards what it saw until then: {plan.pull}",
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
