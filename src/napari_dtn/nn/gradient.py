"""What of an image an output pixel depends on, and how much."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_dtn.nn.dtn import DenseTransformerNetwork


def input_gradient(network: DenseTransformerNetwork, image: Tensor, pixel: tuple[int, int]) -> Tensor:
    """Return the size of the gradient of an output pixel, at every pixel of the image.

    Parameters
    ----------
    network
        In evaluation mode.
    image
        ``(1, input_maps, H, W)``, normalised.
    pixel
        ``(y, x)`` of the output.

    Returns
    -------
    Tensor
        ``(H, W)``, at least 0: the norm, over the image's maps, of the gradient of the logit; of several
        classes, of the norm of the logits. How the image moves the warp counts too.
    """
    with torch.enable_grad():
        image = image.detach().clone().requires_grad_(True)
        logits = network(image)[0, :, pixel[0], pixel[1]]
        (gradient,) = torch.autograd.grad(logits.norm(), image)
    size: Tensor = gradient[0].norm(dim=0)
    return size
