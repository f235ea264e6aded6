"""Score and time the bundled models on SNEMI3D slices that none of them was trained on.

    python benchmarks/boundaries.py

Each model predicts z 80-99 through the product's own path (overlapping tiles, blending, 8-bit output values)
and is scored by the boundary rule. Models take turns slice by slice, so their times can be compared; the
last column is each one's time over that of the last model.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import common
import numpy as np

from napari_dtn.metrics import BoundaryHistogram, boundary_target
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.predict import Predictor, as_uint8
from napari_dtn.settings import PredictSettings
from napari_dtn.volume.opening import volume_from_array


class Contender:
    """A model, the histogram of its predictions and the seconds of its slices."""

    def __init__(self, name: str, volume: Any, settings: PredictSettings) -> None:
        self.predictor = Predictor.of(load_model(name, settings.device), volume, settings)
        self.histogram = BoundaryHistogram(np.uint8)
        self.seconds: list[float] = []

    def predict(self, z: int, target: np.ndarray) -> None:
        """Predict, time and count one slice."""
        began = time.perf_counter()
        probability = self.predictor.predict(z)[0]
        self.seconds.append(time.perf_counter() - began)
        self.histogram.add(as_uint8(probability), target)


def main() -> None:
    """Run the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--data", type=Path, default=common.SNEMI3D, help="folder of the SNEMI3D TIFF files")
    parser.add_argument("--models", nargs="+", default=["dtn-snemi3d", "unet-snemi3d"])
    parser.add_argument("--overlaps", nargs="+", type=int, default=[PredictSettings().overlap])
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    options = parser.parse_args()
    image, labels = common.snemi3d(options.data)
    volume = volume_from_array(image, (30, 6, 6), "SNEMI3D")
    contenders = {
        (name, overlap): Contender(
            name, volume, PredictSettings(overlap=overlap, precision=options.precision)
        )
        for overlap in options.overlaps
        for name in options.models
    }
    for contender in contenders.values():
        contender.predictor.predict(80)  # warms up
    for z in range(80, 82 if options.quick else 100):
        target = boundary_target(labels[z])
        for contender in contenders.values():
            contender.predict(z, target)
    common.report(_rows(contenders), options)


def _rows(contenders: dict[tuple[str, int], Contender]) -> list[dict[str, Any]]:
    medians = {key: float(np.median(contender.seconds)) for key, contender in contenders.items()}
    last = list(medians.values())[-1]
    return [
        {
            "model": name,
            "overlap": overlap,
            "precision": contender.predictor.settings.precision,
            **asdict(contender.histogram.scores()),
            "s_per_slice": medians[name, overlap],
            "time_ratio": medians[name, overlap] / last,
        }
        for (name, overlap), contender in contenders.items()
    ]


if __name__ == "__main__":
    main()
