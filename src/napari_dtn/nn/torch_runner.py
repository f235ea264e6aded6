"""Networks run by PyTorch itself, eager or compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_dtn.nn.autocasting import computing_in
from napari_dtn.nn.devices import resolve_precision
from napari_dtn.nn.dtn import DenseTransformerNetwork, probability
from napari_dtn.nn.fusion import fused
from napari_dtn.nn.memory import keep_freed_memory
from napari_dtn.nn.replay import Replayed, can_be_replayed
from napari_dtn.nn.tps import constant_grid_matrix
from napari_dtn.settings import Precision


@dataclass(frozen=True)
class TorchRunner:
    """PyTorch, in float32 or under autocast.

    Parameters
    ----------
    forward
        Tiles, channels last, to logits.
    device
        Where the network is.
    precision
        What autocast computes in; float32 leaves it out.
    batch
        Smaller batches are filled up to this size, since a compiled network is of one size; 0 for any.
    """

    forward: Callable[[Tensor], Tensor]
    device: torch.device
    precision: torch.dtype
    batch: int = 0

    @torch.inference_mode()
    def __call__(self, tiles: Tensor) -> Tensor:
        """``(N, C, H, W)`` float32 -> ``(N, n_classes, H, W)`` float32, both on the CPU."""
        count, missing = len(tiles), self.batch - len(tiles)
        if missing > 0:
            tiles = F.pad(tiles, (0, 0, 0, 0, 0, 0, 0, missing))
        tiles = tiles.to(self.device, non_blocking=self.device.type == "cuda").contiguous(
            memory_format=torch.channels_last
        )
        with computing_in(self.device.type, self.precision):
            logits = self.forward(tiles)
        return probability(logits[:count]).cpu()


def torch_runner(
    network: DenseTransformerNetwork,
    device: torch.device,
    precision: Precision = "auto",
    compiled_for: int = 0,
) -> TorchRunner:
    """Return what runs a network in PyTorch.

    Parameters
    ----------
    network
        In evaluation mode, on ``device``.
    device
        Where it is.
    precision
        ``auto`` is bfloat16 where the device computes in it.
    compiled_for
        Compile it for batches of so many tiles; 0 leaves it eager, which is recorded and replayed on CUDA.
    """
    if device.type == "cpu":
        keep_freed_memory()
    dtype: torch.dtype = getattr(torch, resolve_precision(precision, device))
    quick = fused(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if compiled_for:
        return TorchRunner(compile_network(quick, **_options(device)), device, dtype, compiled_for)
    replayed = device.type == "cuda" and can_be_replayed(network)
    return TorchRunner(Replayed(quick) if replayed else quick, device, dtype)


def _options(device: torch.device) -> dict[str, Any]:
    """Constants folded and laid out anew on a CPU; on a GPU kernels by trial, and CUDA graphs."""
    if device.type == "cuda":
        return {"dynamic": False, "mode": "max-autotune"}
    return {"dynamic": False, "options": {"freezing": True}} if device.type == "cpu" else {}


def compile_network(network: DenseTransformerNetwork, **options: Any) -> Callable[[Tensor], Tensor]:
    """Return the network as ``torch.compile`` makes it, with these options."""
    # Otherwise the compiler looks through the cache and solves the system in every forward pass. As a
    # decorator this would load the whole compiler, some seconds of work, with the module.
    torch.compiler.assume_constant_result(constant_grid_matrix)  # type: ignore[no-untyped-call]
    compiled: Callable[[Tensor], Tensor] = torch.compile(network, **options)
    return compiled
