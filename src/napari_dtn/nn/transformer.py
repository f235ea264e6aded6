"""Dense transformer layers: an encoder that samples through a learned warp, a decoder that undoes it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dtn.nn.quadrilaterals import invert
from napari_dtn.nn.sampling import restore, sample
from napari_dtn.nn.tps import lattice, spline_grid
from napari_dtn.settings import Decoder, Sampler

_POOLED = 4
_HIDDEN = 64


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


class Localisation(nn.Module):
    """Say where each fiducial point looks, from the map itself (paper Sec. 2.1).

    Convolution, pooling to a fixed size (so that images of any size do), fully connected layers, tanh. The
    last layer starts at zero, so training starts at the identity. It has no bias and its inputs are
    centred over the data: a warp that is the same for all images cannot be learned, every displacement
    is an answer to the image.
    """

    rest: Tensor

    def __init__(self, channels: int, fiducials: int) -> None:
        super().__init__()
        self.convolve = nn.Sequential(
            nn.Conv2d(channels, _HIDDEN // 2, 3, padding=1, bias=False),
            nn.BatchNorm2d(_HIDDEN // 2),
            nn.ReLU(),
        )
        self.reduce = nn.Sequential(
            nn.Linear(_HIDDEN // 2 * _POOLED**2, _HIDDEN),
            nn.LayerNorm(_HIDDEN),
            nn.ReLU(),
            RunningNorm(_HIDDEN),
        )
        self.place = nn.Linear(_HIDDEN, 2 * fiducials**2, bias=False)
        nn.init.zeros_(self.place.weight)
        # The identity's own tanh argument: tanh(atanh(p) + 0) = p.
        self.register_buffer("rest", torch.atanh(lattice(fiducials)).float().flatten(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, H, W)`` -> fiducial points ``(N, K, 2)``, ``(x, y)`` in (-1, 1), float32."""
        pooled = F.adaptive_avg_pool2d(self.convolve(features), _POOLED).flatten(1)
        with torch.autocast(features.device.type, enabled=False):
            moved: Tensor = self.place(self.reduce(pooled.float()))
            return torch.tanh(self.rest + moved).view(-1, self.rest.numel() // 2, 2)


class TransformerEncoder(nn.Module):
    """Sample a map through the thin-plate spline that its localisation network proposes (Eqs. 1-5)."""

    def __init__(self, channels: int, fiducials: int, sampler: Sampler) -> None:
        super().__init__()
        self.localise = Localisation(channels, fiducials)
        self.sampler = sampler

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, C, H, W)`` -> the warped map and its grid ``(N, H, W, 2)``; the decoder needs both."""
        grid = spline_grid(self.localise(features), features.shape[2], features.shape[3])
        return sample(features, grid, self.sampler).to(features.dtype), grid


class TransformerDecoder(nn.Module):
    """Restore the pixel correspondence with the grid of the encoder (Eqs. 6-10, or the inverse warp)."""

    def __init__(self, sampler: Sampler, decoder: Decoder = "mean") -> None:
        super().__init__()
        self.sampler = sampler
        self.decoder = decoder

    def forward(self, features: Tensor, grid: Tensor) -> Tensor:
        """``(N, C, H, W)`` and the encoder's grid -> ``(N, C, H, W)``."""
        if self.decoder == "quadrilaterals":
            return invert(features, grid).to(features.dtype)
        return restore(features, grid, self.sampler).to(features.dtype)
