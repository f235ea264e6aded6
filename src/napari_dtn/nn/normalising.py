"""Batch normalisation that gets to know other images: its statistics taken anew, which needs no label."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from napari_dtn.nn.dtn import DenseTransformerNetwork


@torch.no_grad()
def adapted(network: DenseTransformerNetwork, images: Iterable[Tensor]) -> DenseTransformerNetwork:
    """Return a copy with the same weights that is normalised by what it sees in these images.

    A network of another tissue or microscope sees other means and deviations in all its maps; put right, it
    is much better before it has learned anything. Source: adaptive batch normalisation, arXiv 1603.04779.

    Parameters
    ----------
    network
        In evaluation mode; not changed.
    images
        Batches ``(N, C, H, W)``, normalised, on the network's device; at least one.
    """
    network = copy.deepcopy(network)
    layers = norms(network)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
        layer.train()
    for batch in images:
        network(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    return network.eval()


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    """Return the batch normalisations of a network."""
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
