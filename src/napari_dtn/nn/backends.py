"""What runs a network: one call, normalised tiles in, probabilities out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from napari_dtn.nn.dtn import DenseTransformerNetwork, probability
from napari_dtn.nn.fusion import fused
from napari_dtn.nn.memory import keep_freed_memory
from napari_dtn.nn.tps import constant_grid_matrix
from napari_dtn.settings import Backend, Device, Precision, usable_cores


class Runner(Protocol):
    """Anything that turns normalised tiles into probabilities."""

    def __call__(self, tiles: Tensor) -> Tensor:
        """``(N, C, H, W)`` float32 -> ``(N, n_classes, H, W)`` float32, both on the CPU."""
        ...


@dataclass(frozen=True)
class TorchRunner:
    """PyTorch, eager or compiled, in float32 or under bfloat16 autocast."""

    forward: Callable[[Tensor], Tensor]
    device: torch.device
    bfloat16: bool

    @torch.inference_mode()
    def __call__(self, tiles: Tensor) -> Tensor:
        """``(N, C, H, W)`` float32 -> ``(N, n_classes, H, W)`` float32, both on the CPU."""
        tiles = tiles.to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            logits = self.forward(tiles)
        return probability(logits).cpu()


def make_runner(
    network: DenseTransformerNetwork,
    device: torch.device,
    backend: Backend = "auto",
    precision: Precision = "auto",
) -> Runner:
    """Return what runs this network.

    Parameters
    ----------
    network
        In evaluation mode, on ``device``.
    device
        Where it is.
    backend
        ``eager``; ``compile`` (``torch.compile``: half a minute to start, faster after); ``auto`` is eager.
    precision
        ``auto`` is bfloat16 where the processor computes in it.
    """
    if device.type == "cpu":
        keep_freed_memory()
    quick = fused(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    forward = compile_network(quick) if backend == "compile" else quick
    return TorchRunner(forward, device, resolve_precision(precision, device) == "bfloat16")


def compile_network(network: DenseTransformerNetwork, **options: Any) -> Callable[[Tensor], Tensor]:
    """Return the network as ``torch.compile`` makes it, with these options."""
    # Otherwise the compiler looks through the cache and solves the system in every forward pass. As a
    # decorator this would load the whole compiler, some seconds of work, with the module.
    torch.compiler.assume_constant_result(constant_grid_matrix)  # type: ignore[no-untyped-call]
    compiled: Callable[[Tensor], Tensor] = torch.compile(network, **options)
    return compiled


def resolve_device(device: Device) -> torch.device:
    """Return the torch device of a setting.

    Raises
    ------
    ValueError
        The machine has no such device.
    """
    present = available_devices()
    if device == "auto":
        return torch.device(present[0])
    if device not in present:
        raise ValueError(
            f"device is {device!r}, which this machine does not offer; it has {', '.join(present)}."
        )
    return torch.device(device)


def available_devices() -> list[Device]:
    """Return the devices of this machine, the fastest first."""
    cuda: list[Device] = ["cuda"] if torch.cuda.is_available() else []
    mps: list[Device] = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, "cpu"]


def describe_devices() -> dict[Device, str]:
    """Return the devices of this machine, the fastest first, each with what it is."""
    return {device: _describe(device) for device in available_devices()}


def _describe(device: Device) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    if device == "mps":
        return "Apple GPU"
    cores = usable_cores()
    return f"{cores} core{'s' if cores > 1 else ''}"


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """Return ``float32`` or ``bfloat16``; ``auto`` asks whether the device computes in bfloat16."""
    if precision != "auto":
        return precision
    return "bfloat16" if _computes_bfloat16(device) else "float32"


def _computes_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return _cuda_computes_bfloat16(device)
    if device.type == "cpu":
        # AMX implies AVX512-BF16; without either, bfloat16 is emulated and slower than float32.
        probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return bool(probe and probe())
    return False


def _cuda_computes_bfloat16(device: torch.device) -> bool:
    probe = torch.cuda.is_bf16_supported
    if "including_emulation" in inspect.signature(probe).parameters:
        return bool(probe(including_emulation=False))
    # Older PyTorch counts emulation and cannot be told not to: Ampere is the first that computes in it.
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
