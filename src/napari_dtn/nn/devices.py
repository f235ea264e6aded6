"""What this machine computes on, and in which precision."""

from __future__ import annotations

import inspect

import torch

from napari_dtn.settings import Backend, Device, Precision, usable_cores


def resolve_device(device: Device) -> torch.device:
    """Return the torch device of a setting.

    Raises
    ------
    ValueError
        The machine has no such device.
    """
    present = available_devices()
    if device == "auto":
        return torch.device(present[0])
    if device not in present:
        raise ValueError(
            f"device is {device!r}, which this machine does not offer; it has {', '.join(present)}."
        )
    return torch.device(device)


def available_devices() -> list[Device]:
    """Return the devices of this machine, the fastest first."""
    cuda: list[Device] = ["cuda"] if torch.cuda.is_available() else []
    mps: list[Device] = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, "cpu"]


def describe_devices() -> dict[Device, str]:
    """Return the devices of this machine, the fastest first, each with what it is."""
    return {device: _describe(device) for device in available_devices()}


def _describe(device: Device) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    if device == "mps":
        return "Apple GPU"
    cores = usable_cores()
    return f"{cores} core{'s' if cores > 1 else ''}"


def resolve_precision(precision: Precision, device: torch.device, backend: Backend = "eager") -> Precision:
    """Return what a backend computes in; ``auto`` asks whether the device computes in bfloat16.

    Raises
    ------
    ValueError
        The backend does not compute in this precision there.
    """
    possible = _precisions(device, backend)
    if precision == "auto":
        return "bfloat16" if "bfloat16" in possible and _computes_bfloat16(device) else "float32"
    if precision not in possible:
        raise ValueError(
            f"precision is {precision!r}, in which {backend} on {device.type} does not compute; "
            f"choose {' or '.join(possible)}."
        )
    return precision


def _precisions(device: torch.device, backend: Backend) -> tuple[Precision, ...]:
    if backend == "onnx":  # ONNX Runtime's processor kernels know no bfloat16
        return ("float32",)
    return ("float32", "bfloat16") if device.type == "cpu" else ("float32", "bfloat16", "float16")


def _computes_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return _cuda_computes_bfloat16(device)
    if device.type == "cpu":
        # AMX implies AVX512-BF16; without either, bfloat16 is emulated and slower than float32.
        probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return bool(probe and probe())
    return False


def _cuda_computes_bfloat16(device: torch.device) -> bool:
    probe = torch.cuda.is_bf16_supported
    if "including_emulation" in inspect.signature(probe).parameters:
        return bool(probe(including_emulation=False))
    # Older PyTorch counts emulation and cannot be told not to: Ampere is the first that computes in it.
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
