from __future__ import annotations

import hashlib
import json
import os
import pickle
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from napari_dtn.nn import bundled
from napari_dtn.nn.checkpoint import (
    KEY,
    ModelCard,
    find_model,
    load_card,
    load_model,
    read_tensors,
    save_model,
    write_tensors,
)
from napari_dtn.nn.dtn import DenseTransformerNetwork, build_network
from napari_dtn.settings import NetworkSettings

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = NetworkSettings(
    base_channels=2,
    levels=3,
    in_channels=3,
    n_classes=2,
    transformer_levels=(1, 2),
    fiducials=3,
    sampler="dense",
)
CARD = ModelCard(
    name="test",
    network=NETWORK,
    patch_size=96,
    voxel_size=(30.0, 6.0, 6.0),
    class_names=("membrane", "inside"),
    normalisation="volume z-score",
    training={"data": "phantom", "split": {"train": [0, 80]}, "iterations": 10, "seed": 3},
    scores={"roc_auc": 0.975, "rule": "four neighbours"},
)


@pytest.fixture
def network() -> DenseTransformerNetwork:
    network = build_network(NETWORK)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_var", "variance")):
            buffer.uniform_(0.5, 1.5)
    torch.nn.init.normal_(network.encoders["1"].localise.place.weight, std=0.1)
    return network.eval()


@pytest.fixture
def saved(tmp_path: Path, network: DenseTransformerNetwork) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, network.state_dict(), CARD)
    return path


def rewrite_card(path: Path, values: object) -> None:
    text = values if isinstance(values, str) else json.dumps(values)
    write_tensors(path, read_tensors(path), {KEY: text})


@pytest.fixture
def no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for module, name in ((torch, "load"), (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler")):
        monkeypatch.setattr(module, name, refuse)


@pytest.mark.usefixtures("no_pickle")
@pytest.mark.parametrize(("half", "tolerance"), [(True, 1e-3), (False, 0.0)])
def test_weights_come_back(
    tmp_path: Path, network: DenseTransformerNetwork, device: str, half: bool, tolerance: float
) -> None:
    path = tmp_path / "new folder" / "model.safetensors"
    save_model(path, network.state_dict(), CARD, half=half)
    model = load_model(path, device=device)
    loaded = model.network.state_dict()
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(
                loaded[name].cpu(), tensor, rtol=tolerance, atol=1e-6 if half else 0, msg=name
            )
    image = torch.randn(1, 3, 20, 26)
    torch.testing.assert_close(
        model.network(image.to(device)).cpu(), network(image), rtol=0.05, atol=0.02 if half else 1e-4
    )


@pytest.mark.usefixtures("no_pickle")
def test_a_loaded_model_is_ready_for_use(saved: Path) -> None:
    model = load_model(saved, device="cpu")
    assert model.card == CARD
    assert model.device == torch.device("cpu")
    assert model.sha256 == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert not model.network.training
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    assert all(parameter.dtype == torch.float32 for parameter in model.network.parameters())


@pytest.mark.parametrize(
    "card", [CARD, ModelCard("bare", NetworkSettings()), replace(CARD, voxel_size=None, scores={})]
)
def test_every_field_of_the_card_comes_back(
    tmp_path: Path, network: DenseTransformerNetwork, card: ModelCard
) -> None:
    save_model(tmp_path / "model.safetensors", network.state_dict(), card)
    loaded = load_card(tmp_path / "model.safetensors")
    assert asdict(loaded) == asdict(card)
    assert loaded == card


def test_the_card_is_json_that_other_programs_read(saved: Path) -> None:
    length = int.from_bytes(saved.read_bytes()[:8], "little")
    header = json.loads(saved.read_bytes()[8 : 8 + length])
    card = json.loads(header["__metadata__"][KEY])
    assert card["network"]["transformer_levels"] == [1, 2]
    assert card["scores"]["roc_auc"] == 0.975


def test_half_the_size_in_float16(tmp_path: Path, network: DenseTransformerNetwork) -> None:
    save_model(tmp_path / "half", network.state_dict(), CARD)
    save_model(tmp_path / "full", network.state_dict(), CARD, half=False)
    stored = [
        sum(t.numel() * t.element_size() for t in read_tensors(tmp_path / n).values())
        for n in ("half", "full")
    ]
    assert stored[1] == 2 * stored[0]


def test_a_value_beyond_float16_is_kept(tmp_path: Path, network: DenseTransformerNetwork) -> None:
    state = network.state_dict()
    name = "down.0.1.running_var"
    state[name] = torch.full_like(state[name], 1e6)
    save_model(tmp_path / "model.safetensors", state, CARD)
    assert torch.equal(
        load_model(tmp_path / "model.safetensors", "cpu").network.state_dict()[name], state[name]
    )


def test_a_card_without_newer_fields_takes_their_defaults(saved: Path) -> None:
    values = CARD.to_json()
    del values["scores"], values["voxel_size"], values["network"]["sampler"]
    rewrite_card(saved, values)
    assert load_card(saved) == replace(
        CARD, scores={}, voxel_size=None, network=replace(NETWORK, sampler="native")
    )


# ---- files that cannot be used say why


def test_an_unknown_name_says_what_there_is(monkeypatch: pytest.MonkeyPatch, saved: Path) -> None:
    monkeypatch.setattr(bundled, "bundled_models", lambda: {"dtn-snemi3d": saved})
    assert find_model("dtn-snemi3d") == saved
    with pytest.raises(FileNotFoundError, match=r"'dtn-snemi'.*\.safetensors.*dtn-snemi3d"):
        load_model("dtn-snemi")


@pytest.mark.parametrize("function", [load_card, load_model])
def test_a_missing_file_is_named(tmp_path: Path, function: object) -> None:
    with pytest.raises(FileNotFoundError, match=r"no_such\.safetensors"):
        function(tmp_path / "no_such.safetensors")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 8,
        b"not a model at all",
        b"PK\x03\x04 a zip, such as torch.save writes",
        b"\x02" + b"\x00" * 7 + b"[]",
        b"\x04" + b"\x00" * 7 + b"\xff\xfe\xfd\xfc",
    ],
)
@pytest.mark.parametrize("function", [load_card, load_model])
def test_another_kind_of_file(tmp_path: Path, function: object, content: bytes) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file\.safetensors is not a safetensors file, or is cut short"):
        function(path)


@pytest.mark.usefixtures("no_pickle")
def test_a_pickled_checkpoint_is_refused_unread(tmp_path: Path, network: DenseTransformerNetwork) -> None:
    path = tmp_path / "model.pt"
    torch.save(network.state_dict(), path)
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_model(path)


def test_a_safetensors_file_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"foreign\.safetensors was not written by napari-dtn"):
        load_model(path)


def test_a_file_cut_in_its_header(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:200])
    with pytest.raises(ValueError, match="cut short"):
        load_card(saved)


def test_a_file_cut_in_its_weights(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-100])
    assert load_card(saved) == CARD
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged or incomplete; copy or download"):
        load_model(saved)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 99}, "another format"),
        ({"colour": "red"}, "its card has unknown colour; a different version"),
        ({"network": {"depth": 3}}, "its network has unknown depth"),
        ({"network": {"levels": 99}}, "levels is 99; it must be at most 8"),
    ],
)
def test_a_card_that_does_not_fit_says_what_and_where(
    saved: Path, change: dict[str, object], said: str
) -> None:
    rewrite_card(saved, {**CARD.to_json(), **change})
    with pytest.raises(ValueError, match=rf"model\.safetensors cannot be used: .*{said}"):
        load_model(saved)


def test_a_card_without_a_network_says_so(saved: Path) -> None:
    values = CARD.to_json()
    del values["network"]
    rewrite_card(saved, values)
    with pytest.raises(ValueError, match="its card lacks network"):
        load_card(saved)


def test_a_card_that_is_no_json(saved: Path) -> None:
    rewrite_card(saved, "{ half a card")
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        load_card(saved)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base_channels": 4}, "size mismatch"),
        ({"transformer_levels": ()}, "encoders"),
        ({"levels": 4}, r"down\.3"),
    ],
)
def test_weights_of_another_network(saved: Path, change: dict[str, object], said: str) -> None:
    rewrite_card(saved, replace(CARD, network=replace(NETWORK, **change)).to_json())
    with pytest.raises(ValueError, match=rf"weights do not fit the network on its card.*{said}") as caught:
        load_model(saved)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


# ---- a crash never leaves half a file


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_old_file(
    monkeypatch: pytest.MonkeyPatch, saved: Path, network: DenseTransformerNetwork, moment: str
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    before = saved.read_bytes()
    with monkeypatch.context() as patched:
        if moment == "fsync":
            patched.setattr(os, "fsync", crash)
        else:
            patched.setattr(type(saved), "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            save_model(saved, network.state_dict(), replace(CARD, name="newer"))
    assert saved.read_bytes() == before
    save_model(saved, network.state_dict(), replace(CARD, name="newer"))
    assert load_card(saved).name == "newer"
    assert [path.name for path in saved.parent.iterdir()] == [saved.name], "and no leftovers"
