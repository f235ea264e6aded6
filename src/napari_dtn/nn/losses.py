"""What training minimises; pixels that nobody annotated never count."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def masked_cross_entropy(logits: Tensor, annotation: Tensor) -> Tensor:
    """Mean cross entropy over the annotated pixels.

    Parameters
    ----------
    logits
        ``(N, C, H, W)``; C = 1 is a boundary logit.
    annotation
        ``(N, H, W)``, integers: 0 not annotated; for C = 1 then 1 boundary and 2 inside, otherwise
        1 + class index.

    Returns
    -------
    Tensor
        A scalar; 0 where nothing is annotated.
    """
    annotated = annotation > 0
    if logits.shape[1] == 1:
        target = (annotation == 1).to(logits.dtype)
        losses = F.binary_cross_entropy_with_logits(logits[:, 0].float(), target.float(), reduction="none")
    else:
        losses = F.cross_entropy(logits.float(), (annotation.long() - 1).clamp(min=0), reduction="none")
    return torch.where(annotated, losses, 0.0).sum() / annotated.sum().clamp(min=1)
