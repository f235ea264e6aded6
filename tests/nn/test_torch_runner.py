from __future__ import annotations

import shutil

import pytest
import torch

from napari_dtn.nn.dtn import DenseTransformerNetwork, build_network, probability
from napari_dtn.nn.frugal import FrugalRunner
from napari_dtn.nn.torch_runner import TorchRunner, compile_network, torch_runner
from napari_dtn.settings import Decoder, NetworkSettings

CPU = torch.device("cpu")


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
    out = torch_runner(network, torch.device(device), "float32")(tiles)
    with torch.no_grad():
        expected = probability(network(tiles.to(device))).cpu()
    assert (out.device, out.dtype, out.shape) == (CPU, torch.float32, (3, 1, 30, 41))
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)


def test_bfloat16_gives_about_the_same_probabilities(device: str) -> None:
    network = small(device)
    tiles = torch.randn(2, 1, 48, 48)
    exact, close = (
        torch_runner(network, torch.device(device), precision)(tiles) for precision in ("float32", "bfloat16")
    )
    assert close.dtype == torch.float32
    assert 0 < (exact - close).abs().max() < 0.05


def test_tiles_do_not_know_their_batch(device: str) -> None:
    run = torch_runner(small(device), torch.device(device), "float32")
    tiles = torch.randn(3, 1, 32, 32)
    torch.testing.assert_close(run(tiles)[1:2], run(tiles[1:2]), rtol=0, atol=1e-5)


def test_a_network_trains_after_it_was_run(device: str) -> None:
    # Nothing made under inference mode, such as a cached matrix, may leak into training.
    network = small(device)
    torch_runner(network, torch.device(device), "float32")(torch.randn(2, 1, 38, 30))
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
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.02)])
def test_compiled_is_eager(precision: str, tolerance: float) -> None:
    network = small(levels=2, base_channels=2)
    tiles = torch.randn(3, 1, 16, 16)
    exact = torch_runner(network, CPU, "float32")(tiles)
    compiled = torch_runner(network, CPU, precision, compiled_for=3)
    for count in (3, 2):
        torch.testing.assert_close(compiled(tiles[:count]), exact[:count], rtol=0, atol=tolerance)


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 0.01), ("bfloat16", 0.02), ("float16", 0.01)]
)
@pytest.mark.parametrize("compiled_for", [0, 3], ids=["eager", "compiled"])
def test_every_way_of_a_gpu_gives_what_the_processor_does(
    precision: str, tolerance: float, compiled_for: int
) -> None:
    network, tiles = small(levels=2, base_channels=8), torch.randn(3, 1, 48, 48)
    exact = torch_runner(network, CPU, "float32")(tiles)
    run = torch_runner(network.cuda(), torch.device("cuda"), precision, compiled_for)
    for _ in range(6):  # recorded at the fourth call
        torch.testing.assert_close(run(tiles), exact, rtol=0, atol=tolerance)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_with_little_memory_takes_fewer_tiles() -> None:
    network, tiles = small("cuda", base_channels=16), torch.randn(64, 1, 256, 256)
    run = FrugalRunner(torch_runner(network, torch.device("cuda"), "float32"))
    exact = torch.cat([run(some) for some in tiles.split(4)])
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**30) / total)
    try:
        for _ in range(5):
            torch.testing.assert_close(run(tiles), exact, rtol=0, atol=0.01)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_compiled_network_sees_one_size_of_batch() -> None:
    sizes = []

    def forward(tiles: torch.Tensor) -> torch.Tensor:
        sizes.append(len(tiles))
        return tiles

    run, tiles = TorchRunner(forward, CPU, torch.float32, batch=4), torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(run(tiles), tiles.sigmoid())
    assert sizes == [4]
