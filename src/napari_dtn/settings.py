"""Every knob of the product, declared once.

Each class is a frozen dataclass. The same declaration gives the Python API, the panel's form (the
``Annotated`` metadata are magicgui options), the command line, the checks in ``__post_init__`` and the
provenance stored beside every result (``dataclasses.asdict``).
"""

# No ``from __future__ import annotations`` here: magicgui reads the real ``Annotated`` objects.
import os
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

Device = Literal["auto", "cpu", "cuda", "mps"]
Backend = Literal["auto", "eager", "compile", "openvino", "onnx"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
TrainPrecision = Literal["auto", "float32", "bfloat16"]
Sampler = Literal["native", "dense", "indexed"]
Localisation = Literal["pooled", "spatial", "identity", "random"]
Skip = Literal["warped", "direct"]
Decoder = Literal["mean", "quadrilaterals"]
Filling = Literal["neighbours", "nothing", "warped"]
VoxelSize = tuple[float, float, float]  # nm, ZYX
Box = tuple[slice, slice, slice]  # voxels, ZYX
Solver = Literal["multicut", "mean"]
Overlap = Literal["keep", "replace", "cut"]
Strength = Literal["auto", "none", "mild", "strong"]
Freeze = Literal["nothing", "encoder"]
Statistics = Literal["batch", "kept"]
AutoFreeze = Literal["auto", "nothing", "encoder"]
ShapeKind = Literal["mesh", "skeleton"]
ShapeFormat = Literal["obj", "ply", "glb", "precomputed", "swc"]


def usable_cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # a container or a cluster may lend fewer than there are
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def spare_cores() -> int:
    """Return the cores that work beside a window may use: one is left to the window."""
    return max(1, usable_cores() - 1)


def check_fields(settings: Any) -> None:
    """Check every field of a settings dataclass against its declared limits and choices.

    Raises
    ------
    ValueError
        Names the setting, its value and what is allowed.
    """
    hints = get_type_hints(type(settings), include_extras=True)
    for item in fields(settings):
        _check(item.name, getattr(settings, item.name), hints[item.name])


def _check(name: str, value: Any, hint: Any) -> None:
    limits: dict[str, Any] = {}
    if get_origin(hint) is Annotated:
        hint, limits = get_args(hint)[0], get_args(hint)[1]
    if get_origin(hint) is Literal and value not in get_args(hint):
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(map(str, get_args(hint)))}.")
    if "min" in limits and value < limits["min"]:
        raise ValueError(f"{name} is {value}; it must be at least {limits['min']}.")
    if "max" in limits and value > limits["max"]:
        raise ValueError(f"{name} is {value}; it must be at most {limits['max']}.")


@dataclass(frozen=True)
class NetworkSettings:
    """Shape of the network.

    Parameters
    ----------
    base_channels
        Channels of the first level; every further level doubles them.
    levels
        Levels of the U-Net, counted as in the paper from 1; level n has stride 2 ** (n - 1).
    in_channels
        Channels of the input image.
    context
        Neighbouring slices above, and as many below, that enter as further channels; past the ends of a
        volume its last slice is repeated.
    n_classes
        1 for a boundary probability (sigmoid), otherwise the number of classes (softmax).
    transformer_levels
        Levels that carry a dense transformer encoder and decoder layer; empty for a plain U-Net.
    fiducials
        Fiducial points along each side of the lattice; 4 gives the paper's 16 points.
    sampler
        How maps are sampled and restored: ``native`` (the fastest way of the device), ``dense`` (one matrix
        product, of the plainest operations) or ``indexed`` (rows at indices, for exported graphs).
    localisation
        What moves the fiducial points: ``pooled`` (the paper's: convolution, pooling, fully connected
        layers), ``spatial`` (an offset at each point, from convolutions over its surroundings),
        ``identity`` (nothing) or ``random`` (chance); the last two tell what a learned warp is worth.
    skip
        What the skip connection of a level with a pair carries: the ``warped`` map, restored after the
        merge, or ``direct`` the map before the warp, which meets the restored one in the merge.
    decoder
        How the pixel correspondence is restored: ``mean`` (the paper's weighted mean of the samples around a
        pixel, Eqs. 6-7) or ``quadrilaterals`` (read at the inverse of the warp, found cell by cell).
    filling
        What a pixel of the ``mean`` takes where no sample came near: the mean of its ``neighbours`` on the
        restored map (the paper's, Eqs. 8-10), ``nothing`` (0) or the still ``warped`` value at its place.
    """

    base_channels: Annotated[int, {"min": 1, "max": 256}] = 16
    levels: Annotated[int, {"min": 2, "max": 8}] = 5
    in_channels: Annotated[int, {"min": 1}] = 1
    context: Annotated[int, {"min": 0, "max": 16}] = 0
    n_classes: Annotated[int, {"min": 1}] = 1
    transformer_levels: tuple[int, ...] = (4,)
    fiducials: Annotated[int, {"min": 2, "max": 32}] = 4
    sampler: Sampler = "native"
    localisation: Localisation = "pooled"
    skip: Skip = "warped"
    decoder: Decoder = "mean"
    filling: Filling = "neighbours"

    def __post_init__(self) -> None:
        check_fields(self)
        for level in self.transformer_levels:
            if not 1 <= level < self.levels:
                raise ValueError(
                    f"transformer_levels has {level}; a pair needs a level between 1 and {self.levels - 1}."
                )

    @property
    def input_maps(self) -> int:
        """Maps that enter the network: every channel of the slice and of its neighbours."""
        return self.in_channels * (2 * self.context + 1)

    @property
    def arch(self) -> str:
        """``dtn`` where any level has a transformer pair, otherwise ``unet``."""
        return "dtn" if self.transformer_levels else "unet"


@dataclass(frozen=True)
class AugmentSettings:
    """Random changes of a training patch; each is applied with its own probability.

    Parameters
    ----------
    flips
        Flip and rotate by multiples of 90 degrees.
    contrast
        Largest relative change of the contrast.
    brightness
        Largest shift of the brightness, in standard deviations of the volume.
    noise
        Largest standard deviation of added Gaussian noise, in the same unit.
    elastic
        Largest displacement of a smooth elastic deformation, in pixels; 0 for none.
    zoom
        Largest factor by which a patch is magnified, or reduced; 1 for none.
    stretch
        Largest ratio by which a patch is longer along one direction than across; 1 for none.
    defects
        Probability of a section defect: a faded, blurred or partly lost region.
    """

    flips: bool = True
    contrast: Annotated[float, {"min": 0.0, "max": 0.9}] = 0.25
    brightness: Annotated[float, {"min": 0.0}] = 0.3
    noise: Annotated[float, {"min": 0.0}] = 0.15
    elastic: Annotated[float, {"min": 0.0}] = 0.0
    zoom: Annotated[float, {"min": 1.0, "max": 8.0}] = 1.0
    stretch: Annotated[float, {"min": 1.0, "max": 8.0}] = 1.0
    defects: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.03

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class WarpPenalties:
    """What a warp is asked for besides a small loss: the weight of each term, 0 for none.

    Parameters
    ----------
    displacement
        Mean squared distance by which the grid moves, in half widths of a tile.
    bending
        Mean squared second difference of the grid, in cells of the map.
    folding
        How far the area of a cell falls below a tenth of its area at rest, on average.
    boundary
        Share of the samples that do not fall on a boundary: what makes it look closer at membranes.
    """

    displacement: Annotated[float, {"min": 0.0}] = 0.0
    bending: Annotated[float, {"min": 0.0}] = 0.0
    folding: Annotated[float, {"min": 0.0}] = 0.0
    boundary: Annotated[float, {"min": 0.0}] = 0.0

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class TrainSettings:
    """How a model is trained.

    Parameters
    ----------
    iterations
        Optimiser steps.
    batch_size
        Patches a step.
    patch_size
        Side of a square training patch, in pixels; predictions use tiles of the same size.
    learning_rate
        Learning rate of the U-Net's parameters after the warm-up and until the cool-down.
    localisation_rate
        Factor on the learning rate for the localisation networks.
    warmup
        Steps of linear warm-up.
    localisation_warmup
        Steps over which the localisation networks' share of the learning rate grows from zero; 0 for none.
    cooldown
        Share of the iterations, at the end, over which the learning rate falls linearly to zero. Until it
        begins nothing depends on the number of iterations, so an interrupted training may be resumed with
        more or fewer of them.
    weight_decay
        Decoupled weight decay of the convolutions.
    pull
        Where nothing is annotated, how much it counts that the network sees what the moving average of its
        weights sees, which begins as the start; what is annotated counts 1.
    freeze
        ``encoder`` keeps the weights of the way down as they are.
    statistics
        What maps are normalised by in training: those of each ``batch``, which are averaged for later, or
        those that the network has, which are ``kept``.
    average
        Decay of the moving average of the weights, which is what is saved; 0 saves the last weights.
    precision
        ``bfloat16`` (autocast), ``float32``, or ``auto`` for the faster one on this machine.
    device
        Where to train.
    seed
        Seed of the initial weights and of the patches.
    validate_every
        Steps between two validations.
    checkpoint_seconds
        Seconds between two resumable checkpoints.
    augment
        Random changes of the patches.
    penalties
        What is asked of the warp besides a small loss.
    """

    iterations: Annotated[int, {"min": 1, "max": 10_000_000}] = 10_000
    batch_size: Annotated[int, {"min": 1, "max": 1024}] = 4
    patch_size: Annotated[int, {"min": 16, "max": 4096}] = 224
    learning_rate: Annotated[float, {"min": 1e-7, "max": 1.0}] = 2e-3
    localisation_rate: Annotated[float, {"min": 0.0, "max": 100.0}] = 0.2
    warmup: Annotated[int, {"min": 0}] = 200
    localisation_warmup: Annotated[int, {"min": 0}] = 0
    cooldown: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.5
    weight_decay: Annotated[float, {"min": 0.0, "max": 1.0}] = 1e-2
    pull: Annotated[float, {"min": 0.0, "max": 100.0}] = 0.0
    freeze: Freeze = "nothing"
    statistics: Statistics = "batch"
    average: Annotated[float, {"min": 0.0, "max": 0.99999}] = 0.998
    precision: TrainPrecision = "auto"
    device: Device = "auto"
    seed: Annotated[int, {"min": 0}] = 0
    validate_every: Annotated[int, {"min": 1}] = 500
    checkpoint_seconds: Annotated[float, {"min": 0.0}] = 45.0
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    penalties: WarpPenalties = field(default_factory=WarpPenalties)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def cooldown_start(self) -> int:
        """The first step with a falling learning rate."""
        return self.iterations - round(self.iterations * self.cooldown)


@dataclass(frozen=True)
class FineTuneSettings:
    """How a model learns from annotations; what is left open follows from their amount and the device.

    Parameters
    ----------
    minutes
        Training ends after so many minutes, if it did not before.
    iterations
        Most optimiser steps; 0 for as many as the annotation is worth.
    learning_rate
        Learning rate after the warm-up; 0 for one that fits the amount of annotation.
    batch_size
        Patches a step; 0 for as many as suit the device.
    augment
        How much patches are changed at random.
    freeze
        What keeps the weights that it has: ``nothing``, or the ``encoder``, the way down.
    pull
        How strongly the model is held to what it saw until then, where nothing is annotated.
    adapt
        First let the network see what the volume looks like: the statistics of its batch normalisations are
        taken from windows of the volume, annotated or not, and kept while it learns.
    patience
        Validations without a better one after which training ends; 0 for as many as the plan says.
    precision
        ``bfloat16`` (autocast), ``float32``, or ``auto`` for the faster one on this machine.
    device
        Where to train.
    seed
        Seed of the patches.
    """

    minutes: Annotated[float, {"min": 0.05, "max": 100_000.0}] = 3.0
    iterations: Annotated[int, {"min": 0, "max": 10_000_000}] = 0
    learning_rate: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.0
    batch_size: Annotated[int, {"min": 0, "max": 1024}] = 0
    augment: Strength = "auto"
    freeze: AutoFreeze = "auto"
    pull: Strength = "auto"
    adapt: bool = True
    patience: Annotated[int, {"min": 0, "max": 1_000_000}] = 0
    precision: TrainPrecision = "auto"
    device: Device = "auto"
    seed: Annotated[int, {"min": 0}] = 0

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class PredictSettings:
    """How a model is run over a volume.

    Parameters
    ----------
    device
        Where the network runs; ``auto`` takes a GPU where there is one.
    backend
        What runs it: ``eager`` PyTorch; ``compile``, PyTorch compiled for this machine (up to half a minute
        to start); ``openvino`` or ``onnx`` (ONNX Runtime), which need an extra and a processor; ``auto``
        takes the fastest that is installed, after a short trial on some tiles.
    precision
        ``float32``; ``bfloat16``, half as many bits and about as good; ``float16``, for GPUs alone; or
        ``auto`` for the fastest on this machine that gives the same boundaries.
    overlap
        Pixels that neighbouring tiles share along each axis, at least.
    batch_size
        Tiles that go through the network together.
    threads
        Processor threads of the network; 0 leaves PyTorch's own choice.
    block_slices
        Slices of a block, which is finished and recorded as one; 0 for as many as make some hundred tiles.
    block_side
        Largest width of a block in pixels; it may be four times as tall, which takes no memory. Larger slices
        are cut, and the tiles on the cuts computed twice.
    """

    device: Device = "auto"
    backend: Backend = "auto"
    precision: Precision = "auto"
    overlap: Annotated[int, {"min": 0, "max": 4096}] = 64
    batch_size: Annotated[int, {"min": 1, "max": 256}] = 4
    threads: Annotated[int, {"min": 0, "max": 1024}] = 0
    block_slices: Annotated[int, {"min": 0, "max": 65536}] = 0
    block_side: Annotated[int, {"min": 256, "max": 1048576}] = 8192

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class FragmentSettings:
    """How a slice of boundary probabilities is cut into fragments, the smallest parts of objects.

    Parameters
    ----------
    threshold
        Probability from which a pixel counts as boundary when distances to boundaries are measured.
    seed_smoothing
        Standard deviation of the smoothing of these distances, in pixels; each of their maxima starts a
        fragment, so less smoothing gives more and smaller ones.
    height_smoothing
        Standard deviation of the smoothing of the probability along whose ridges fragments meet, in pixels.
    smallest
        Pixels of a fragment; smaller ones go to their neighbours, unless there are no others.
    """

    threshold: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.3
    seed_smoothing: Annotated[float, {"min": 0.0, "max": 64.0}] = 2.0
    height_smoothing: Annotated[float, {"min": 0.0, "max": 64.0}] = 1.0
    smallest: Annotated[int, {"min": 1, "max": 1_000_000}] = 50

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class SegmentSettings:
    """How boundary probabilities become objects.

    Parameters
    ----------
    fragments
        How slices are cut into fragments.
    solver
        What joins fragments: ``multicut`` (the partition of least cost over all edges) or ``mean`` (the pair
        of the largest mean probability first, until none is left above the prior).
    prior
        Probability of a merge from which joining two fragments gains: more of it gives more, smaller objects.
    part_slices
        Slices of a part of a volume, which is worked on as one.
    part_side
        Largest side of a part in pixels, rounded up to whole chunks of 256. Larger slices are cut.
    """

    fragments: FragmentSettings = field(default_factory=FragmentSettings)
    solver: Solver = "multicut"
    prior: Annotated[float, {"min": 0.01, "max": 0.99}] = 0.6
    part_slices: Annotated[int, {"min": 1, "max": 65536}] = 16
    part_side: Annotated[int, {"min": 1, "max": 1048576}] = 4096

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class ClickSettings:
    """How clicks become objects.

    Parameters
    ----------
    threshold
        Probability of a merge from which joining two fragments gains; the object grows as it falls.
    volume
        Whether an object goes on through the slices, or stays in the clicked ones.
    overlap
        What happens to others under an object when it is committed: they ``keep`` their pixels, it ``cut`` s
        its own out of them, or it ``replace`` s them and they go. Locked ones keep theirs always.
    window
        Side of the square around the clicks that is looked at within a slice, in pixels; it grows while the
        object reaches its edge.
    reach
        Slices by which the search goes on where an object reaches the last one.
    memory
        What boundaries and fragments may take in memory, in MiB.
    """

    threshold: Annotated[float, {"min": 0.01, "max": 0.99}] = 0.5
    volume: bool = False
    overlap: Overlap = "keep"
    window: Annotated[int, {"min": 64, "max": 65536}] = 512
    reach: Annotated[int, {"min": 1, "max": 1024}] = 8
    memory: Annotated[int, {"min": 64, "max": 1048576}] = 1024

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class ShapeSettings:
    """How the shapes of objects are found.

    Parameters
    ----------
    memory
        What the box of an object may take in memory, in MiB; a larger one is made coarser, along its finest
        axis first, until it fits.
    smoothing
        Rounds in which each vertex of a mesh moves to the mean of its neighbours; 0 leaves the steps of the
        voxels.
    detail
        Length that a mesh need not show, in nm: along each axis, voxels are taken as one while these are no
        longer, which gives fewer triangles; 0 takes every voxel.
    spacing
        Branches of a skeleton that lie within this distance of a thicker one count as its flesh, in nm.
    """

    memory: Annotated[int, {"min": 1, "max": 1048576}] = 256
    smoothing: Annotated[int, {"min": 0, "max": 100}] = 2
    detail: Annotated[float, {"min": 0, "max": 100_000}] = 12.0
    spacing: Annotated[float, {"min": 0, "max": 100_000}] = 200.0

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class LiveSettings:
    """How much of what was seen live is kept.

    Parameters
    ----------
    memory
        Most memory that it takes, in MB; what was not looked at for longest is forgotten first.
    on_disk
        Keep it on disk too, in the user's cache folder, for the next time; only of volumes that were opened
        from a file.
    disk
        Most disk that it takes, in GB, over all volumes and models; what was not used for longest goes first.
    """

    memory: Annotated[int, {"min": 64, "max": 1_000_000}] = 512
    on_disk: bool = False
    disk: Annotated[int, {"min": 1, "max": 100_000}] = 10

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Roi:
    """A box in voxels of the volume: half-open ranges, ``None`` for an open end, as in ``a:b``."""

    z: tuple[int | None, int | None] = (None, None)
    y: tuple[int | None, int | None] = (None, None)
    x: tuple[int | None, int | None] = (None, None)

    def within(self, shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
        """Return the box as slices of a volume of this ``(Z, Y, X)`` shape.

        Raises
        ------
        ValueError
            A range is empty or leaves the volume.
        """
        z, y, x = (
            _range(axis, ends, size)
            for axis, ends, size in zip("zyx", (self.z, self.y, self.x), shape, strict=True)
        )
        return z, y, x


def _range(axis: str, ends: tuple[int | None, int | None], size: int) -> slice:
    start = 0 if ends[0] is None else ends[0]
    stop = size if ends[1] is None else ends[1]
    if not 0 <= start < stop <= size:
        raise ValueError(f"{axis} range {start}:{stop} does not fit: the volume has {axis} 0:{size}.")
    return slice(start, stop)


def changed_fields(settings: Any) -> dict[str, Any]:
    """Return the fields of settings that are not as they are by default."""
    usual, names = type(settings)(), [field.name for field in fields(settings)]
    return {name: value for name in names if (value := getattr(settings, name)) != getattr(usual, name)}


def parse_range(text: str) -> tuple[int | None, int | None]:
    """Read ``a:b``, ``a:``, ``:b`` or one index ``a`` (its slice alone) into a half-open range.

    Raises
    ------
    ValueError
        The text is none of these.
    """
    ends = text.split(":")
    try:
        numbers = [int(end) if end.strip() else None for end in ends]
    except ValueError:
        numbers = []
    if len(numbers) == 1 and numbers[0] is not None:
        return numbers[0], numbers[0] + 1
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    raise ValueError(f"{text!r} is not a range; write it as start:stop, for example 80:100.")
