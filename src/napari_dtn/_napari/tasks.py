"""What the panel asks of the core: generators of frozen events for a job; no Qt, no napari."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dtn._napari.stack import Placed, by_class
from napari_dtn.nn.bundled import named_model
from napari_dtn.settings import Device, LiveSettings, PredictSettings, Roi

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_dtn._napari.layers import Snapshot
    from napari_dtn.nn.checkpoint import Model, ModelCard
    from napari_dtn.predict import LivePart, LivePrediction, Plan, Predictor, TileDone
    from napari_dtn.volume.defects import SliceCheck
    from napari_dtn.volume.intensity import Intensity
    from napari_dtn.volume.opening import Volume
    from napari_dtn.warp import Warp


@dataclass(frozen=True, eq=False)
class Request:
    """What the panel shows at the moment that a button is pressed.

    Parameters
    ----------
    image
        The image layer.
    model
        Bundled name, or path of a file.
    settings
        How to run it.
    """

    image: Snapshot
    model: str
    settings: PredictSettings

    @property
    def volume(self) -> Volume:
        """The image as a volume; ask for it in a job only."""
        return self.image.volume

    @property
    def maker(self) -> Hashable:
        """What decides about a predicted slice: equal for requests with equal answers."""
        return id(self.image.levels[0]), self.model, _changed(self.model), self.settings


def _changed(model: str) -> int:
    """When a model's file was written last: it may be trained again under the same name."""
    path = named_model(model) or Path(model)
    return path.stat().st_mtime_ns if path.is_file() else 0


class Desk:
    """Keeps the last model and what it was set up for, so that the second preview is quick.

    Jobs of several threads ask it; only one of them loads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: tuple[Hashable, Model] | None = None
        self._intensity: tuple[Any, Intensity] | None = None
        self._predictor: tuple[Hashable, Predictor] | None = None
        self._live: LivePrediction | None = None

    @property
    def runs_with(self) -> str:
        """What the last request ran with, and why: ``openvino, bfloat16: the fastest of 4, …``."""
        return self._predictor[1].choice.words if self._predictor else ""

    def predictor(self, request: Request) -> Predictor:
        """Return the request's model, set up for its volume."""
        from napari_dtn.predict import Predictor, use_threads

        use_threads(request.settings)
        with self._lock:
            if self._predictor is None or self._predictor[0] != request.maker:
                model, intensity = self._load(request), self._statistics(request)
                made = Predictor.of(model, request.volume, request.settings, intensity)
                self._predictor = request.maker, made
            return self._predictor[1]

    def live(self, request: Request, settings: LiveSettings) -> LivePrediction:
        """Return what predicts the request's volume as it is looked at."""
        from napari_dtn.predict import LivePrediction

        predictor = self.predictor(request)
        with self._lock:
            live = self._live
            if live is None or (live.predictor, live.settings) != (predictor, settings):
                self._live = None  # two of them need not be in memory at once
                self._live = live = LivePrediction(predictor, settings)
            return live

    def _load(self, request: Request) -> Model:
        from napari_dtn.nn.checkpoint import load_model

        key = request.model, _changed(request.model), request.settings.device
        if self._model is None or self._model[0] != key:
            self._model = self._predictor = None  # two models need not be in memory at once
            self._model = key, load_model(request.model, request.settings.device)
        return self._model[1]

    def _statistics(self, request: Request) -> Intensity:
        from napari_dtn.volume.intensity import estimate_intensity

        if self._intensity is None or self._intensity[0] is not request.image.levels[0]:
            self._intensity = request.image.levels[0], estimate_intensity(request.volume)
        return self._intensity[1]


@dataclass(frozen=True)
class PreviewPart:
    """Some tiles of a previewed slice are done."""

    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Previewed:
    """A previewed slice.

    Parameters
    ----------
    request
        What was asked for.
    z
        The slice.
    planes
        uint8, ``(C, Y, X)``.
    names
        Of the classes.
    """

    request: Request
    z: int
    planes: NDArray[np.uint8]
    names: tuple[str, ...]


def preview(desk: Desk, request: Request, z: int) -> Iterator[PreviewPart | Previewed]:
    """Predict slice z: its parts, then the slice."""
    import numpy as np

    from napari_dtn.predict import as_uint8

    predictor = desk.predictor(request)
    _, height, width = request.volume.shape
    y, x = slice(0, height), slice(0, width)
    out = np.zeros((predictor.classes, height, width), np.float32)
    done, total = 0, len(predictor.grid.over(y, x))
    yield PreviewPart(done, total)
    for count in predictor.slice_steps(z, y, x, out):
        done += count
        yield PreviewPart(done, total)
    yield Previewed(request, z, as_uint8(out), predictor.model.card.class_names)


@dataclass(frozen=True, eq=False)
class LiveFound:
    """What Live has found so far, and the names of its classes."""

    part: LivePart
    names: tuple[str, ...]


def live(
    desk: Desk, request: Request, settings: LiveSettings, z: int, y: slice, x: slice
) -> Iterator[LiveFound]:
    """Predict what is on screen of slice z."""
    from napari_dtn.predict import View

    prediction = desk.live(request, settings)
    with closing(prediction.steps(View(z, y, x))) as steps:  # type: ignore[type-var]
        for part in steps:
            yield LiveFound(part, prediction.predictor.model.card.class_names)


@dataclass(frozen=True, eq=False)
class VolumePart:
    """Some tiles of a volume are done.

    Parameters
    ----------
    request
        What was asked for.
    step
        How far it is.
    stored
        The file's array of each class, ``(Z, Y, X)``, at its place in the volume.
    names
        Of the classes.
    """

    request: Request
    step: TileDone
    stored: tuple[Any, ...]
    names: tuple[str, ...]


def is_unfinished(output: Path) -> bool:
    """Whether an output can be gone on with."""
    from napari_dtn.predict.output import is_unfinished

    return is_unfinished(output)


def whole(desk: Desk, request: Request, output: Path, overwrite: bool, roi: Roi) -> Iterator[VolumePart]:
    """Predict the volume, or a box of it, into a file, or go on with an unfinished one."""
    import zarr

    from napari_dtn.predict import pinned

    settings = request.settings if overwrite else pinned(request.settings, output)
    # Set up once for previews and volumes alike; only the voxel size may have been stated since.
    predictor = replace(desk.predictor(replace(request, settings=settings)), volume=request.volume)
    box, shape = roi.within(request.volume.shape), request.volume.shape
    stored: tuple[Any, ...] = ()
    steps = predictor.write(output, roi, overwrite)
    with closing(steps):  # type: ignore[type-var]
        for step in steps:
            if not stored:
                arrays = by_class(zarr.open_array(str(output / "0"), mode="r"))
                stored = tuple(one if one.shape == shape else Placed(one, box, shape) for one in arrays)
            yield VolumePart(request, step, stored, predictor.model.card.class_names)


def estimate(desk: Desk, request: Request, roi: Roi) -> Iterator[Plan]:
    """Say what a prediction would take."""
    from napari_dtn.predict import plan_of

    yield plan_of(desk.predictor(request), roi)


@dataclass(frozen=True, eq=False)
class WarpFound:
    """The warps of the tile that weighs most at a pixel.

    Parameters
    ----------
    tile
        What it belongs to: equal for equal tiles of equal requests.
    z
        The slice.
    warps
        One for each level with a transformer pair; none for a U-Net.
    model
        The model's name.
    """

    tile: Hashable
    z: int
    warps: tuple[Warp, ...]
    model: str


def warp(desk: Desk, request: Request, at: tuple[int, int, int], shown: Hashable) -> Iterator[WarpFound]:
    """Find the warps at pixel (z, y, x); nothing where ``shown`` is their tile already."""
    z, y, x = at
    predictor = desk.predictor(request)
    place = predictor.grid.at(y, x)
    tile = request.maker, z, place.row, place.column
    if tile != shown:
        yield WarpFound(tile, z, predictor.warps(z, y, x), predictor.model.card.name)


def check(image: Snapshot, most: int) -> Iterator[SliceCheck]:
    """Look for bad slices; ids and masks have none."""
    from napari_dtn.volume.defects import check_slices
    from napari_dtn.volume.opening import holds_ids

    if not holds_ids(image.volume):
        yield from check_slices(image.volume, most)


@dataclass(frozen=True)
class DevicesFound:
    """What this machine computes on, the fastest first, each with a description."""

    devices: dict[Device, str]


@dataclass(frozen=True)
class CardFound:
    """The card of a model, or why there is none."""

    model: str
    card: ModelCard | None
    error: Exception | None = None


def survey(models: Sequence[str]) -> Iterator[DevicesFound | CardFound]:
    """Find the devices, and read the models' cards; loads torch, and what else a prediction will need."""
    import napari_dtn.predict  # noqa: F401
    from napari_dtn.nn.checkpoint import load_card
    from napari_dtn.nn.devices import describe_devices

    yield DevicesFound(describe_devices())
    for model in models:
        try:
            yield CardFound(model, load_card(model))
        except (OSError, ValueError) as error:
            yield CardFound(model, None, error)
