from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
import torch

from napari_dtn.nn import backends
from napari_dtn.nn.backends import (
    available_devices,
    compile_network,
    make_runner,
    resolve_device,
    resolve_precision,
)
from napari_dtn.nn.dtn import DenseTransformerNetwork, build_network, probability
from napari_dtn.settings import Decoder, NetworkSettings

CPU = torch.device("cpu")
CUDA = torch.device("cuda")


def small(
    device: str = "cpu", levels: int = 3, base_channels: int = 4, decoder: Decoder = "mean"
) -> DenseTransformerNetwork:
    settings = NetworkSettings(
        base_channels=base_channels, levels=levels, transformer_levels=(levels - 1,), decoder=decoder
    )
    network = build_network(settings, sampler="dense" if device == "mps" else None)
    for encoder in network.encoders.values():
        torch.nn.init.normal_(encoder.localise.place.weight, std=0.05)
    return network.eval().to(device)


def test_eager_float32_is_a_direct_call(device: str) -> None:
    network = small(device)
    tiles = torch.randn(3, 1, 30, 41)
    out = make_runner(network, torch.device(device), "eager", "float32")(tiles)
    with torch.no_grad():
        expected = probability(network(tiles.to(device))).cpu()
    assert (out.device, out.dtype, out.shape) == (CPU, torch.float32, (3, 1, 30, 41))
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)


def test_bfloat16_gives_about_the_same_probabilities(device: str) -> None:
    network = small(device)
    tiles = torch.randn(2, 1, 48, 48)
    exact, close = (
        make_runner(network, torch.device(device), "eager", precision)(tiles)
        for precision in ("float32", "bfloat16")
    )
    assert close.dtype == torch.float32
    assert 0 < (exact - close).abs().max() < 0.05


def test_auto_is_eager_in_the_precision_of_the_machine() -> None:
    network = small()
    tiles = torch.randn(2, 1, 32, 32)
    precision = resolve_precision("auto", CPU)
    assert torch.equal(make_runner(network, CPU)(tiles), make_runner(network, CPU, "eager", precision)(tiles))


def test_tiles_do_not_know_their_batch(device: str) -> None:
    run = make_runner(small(device), torch.device(device), "eager", "float32")
    tiles = torch.randn(3, 1, 32, 32)
    torch.testing.assert_close(run(tiles)[1:2], run(tiles[1:2]), rtol=0, atol=1e-5)


def test_a_network_trains_after_it_was_run(device: str) -> None:
    # Nothing made under inference mode, such as a cached matrix, may leak into training.
    network = small(device)
    make_runner(network, torch.device(device), "eager", "float32")(torch.randn(2, 1, 38, 30))
    network.train()(torch.randn(2, 1, 38, 30, device=device)).mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


@pytest.mark.parametrize("decoder", ["mean", "quadrilaterals"])
def test_the_whole_network_is_one_graph_without_a_linear_solver(decoder: Decoder) -> None:
    graphs = []

    def record(graph: torch.fx.GraphModule, _: list[torch.Tensor]) -> object:
        graphs.append(graph)
        return graph.forward

    network, tiles = small(decoder=decoder), torch.randn(2, 1, 24, 24)
    traced = compile_network(network, backend=record, fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(traced(tiles), network(tiles), rtol=0, atol=1e-6)
    targets = [str(node.target) for node in graphs[0].graph.nodes]
    assert len(graphs) == 1
    assert not any("solve" in target for target in targets), "the spline's matrix is a constant"


@pytest.mark.slow
@pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))), reason="torch.compile needs a C++ compiler"
)
def test_compiled_is_eager() -> None:
    network = small(levels=2, base_channels=2)
    tiles = torch.randn(2, 1, 16, 16)
    exact = make_runner(network, CPU, "eager", "float32")(tiles)
    torch.testing.assert_close(
        make_runner(network, CPU, "compile", "float32")(tiles), exact, rtol=0, atol=1e-5
    )


# ---- devices and precisions


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
    monkeypatch.setattr(backends.torch, "version", SimpleNamespace(hip=hip))
    assert resolve_precision("auto", CUDA) == expected
