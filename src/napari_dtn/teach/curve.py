"""The validations of a fine-tuning, kept in a file as they are made; which of them is the best."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_dtn.teach.events import Scored
from napari_dtn.train.validation import Validation


class Curve:
    """All validations so far.

    Parameters
    ----------
    file
        Gets a line of JSON for each.
    iteration
        Steps that the training has made: what was scored after a later one, which a crash lost, is made anew.
    whole
        Take all that the file holds.
    """

    def __init__(self, file: Path, iteration: int, whole: bool = False) -> None:
        self._file = file
        begun = iteration > 0 or whole
        read = _read(file) if begun and file.exists() else []
        self.points = [point for point in read if whole or point.iteration <= iteration]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(map(_line, self.points)))

    @property
    def best(self) -> Scored | None:
        """What would be kept."""
        return next((point for point in reversed(self.points) if point.best), None)

    @property
    def since_best(self) -> int:
        """Validations after the best."""
        return len(self.points) - 1 - self.points.index(self.best) if self.best else 0

    @property
    def seconds(self) -> float:
        """Seconds of training until the last validation."""
        return self.points[-1].seconds if self.points else 0.0

    @property
    def plain(self) -> list[dict[str, Any]]:
        """All points as plain JSON values."""
        return [_finite(point) for point in self.points]

    @property
    def before_and_after(self) -> dict[str, Any]:
        """Scores of the parent and of the best."""
        if not self.points or not self.best:
            return {}
        return {"before": dict(self.points[0].scores), "after": dict(self.best.scores)}

    def add(self, validation: Validation, seconds: float, train_loss: float) -> Scored:
        """Record a validation; say whether it is the best."""
        loss, auc = validation.scores["loss"], validation.score or math.nan
        better = self.best is None or _better((auc, loss), (self.best.val_auc, self.best.val_loss))
        point = Scored(validation.iteration, seconds, train_loss, loss, auc, better, dict(validation.scores))
        self.points.append(point)
        with self._file.open("a") as file:
            file.write(_line(point))
        return point


def _better(new: tuple[float, float], old: tuple[float, float]) -> bool:
    """By AUC; by the loss where there is none, as on regions of one class."""
    return new[1] < old[1] if math.isnan(new[0]) else new[0] > old[0]


def _read(file: Path) -> list[Scored]:
    """All lines but one that a crash cut short."""
    lines = file.read_text().splitlines(keepends=True)
    return [Scored(**json.loads(line)) for line in lines if line.endswith("\n")]


def _line(point: Scored) -> str:
    return json.dumps(asdict(point)) + "\n"


def _finite(point: Scored) -> dict[str, Any]:
    """JSON proper knows no NaN."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(point).items()
    }
