"""The network: a U-Net, with dense transformer pairs at chosen levels."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn

from napari_dtn.nn.blocks import DoubleConv, UpBlock, halve
from napari_dtn.nn.localisation import Localiser, make_localiser
from napari_dtn.nn.transformer import TransformerDecoder, TransformerEncoder
from napari_dtn.settings import NetworkSettings, Sampler


class DenseTransformerNetwork(nn.Module):
    """A U-Net whose maps, from chosen levels down, live in a learned warp of the image.

    On the way down the pair's encoder follows the convolutions of its level; on the way up its decoder
    follows them again and restores the pixel correspondence. Everything between the two, the level's own
    skip connection included, sees the warped map; with the setting ``skip="direct"`` the decoder comes
    before the merge, and the skip connection stays out of the warp. Without transformer levels this is the
    plain U-Net.

    Source: Dense Transformer Networks, arXiv 1705.08881, Figs. 1 and 2.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        channels = [settings.base_channels * 2**level for level in range(settings.levels)]
        before = [settings.input_maps, *channels]
        self.down = nn.ModuleList(DoubleConv(a, b) for a, b in zip(before, channels, strict=False))
        self.up = nn.ModuleList(UpBlock(b, a) for a, b in pairwise(channels))
        self.head = nn.Conv2d(channels[0], settings.n_classes, 1)
        self.encoders = nn.ModuleDict(
            {
                str(n): TransformerEncoder(
                    make_localiser(settings.localisation, channels[n - 1], settings.fiducials),
                    settings.sampler,
                )
                for n in self.pairs
            }
        )
        self.decoders = nn.ModuleDict(
            {
                str(n): TransformerDecoder(settings.sampler, settings.decoder, settings.filling)
                for n in self.pairs
            }
        )

    @property
    def pairs(self) -> tuple[int, ...]:
        """Levels with a transformer pair, counted from 1."""
        return tuple(sorted(set(self.settings.transformer_levels)))

    def forward(self, image: Tensor) -> Tensor:
        """Normalised image ``(N, input_maps, H, W)`` -> logits ``(N, n_classes, H, W)``; any H and W."""
        return self.forward_with_warp(image)[0]

    def forward_with_warp(self, image: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Return the logits and the grid ``(N, h, w, 2)`` of every transformer level."""
        skips, grids = self._contract(image)
        features = skips.pop()
        for level in range(len(skips), 0, -1):
            features = self._expand(level, features, skips[level - 1], grids.get(level))
        logits: Tensor = self.head(features)
        return logits, grids

    def _expand(self, level: int, features: Tensor, skip: Tensor, grid: Tensor | None) -> Tensor:
        """One level up; where the level has a pair, back to the pixels of the image."""
        merge, direct = self.up[level - 1], self.settings.skip == "direct"

        def restore(warped: Tensor) -> Tensor:
            restored: Tensor = warped if grid is None else self.decoders[str(level)](warped, grid)
            return restored

        merged: Tensor = merge(features, skip, restore if direct else None)
        return merged if direct else restore(merged)

    def warp(self, image: Tensor) -> dict[int, Tensor]:
        """Return the grids alone: the way down, as far as the deepest pair."""
        return self._contract(image, deepest=max(self.pairs, default=0))[1]

    def _contract(self, image: Tensor, deepest: int | None = None) -> tuple[list[Tensor], dict[int, Tensor]]:
        skips: list[Tensor] = []
        grids: dict[int, Tensor] = {}
        features = image
        for level, convolve in enumerate(self.down[:deepest], start=1):
            features = skip = convolve(features if level == 1 else halve(features))
            if level in self.pairs:
                features, grids[level] = self.encoders[str(level)](features)
            skips.append(skip if self.settings.skip == "direct" and level < len(self.down) else features)
        return skips, grids


def build_network(settings: NetworkSettings, sampler: Sampler | None = None) -> DenseTransformerNetwork:
    """Build the network of these settings with fresh weights.

    Parameters
    ----------
    settings
        Shape of the network.
    sampler
        Overrides the sampler of the settings, which does not change the weights.
    """
    network = DenseTransformerNetwork(settings)
    if sampler is not None:
        set_sampler(network, sampler)
    return network


def without_warp(network: DenseTransformerNetwork) -> DenseTransformerNetwork:
    """Return a copy with the same weights whose warps are frozen to the identity."""
    network = copy.deepcopy(network)
    for encoder in network.encoders.values():
        assert isinstance(encoder, TransformerEncoder)
        encoder.localise = Localiser(encoder.localise.side).to(encoder.localise.rest.device)
    return network


def set_sampler(network: DenseTransformerNetwork, sampler: Sampler) -> None:
    """Let all transformer pairs sample and restore their maps in this way."""
    for module in network.modules():
        if isinstance(module, TransformerEncoder | TransformerDecoder):
            module.sampler = sampler


def probability(logits: Tensor) -> Tensor:
    """Logits ``(N, C, H, W)`` -> probabilities: a sigmoid for one class, a softmax for several."""
    logits = logits.float()
    return torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)
