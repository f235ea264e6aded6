"""Where the fiducial points go: a small network looks at a map and moves each of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_dtn.nn.autocasting import computing_in
from napari_dtn.nn.blocks import pooled
from napari_dtn.nn.tps import lattice
from napari_dtn.settings import Localisation

_POOLED = 4
_HIDDEN = 64
_RANDOM_SHIFT = 0.05  # about how far the learned points of a 4 x 4 lattice move


class RunningNorm(nn.Module):
    """Subtract each feature's mean over the data and divide by its deviation, both as moving averages.

    Unlike batch normalisation it does the same in training and in use, for any batch size. Behind it a
    linear layer without bias can only express what *differs* from image to image.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, features: int, momentum: float = 0.02) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("variance", torch.ones(features))

    def forward(self, features: Tensor) -> Tensor:
        """``(N, features)`` -> ``(N, features)``."""
        if self.training:
            self._follow(features.detach())
        return (features - self.mean) * (self.variance + 1e-5).rsqrt()

    @torch.no_grad()
    def _follow(self, features: Tensor) -> None:
        offset = (features - self.mean).square().mean(dim=0)
        self.mean.lerp_(features.mean(dim=0), self.momentum)
        self.variance.lerp_(offset, self.momentum)


class Localiser(nn.Module):
    """A lattice at rest, and what moves its points inside a tanh: here nothing does.

    Subclasses look at the map and say by how much. Their last layer starts at zero, so training starts at
    the identity; it has no bias and its inputs are centred over the data, so a warp that is the same for
    all images cannot be learned: every displacement is an answer to the image.
    """

    rest: Tensor

    def __init__(self, fiducials: int) -> None:
        super().__init__()
        self.side = fiducials
        # The identity's own tanh argument: tanh(atanh(p) + 0) = p.
        self.register_buffer("rest", torch.atanh(lattice(fiducials)).float().flatten(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, H, W)`` -> fiducial points ``(N, K, 2)``, ``(x, y)`` in (-1, 1), float32."""
        seen = self.look(features)
        with computing_in(features.device.type):
            return torch.tanh(self.rest + self.move(seen.float())).view(-1, self.side**2, 2)

    def look(self, features: Tensor) -> Tensor:
        """``(N, C, H, W)`` -> what the movement depends on, in the precision of the network."""
        return features[:, 0, 0, 0]

    def move(self, seen: Tensor) -> Tensor:
        """What was seen, float32 -> what is added inside the tanh, ``(N, 2 K)``, float32."""
        return seen.new_zeros(seen.shape[0], self.rest.numel())


class RandomLocaliser(Localiser):
    """Move the points by chance: anew for each image in training, always alike in use."""

    def move(self, seen: Tensor) -> Tensor:
        """``(N,)`` -> ``(N, 2 K)``."""
        images = seen.shape[0] if self.training else 1
        generator = None if self.training else torch.Generator().manual_seed(0)
        shift = torch.randn(images, self.rest.numel(), generator=generator).to(seen)
        return (_RANDOM_SHIFT * shift).expand(seen.shape[0], -1)


class PooledLocaliser(Localiser):
    """The paper's (Sec. 2.1): convolution, pooling to a fixed size, fully connected layers."""

    def __init__(self, channels: int, fiducials: int) -> None:
        super().__init__(fiducials)
        self.convolve = nn.Sequential(*_convolution(channels))
        self.reduce = nn.Sequential(
            nn.Linear(_HIDDEN // 2 * _POOLED**2, _HIDDEN),
            nn.LayerNorm(_HIDDEN),
            nn.ReLU(),
            RunningNorm(_HIDDEN),
        )
        self.place = nn.Linear(_HIDDEN, 2 * fiducials**2, bias=False)
        nn.init.zeros_(self.place.weight)

    def look(self, features: Tensor) -> Tensor:
        """``(N, C, H, W)`` -> ``(N, features)``; images of any size give as many."""
        return pooled(self.convolve(features), (_POOLED, _POOLED)).flatten(1)

    def move(self, seen: Tensor) -> Tensor:
        """``(N, features)`` -> ``(N, 2 K)``."""
        moved: Tensor = self.place(self.reduce(seen))
        return moved


class SpatialLocaliser(Localiser):
    """Move each point by what convolutions find around it, so that the layout of the map is kept."""

    def __init__(self, channels: int, fiducials: int) -> None:
        super().__init__(fiducials)
        self.convolve = nn.Sequential(*_convolution(channels), *_convolution(_HIDDEN // 2))
        self.norm = RunningNorm(_HIDDEN // 2 * fiducials**2)
        self.place = nn.Linear(_HIDDEN // 2, 2, bias=False)
        nn.init.zeros_(self.place.weight)

    def look(self, features: Tensor) -> Tensor:
        """``(N, C, H, W)`` -> ``(N, features, side, side)``: a cell around each point."""
        return pooled(self.convolve(features), (self.side, self.side))

    def move(self, seen: Tensor) -> Tensor:
        """``(N, features, side, side)`` -> ``(N, 2 K)``."""
        centred = self.norm(seen.flatten(1)).view(seen.shape)
        moved: Tensor = self.place(centred.permute(0, 2, 3, 1))
        return moved.flatten(1)


def _convolution(channels: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    width = _HIDDEN // 2
    return nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()


def make_localiser(kind: Localisation, channels: int, fiducials: int) -> Localiser:
    """Return the localisation network of a setting, for maps of so many channels."""
    if kind == "pooled":
        return PooledLocaliser(channels, fiducials)
    if kind == "spatial":
        return SpatialLocaliser(channels, fiducials)
    return RandomLocaliser(fiducials) if kind == "random" else Localiser(fiducials)
