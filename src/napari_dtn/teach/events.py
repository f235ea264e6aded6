"""What a fine-tuning says while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from napari_dtn.teach.planning import Plan

Why = Literal["finished", "no better for long", "time is up"]


@dataclass(frozen=True)
class Started:
    """Training begins, or goes on.

    Parameters
    ----------
    plan
        What will be done.
    words
        The same for people, a line for each decision.
    iteration
        Steps that an interrupted run had made.
    """

    plan: Plan
    words: tuple[str, ...]
    iteration: int = 0


@dataclass(frozen=True)
class Stepped:
    """One optimiser step is done.

    Parameters
    ----------
    iteration, iterations
        Steps made, and to make at most.
    loss
        Of this step's batch.
    seconds
        Seconds of training, those before an interruption included.
    eta
        Seconds left at most.
    """

    iteration: int
    iterations: int
    loss: float
    seconds: float
    eta: float


@dataclass(frozen=True)
class Scored:
    """A validation on the held-out regions; the first comes before the first step, of the parent.

    Parameters
    ----------
    iteration
        Steps made before.
    seconds
        Seconds of training before.
    train_loss
        Mean of the steps since the last validation; NaN before the first step.
    val_loss, val_auc
        On the held-out pixels; several classes have their mean IoU as ``val_auc``. NaN where nothing is held
        out, or where only one class is.
    best
        Whether this is the best so far: what would be kept.
    scores
        All scores of this validation.
    """

    iteration: int
    seconds: float
    train_loss: float
    val_loss: float
    val_auc: float
    best: bool
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """Training is over.

    Parameters
    ----------
    best
        The validation of what will be kept; None where nothing was held out.
    why
        What ended it.
    """

    best: Scored | None
    why: Why


TeachEvent = Started | Stepped | Scored | Ended
