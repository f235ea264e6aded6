"""Dense transformer layers: an encoder that samples through a learned warp, a decoder that undoes it."""

from __future__ import annotations

from torch import Tensor, nn

from napari_dtn.nn.localisation import Localiser
from napari_dtn.nn.quadrilaterals import invert
from napari_dtn.nn.sampling import restore, sample
from napari_dtn.nn.tps import spline_grid
from napari_dtn.settings import Decoder, Filling, Sampler


class TransformerEncoder(nn.Module):
    """Sample a map through the thin-plate spline that its localisation network proposes (Eqs. 1-5)."""

    def __init__(self, localiser: Localiser, sampler: Sampler) -> None:
        super().__init__()
        self.localise = localiser
        self.sampler = sampler

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, C, H, W)`` -> the warped map and its grid ``(N, H, W, 2)``; the decoder needs both."""
        grid = spline_grid(self.localise(features), features.shape[2], features.shape[3])
        return sample(features, grid, self.sampler).to(features.dtype), grid


class TransformerDecoder(nn.Module):
    """Restore the pixel correspondence with the grid of the encoder (Eqs. 6-10, or the inverse warp)."""

    def __init__(self, sampler: Sampler, decoder: Decoder = "mean", filling: Filling = "neighbours") -> None:
        super().__init__()
        self.sampler = sampler
        self.decoder = decoder
        self.filling = filling

    def forward(self, features: Tensor, grid: Tensor) -> Tensor:
        """``(N, C, H, W)`` and the encoder's grid -> ``(N, C, H, W)``."""
        if self.decoder == "quadrilaterals":
            return invert(features, grid).to(features.dtype)
        return restore(features, grid, self.sampler, filling=self.filling).to(features.dtype)
