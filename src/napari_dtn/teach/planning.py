"""How to train, from how much is annotated and what there is to train on."""

from __future__ import annotations

from dataclasses import dataclass

from napari_dtn.settings import FineTuneSettings, TrainSettings


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
    """

    train: TrainSettings
    seconds: float
    patience: int


def plan(amount: Amount, patch_size: int, settings: FineTuneSettings, device: str = "cpu") -> Plan:
    """Return what to do.

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
    train = TrainSettings(
        iterations=settings.iterations or 600,
        batch_size=settings.batch_size or 4,
        patch_size=patch_size,
        learning_rate=settings.learning_rate or 5e-4,
        warmup=20,
        validate_every=25,
        average=0.98,
        precision=settings.precision,
        device=settings.device,
        seed=settings.seed,
    )
    return Plan(train, 60 * settings.minutes, settings.patience or 12)


def plan_lines(plan: Plan, amount: Amount) -> tuple[str, ...]:
    """Say a plan in words, a line for each decision."""
    train = plan.train
    return (
        f"{amount.total} annotated pixels in {amount.regions} regions on {amount.slices} slices",
        f"at most {train.iterations} steps of {train.batch_size} patches",
        f"learning rate {train.learning_rate:g}",
    )
