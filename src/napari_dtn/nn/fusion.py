r"""A trained network without its normalisations: each is folded into the convolution before it.

In use, batch normalisation is the fixed map :math:`(x - \mu) \gamma / \sigma + \beta`, and a convolution
followed by it is a convolution with scaled weights and a shifted bias.
"""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_dtn.nn.dtn import DenseTransformerNetwork


def fused(network: DenseTransformerNetwork) -> DenseTransformerNetwork:
    """Return a copy with the same answers, up to rounding, in less time; for use only, not for training.

    Parameters
    ----------
    network
        In evaluation mode; it is left as it is.
    """
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            _fold(module)
    return network


def _fold(layers: nn.Sequential) -> None:
    for number in range(len(layers) - 1):
        convolution, normalisation = layers[number], layers[number + 1]
        if isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d):
            layers[number] = fuse_conv_bn_eval(convolution, normalisation)
            layers[number + 1] = nn.Identity()
