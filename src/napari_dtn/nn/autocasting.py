"""Which precision a part of a network computes in, on every device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

# PyTorch 2.4 knows none on Apple GPUs, and would not even let it be turned off there.
_KNOWN_ON_MPS = torch.amp.is_autocast_available("mps")


def computing_in(device_type: str, precision: torch.dtype = torch.float32) -> AbstractContextManager[object]:
    """Let what follows compute in a precision where that loses little; float32 keeps it as it is.

    Parameters
    ----------
    device_type
        ``cpu``, ``cuda`` or ``mps``.
    precision
        float32, bfloat16 or float16.
    """
    lower = precision != torch.float32
    if device_type == "mps" and not lower and not _KNOWN_ON_MPS:
        return nullcontext()
    return torch.autocast(device_type, precision, enabled=lower)
