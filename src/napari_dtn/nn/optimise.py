"""How weights move: optimiser, schedule and moving average, with a state that can be stored and resumed."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from napari_dtn.nn.autocasting import computing_in
from napari_dtn.nn.dtn import DenseTransformerNetwork
from napari_dtn.nn.losses import distillation, masked_cross_entropy, warp_penalty
from napari_dtn.nn.memory import keep_freed_memory
from napari_dtn.nn.normalising import norms
from napari_dtn.nn.replay import Replayed, can_be_replayed
from napari_dtn.settings import TrainSettings

_MIRRORS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))  # axes that are flipped


class Trainee:
    """A network in training: its weights, their moving average and the optimiser's memory.

    Everything that the next step depends on is in :meth:`tensors`, so a trainee filled with them goes on
    exactly as the one that they came from.

    Parameters
    ----------
    network
        On its device; trained in place.
    settings
        How it is trained.
    bfloat16
        Compute forward and backward under bfloat16 autocast.
    """

    def __init__(self, network: DenseTransformerNetwork, settings: TrainSettings, bfloat16: bool) -> None:
        keep_freed_memory()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.settings = settings
        self.bfloat16 = bfloat16
        if settings.freeze == "encoder":
            network.down.requires_grad_(False)
            network.encoders.requires_grad_(False)
        on_cuda = next(network.parameters()).device.type == "cuda"
        self.optimiser = torch.optim.AdamW(_groups(network, settings), betas=(0.9, 0.99), capturable=on_cuda)
        self._learn = Replayed(self._learn_from) if on_cuda and can_be_replayed(network) else self._learn_from

    def step(self, iteration: int, image: Tensor, annotation: Tensor) -> Tensor:
        """Make step ``iteration`` (from 0) on ``(N, C, H, W)`` and ``(N, H, W)``; return the loss."""
        rate = learning_rate(iteration, self.settings)
        for group in self.optimiser.param_groups:
            share = group["factor"] * min((iteration + 1) / max(group["warmup"], 1), 1.0)
            _set_rate(group, rate * share)
        loss = self._learn(image, annotation)
        self._follow(iteration)
        return loss

    def _learn_from(self, image: Tensor, annotation: Tensor) -> Tensor:
        """Move the weights once, at the rates that are set."""
        self.network.train()
        if self.settings.statistics == "kept":
            for layer in norms(self.network):
                layer.eval()
        with computing_in(image.device.type, torch.bfloat16 if self.bfloat16 else torch.float32):
            image = image.contiguous(memory_format=torch.channels_last)
            logits, warps = self.network.forward_with_warp(image)
            held = self._pull(image, logits, annotation)
        loss = masked_cross_entropy(logits, annotation)
        asked = [warp_penalty(grid, annotation, self.settings.penalties) for grid in warps.values()]
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(sum(asked, start=loss + held))
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        return loss.detach()

    def _pull(self, image: Tensor, logits: Tensor, annotation: Tensor) -> Tensor:
        """Where nothing is annotated, to see what the average sees in the image and its mirror images.

        Source: mean teachers, arXiv 1703.01780.
        """
        if not self.settings.pull:
            return logits.new_zeros(())
        with torch.no_grad():
            views = [self.average(image.flip(axes)).flip(axes) for axes in _MIRRORS]
        return self.settings.pull * distillation(logits, torch.stack(views).mean(0), annotation)

    @torch.no_grad()
    def _follow(self, iteration: int) -> None:
        """Let the average move towards the weights: fast at first, while they still move far.

        Not so where it teaches: what is known at the start is to be forgotten slowly.
        """
        decay = self.settings.average
        if not self.settings.pull:
            decay = min(decay, (1 + iteration) / (10 + iteration))
        torch._foreach_lerp_(list(_floats(self.average)), list(_floats(self.network)), 1 - decay)

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state as named tensors."""
        memory = self.optimiser.state_dict()["state"]
        return {
            **{f"network.{name}": tensor for name, tensor in self.network.state_dict().items()},
            **{f"average.{name}": tensor for name, tensor in self.average.state_dict().items()},
            **{
                f"optimiser.{n}.{key}": tensor for n, entry in memory.items() for key, tensor in entry.items()
            },
        }

    def fill(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the state that :meth:`tensors` gave."""
        self.network.load_state_dict(_under("network.", tensors))
        self.average.load_state_dict(_under("average.", tensors))
        memory: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("optimiser.", tensors).items():
            number, key = name.split(".")
            layout = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
            memory.setdefault(int(number), {})[key] = tensor.clone(memory_format=layout)
        state: dict[str, Any] = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**state, "state": memory})


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _floats(network: nn.Module) -> Iterator[Tensor]:
    """Weights and running statistics."""
    yield from network.parameters()
    yield from (buffer for buffer in network.buffers() if buffer.is_floating_point())


def _groups(network: DenseTransformerNetwork, settings: TrainSettings) -> list[dict[str, Any]]:
    """Group the parameters: convolutions decay; localisation networks have a learning rate of their own."""
    groups: dict[tuple[float, int, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        factor, warmup = 1.0, 0
        if "localise" in name:
            factor, warmup = settings.localisation_rate, settings.localisation_warmup
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, warmup, decay), []).append(parameter)
    return [
        {
            "params": parameters,
            "factor": factor,
            "warmup": warmup,
            "weight_decay": decay,
            "lr": _rate_of(parameters[0].device),
        }
        for (factor, warmup, decay), parameters in groups.items()
    ]


def _rate_of(device: torch.device) -> Tensor | float:
    """A learning rate to be set: on a GPU in its memory."""
    return torch.zeros((), device=device) if device.type == "cuda" else 0.0


def _set_rate(group: dict[str, Any], rate: float) -> None:
    """Set a learning rate; a recorded step reads it from where it was."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def learning_rate(iteration: int, settings: TrainSettings) -> float:
    """Return the rate of step ``iteration`` (from 0): a linear warm-up, a plateau, a linear cool-down.

    Source: the warm-up, stable, decay schedule (arXiv 2405.18392).
    """
    left = settings.iterations - iteration
    cooling = left / max(settings.iterations - settings.cooldown_start, 1)
    warming = (iteration + 1) / max(settings.warmup, 1)
    return settings.learning_rate * min(cooling, warming, 1.0)
