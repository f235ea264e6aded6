"""How bright a volume is: statistics from sampled windows, fixed for the whole volume."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_WINDOW = 256


@dataclass(frozen=True)
class Intensity:
    """Statistics of a volume's values.

    Parameters
    ----------
    mean, std
        What a normalised volume has subtracted, and is divided by.
    low, high
        The 0.1st and the 99.9th percentile: contrast limits.
    """

    mean: float
    std: float
    low: float
    high: float


def estimate_intensity(volume: Any, samples: int = 32, seed: int = 0) -> Intensity:
    """Estimate a volume's statistics from windows of one slice each.

    The windows depend on the volume's shape and the seed alone. So a preview, a region and the whole
    volume are normalised alike, which is what makes their predictions agree.

    Parameters
    ----------
    volume
        A ``Volume``, or an array ``(Z, Y, X)``; only the windows are read.
    samples
        Windows of up to 256 x 256 voxels.
    seed
        Chooses the windows; values in them that are not finite do not count.

    Raises
    ------
    ValueError
        The volume is the same everywhere, holds no finite value, or cannot be read anywhere.
    """
    data = getattr(volume, "data", volume) if not isinstance(volume, np.ndarray) else volume
    values = np.concatenate(_readable(data, _windows(data.shape, samples, seed))).astype(np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        raise ValueError(
            "The image holds NaN or infinite values wherever it was sampled; replace them, for example by 0."
        )
    low, high = np.percentile(values, (0.1, 99.9))
    if values.std() == 0:
        raise ValueError(f"The image is {values[0]:g} wherever it was sampled; is it empty?")
    return Intensity(float(values.mean()), float(values.std()), float(low), float(high))


def _readable(data: Any, windows: list[tuple[int, slice, slice]]) -> list[NDArray[Any]]:
    """Read the windows that can be read; where none can, the error is the first one's."""
    found, errors = [], []
    for window in windows:
        try:
            found.append(np.asarray(data[window]).ravel())
        except Exception as error:  # whatever a file's library raises
            errors.append(error)
    if not found:
        raise errors[0]
    if errors:
        logger.warning("%d of %d samples cannot be read: %s", len(errors), len(windows), errors[0])
    return found


def _windows(shape: tuple[int, ...], samples: int, seed: int) -> list[tuple[int, slice, slice]]:
    """Windows on a lattice: a random choice, or all of them where there are few; in reading order."""
    counts = (shape[0], -(-shape[1] // _WINDOW), -(-shape[2] // _WINDOW))
    total = int(np.prod([int(count) for count in counts], dtype=object))
    random = np.random.default_rng(seed)
    numbers = sorted(random.choice(total, min(samples, total), replace=False).tolist())
    corners = (np.unravel_index(number, counts) for number in numbers)
    return [(int(z), _side(int(y), shape[1]), _side(int(x), shape[2])) for z, y, x in corners]


def _side(index: int, length: int) -> slice:
    return slice(index * _WINDOW, min((index + 1) * _WINDOW, length))


def normalise(image: Any, intensity: Intensity) -> NDArray[np.float32]:
    """Return (value - mean) / std as float32, any shape."""
    values: NDArray[np.float32] = np.array(image, dtype=np.float32)
    values -= np.float32(intensity.mean)
    values *= np.float32(1 / intensity.std)
    return values
