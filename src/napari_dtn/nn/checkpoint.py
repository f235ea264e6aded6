"""One safetensors file is one model: weights, and everything needed to rebuild and use them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from napari_dtn.durable import check_writable
from napari_dtn.nn.bundled import SUFFIX, known_models, named_model
from napari_dtn.nn.bundled import bundled_models as bundled_models
from napari_dtn.nn.devices import resolve_device
from napari_dtn.nn.dtn import DenseTransformerNetwork, build_network
from napari_dtn.nn.header import KEY, write_whole
from napari_dtn.nn.header import load_json as load_json
from napari_dtn.settings import Device, NetworkSettings, VoxelSize

FORMAT = 1


@dataclass(frozen=True)
class ModelCard:
    """What a model is and where it comes from.

    Parameters
    ----------
    name
        Short name.
    network
        Shape of the network.
    patch_size
        Side of the patches that it was trained on, in pixels; predictions use tiles of this size, since
        the warp depends on the whole tile.
    voxel_size
        Voxel size of the training data in nm, ``(Z, Y, X)``.
    class_names
        One name a class.
    normalisation
        How intensities enter: ``volume z-score`` is (value - mean) / deviation of the whole volume.
    training
        Provenance: data, split, settings, boundary rule, version.
    scores
        What was measured, each with its data and rule.
    """

    name: str
    network: NetworkSettings
    patch_size: int = 224
    voxel_size: VoxelSize | None = None
    class_names: tuple[str, ...] = ("boundary",)
    normalisation: str = "volume z-score"
    training: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain JSON values."""
        return {"format": FORMAT, **asdict(self)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> ModelCard:
        """Rebuild a card; fields that this version does not know, or needs, are an error that says so."""
        values = dict(values)
        if values.pop("format", None) != FORMAT:
            raise ValueError(
                "its card has another format; it was written by a different version of napari-dtn"
            )
        _check_names("card", values, ModelCard)
        _check_names("network", values["network"], NetworkSettings)
        values = {name: _tuples(value) for name, value in values.items()}
        network = {name: _tuples(value) for name, value in values["network"].items()}
        return ModelCard(**{**values, "network": NetworkSettings(**network)})


def _tuples(value: Any) -> Any:
    """JSON knows no tuples; the fields of a card are never lists."""
    return tuple(value) if isinstance(value, list) else value


def _check_names(part: str, values: Mapping[str, Any], kind: type[Any]) -> None:
    known = {item.name for item in fields(kind)}
    needed = {item.name for item in fields(kind) if item.default is MISSING is item.default_factory}
    for names, fault in ((values.keys() - known, "has unknown"), (needed - values.keys(), "lacks")):
        if names:
            listed = ", ".join(sorted(names))
            raise ValueError(f"its {part} {fault} {listed}; a different version of napari-dtn wrote it")


@dataclass(frozen=True)
class Model:
    """A network ready for use: in evaluation mode, float32, on its device."""

    network: DenseTransformerNetwork
    card: ModelCard
    sha256: str
    device: torch.device

    def changed(self, network: DenseTransformerNetwork, how: str, card: ModelCard | None = None) -> Model:
        """Return what became of this model, as another: what is kept of this one (its exports) is not its.

        Parameters
        ----------
        network
            The other network.
        how
            What was done, with all that it depends on.
        card
            The other's; left out, the same.
        """
        identity = hashlib.sha256(f"{self.sha256} {how}".encode()).hexdigest()
        return replace(self, network=network, card=card or self.card, sha256=identity)


def find_model(name_or_path: str | Path) -> Path:
    """Return the file of a model's name, bundled or the user's, or of a path.

    Raises
    ------
    FileNotFoundError
        Neither a name nor an existing file.
    """
    path = named_model(str(name_or_path)) or Path(name_or_path)
    if path.is_file():
        return path
    known = ", ".join(known_models()) or "none"
    raise FileNotFoundError(f"No model {str(name_or_path)!r}: give a .safetensors file or one of {known}.")


def load_card(name_or_path: str | Path) -> ModelCard:
    """Read the card of a model without its weights.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`load_model`.
    """
    path = find_model(name_or_path)
    values = load_json(path, KEY)
    try:
        return ModelCard.from_json(values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be used: {error}.") from error


def load_model(name_or_path: str | Path = "dtn-snemi3d", device: Device = "auto") -> Model:
    """Load a model by its name or from a file; nothing is ever unpickled.

    Parameters
    ----------
    name_or_path
        A bundled name, such as ``dtn-snemi3d``; one of the user's library, such as ``my-tissue`` for its
        current version or ``my-tissue@2026-03-01 14.05.09`` for one of them; or the path of a
        ``.safetensors`` file.
    device
        Where to put it; ``auto`` takes a GPU where there is one.

    Raises
    ------
    FileNotFoundError
        No such model.
    ValueError
        The file is damaged, of another program, or does not fit its own card.
    """
    path = find_model(name_or_path)
    card = load_card(path)
    where = resolve_device(device)
    # MPS has no kernel for the native sampler's gradient; the dense one is made of plain products.
    network = build_network(card.network, sampler="dense" if where.type == "mps" else None)
    _fill(network, read_tensors(path), path)
    network.eval().requires_grad_(False)
    network.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Model(network, card, hashlib.sha256(path.read_bytes()).hexdigest(), where)


def _fill(network: DenseTransformerNetwork, tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as error:
        first = shorten(str(error).splitlines()[1], 200)
        raise ValueError(f"{path}: its weights do not fit the network on its card ({first}).") from error


def save_model(path: str | Path, state: Mapping[str, Tensor], card: ModelCard, half: bool = True) -> None:
    """Write a model; the file appears whole or not at all.

    Parameters
    ----------
    path
        Where to; ends in ``.safetensors``.
    state
        The network's ``state_dict``.
    card
        Its card.
    half
        Store the weights as float16, half the size.
    """
    floats = {name: t.detach().cpu().float() for name, t in state.items() if t.is_floating_point()}
    stored = {name: _narrow(t) for name, t in floats.items()} if half else floats
    write_tensors(path, stored, {KEY: json.dumps(card.to_json())})


def check_savable(path: str | Path, overwrite: bool = False) -> None:
    """Refuse a path that no model could be written to, before there is one; nothing is made.

    Raises
    ------
    ValueError
        It does not end in ``.safetensors``.
    FileExistsError
        There is a file, and ``overwrite`` is not set.
    IsADirectoryError, NotADirectoryError, PermissionError
        It is a folder, or its folder cannot be made or written in.
    """
    path = Path(path)
    if path.is_dir():
        example = path / f"model{SUFFIX}"
        raise IsADirectoryError(f"{path} is a folder; give the file of the model, such as {example}.")
    if path.suffix != SUFFIX:
        example = path.with_name(path.name + SUFFIX)
        raise ValueError(f"{path} is no name of a model: it must end in {SUFFIX}, such as {example}.")
    check_writable(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already: give another name, or replace it with --overwrite.")


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """Return what identifies weights that are in no file."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _narrow(tensor: Tensor) -> Tensor:
    """Return float16, or the tensor itself where a value, such as a large variance, would become infinite."""
    half = tensor.half()
    return half if bool(torch.isfinite(half).all()) else tensor


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file that survives a crash: a temporary file, then an atomic rename."""
    write_whole(Path(path), save({name: one.contiguous() for name, one in tensors.items()}, dict(metadata)))


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file.

    Raises
    ------
    ValueError
        The file is no safetensors file, or is cut short.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or incomplete; copy or download it again ({error}).") from error
