"""What a machine computes on, and in which precision."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from napari_dtn.nn.devices import available_devices, resolve_device, resolve_precision

CPU = torch.device("cpu")
CUDA = torch.device("cuda")


def test_the_cpu_is_always_there() -> None:
    assert available_devices()[-1] == "cpu"
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize(
    ("cuda", "mps", "found"),
    [(False, False, ["cpu"]), (True, False, ["cuda", "cpu"]), (False, True, ["mps", "cpu"])],
)
def test_auto_takes_the_fastest_device(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, found: list[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert available_devices() == found
    assert resolve_device("auto") == torch.device(found[0])


def test_a_device_that_is_not_there_names_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"device is 'cuda'.*it has cpu\."):
        resolve_device("cuda")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_chosen_precision_is_kept(precision: str) -> None:
    assert resolve_precision(precision, CPU) == precision


@pytest.mark.parametrize(("native", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_precision_asks_the_processor(
    monkeypatch: pytest.MonkeyPatch, native: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native, raising=False)
    assert resolve_precision("auto", CPU) == expected


def test_auto_precision_where_pytorch_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert resolve_precision("auto", CPU) == "float32"
    assert resolve_precision("auto", torch.device("mps")) == "float32"


@pytest.mark.parametrize(("native", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_precision_on_a_gpu_does_not_count_emulation(
    monkeypatch: pytest.MonkeyPatch, native: bool, expected: str
) -> None:
    def probe(including_emulation: bool = True) -> bool:
        return including_emulation or native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", probe)
    assert resolve_precision("auto", CUDA) == expected


@pytest.mark.parametrize(
    ("capability", "hip", "expected"),
    [((7, 0), None, "float32"), ((8, 0), None, "bfloat16"), ((9, 0), "6.1", "bfloat16")],
)
def test_auto_precision_on_a_gpu_with_an_older_pytorch(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], hip: str | None, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)  # as in 2.4: no keyword
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch, "version", SimpleNamespace(hip=hip))
    assert resolve_precision("auto", CUDA) == expected


@pytest.mark.parametrize(
    ("precision", "device", "backend", "possible"),
    [
        ("float16", "cpu", "eager", "float32 or bfloat16"),
        ("bfloat16", "cpu", "onnx", "float32"),
        ("float16", "cpu", "openvino", "float32 or bfloat16"),
    ],
)
def test_a_precision_that_a_backend_lacks_names_those_that_it_has(
    precision: str, device: str, backend: str, possible: str
) -> None:
    with pytest.raises(ValueError, match=rf"'{precision}', in which {backend} .*choose {possible}\."):
        resolve_precision(precision, torch.device(device), backend)


def test_float16_is_for_gpus() -> None:
    assert resolve_precision("float16", CUDA) == "float16"


def test_onnx_runtime_computes_in_float32_where_eager_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert resolve_precision("auto", CPU, "openvino") == "bfloat16"
    assert resolve_precision("auto", CPU, "onnx") == "float32"
