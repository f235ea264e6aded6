"""The fastest way to run a model on this machine that gives the same answers: found by a short trial."""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_dtn import __version__
from napari_dtn.nn.backends import Runner, check_device, make_runner
from napari_dtn.nn.cache import cached, model_key
from napari_dtn.nn.checkpoint import Model
from napari_dtn.nn.devices import describe_devices, resolve_precision
from napari_dtn.nn.extras import is_installed
from napari_dtn.nn.frugal import FrugalRunner
from napari_dtn.settings import Backend, Precision

logger = logging.getLogger(__name__)

_ROUNDS = {"cpu": 3, "cuda": 8, "mps": 3}  # on CUDA the fourth call is recorded, and later ones replayed
_TOLERANCE = 0.01  # root mean square difference of probabilities from float32


@dataclass(frozen=True)
class Choice:
    """What runs a model.

    Parameters
    ----------
    backend, precision
        Neither is ``auto``.
    reason
        Why, in words.
    """

    backend: Backend
    precision: Precision
    reason: str

    @property
    def words(self) -> str:
        """``openvino, bfloat16: …``."""
        return f"{self.backend}, {self.precision}: {self.reason}"


def choose(
    model: Model,
    tiles: Callable[[], Tensor],
    backend: Backend = "auto",
    precision: Precision = "auto",
    threads: int = 0,
) -> Choice:
    """Settle what runs a model.

    ``auto`` tries what is installed: eager PyTorch, in float32 and in what the device computes in, and on a
    processor OpenVINO, or ONNX Runtime where there is no OpenVINO. What differs from eager float32 by more
    than a hundredth (root mean square) is out; of the others the fastest wins. It takes some seconds, once
    for a model, a machine and the versions of the libraries. ``compile`` needs half a minute at every start
    and is left to be asked for.

    Parameters
    ----------
    model
        The model.
    tiles
        Gives some tiles of the volume, ``(N, C, H, W)`` float32; called where there is a trial.
    backend, precision
        What is asked for; where ``backend`` is not ``auto`` there is no trial.
    threads
        Processor threads; 0 for as many as PyTorch takes.

    Raises
    ------
    ValueError
        The backend does not run on the model's device, or not in this precision.
    """
    if backend != "auto":
        check_device(model, backend)
        return Choice(backend, resolve_precision(precision, model.device, backend), "as asked for")
    candidates = list(_candidates(model.device, precision))
    key = {
        **model_key(model),
        "machine": _machine(model.device),
        "threads": threads or torch.get_num_threads(),
        "versions": _versions(),
        "candidates": candidates,
    }

    def trial() -> dict[str, bytes]:
        return {"choice.json": json.dumps(asdict(_trial(model, tiles(), candidates, threads))).encode()}

    choice = Choice(**json.loads(cached(f"{model.card.name}-choice", key, trial)["choice.json"]))
    logger.info("%s runs with %s.", model.card.name, choice.words)
    return choice


def _candidates(device: torch.device, precision: Precision) -> Iterator[tuple[Backend, Precision]]:
    """Yield what is tried."""
    backends: list[Backend] = ["eager"]
    if device.type == "cpu":
        backends += [name for name in ("openvino", "onnx") if is_installed(name)][:1]
    for backend in backends:
        # A precision in which a backend does not compute rules it out; eager, the last resort, says so.
        with suppress(*(() if backend == "eager" else (ValueError,))):
            best = resolve_precision(precision, device, backend)
            yield from dict.fromkeys([(backend, "float32" if precision == "auto" else best), (backend, best)])


def _trial(model: Model, tiles: Tensor, candidates: list[tuple[Backend, Precision]], threads: int) -> Choice:
    expected = FrugalRunner(make_runner(model, "eager", "float32"))(tiles)
    passed: dict[tuple[Backend, Precision], Runner] = {}
    for backend, precision in candidates:
        # Whatever is wrong with a library or with a graph, there is another way.
        try:
            runner = FrugalRunner(make_runner(model, backend, precision, threads))
            difference = float((runner(tiles) - expected).square().mean().sqrt())
        except Exception as error:
            logger.info("%s, %s does not run %s: %s", backend, precision, model.card.name, error)
            continue
        if difference <= _TOLERANCE:
            passed[backend, precision] = runner
        else:
            logger.info("%s, %s is off by %.3f and left out.", backend, precision, difference)
    if not passed:
        tried = ", ".join(sorted({precision for _, precision in candidates}))
        raise ValueError(
            f"{model.card.name} does not give the same answers in {tried}; choose the precision float32."
        )
    seconds = _seconds(passed, tiles, _ROUNDS[model.device.type])
    best = min(seconds, key=lambda each: seconds[each])
    return Choice(*best, _reason(best, seconds))


def _seconds(
    runners: dict[tuple[Backend, Precision], Runner], tiles: Tensor, rounds: int
) -> dict[tuple[Backend, Precision], float]:
    """Return the least time of each for one tile; they take turns, so that a busy moment hits all."""
    seconds = dict.fromkeys(runners, float("inf"))
    for _ in range(rounds):
        for name, runner in runners.items():
            began = time.perf_counter()
            runner(tiles)
            seconds[name] = min(seconds[name], (time.perf_counter() - began) / len(tiles))
    return seconds


def _reason(best: tuple[Backend, Precision], seconds: dict[tuple[Backend, Precision], float]) -> str:
    """``the fastest of 3, 24 ms a tile; eager bfloat16 35, eager float32 50``."""
    others = sorted((took, name) for name, took in seconds.items() if name != best)
    listed = ", ".join(f"{' '.join(name)} {took * 1000:.0f}" for took, name in others)
    if not others:
        return "all that is installed"
    return f"the fastest of {len(seconds)}, {seconds[best] * 1000:.0f} ms a tile; {listed}"


def _machine(device: torch.device) -> list[str]:
    names = [platform.node(), platform.machine(), torch.backends.cpu.get_cpu_capability(), _processor()]
    return [*names, describe_devices()[device.type]]  # type: ignore[index]


def _processor() -> str:
    """Return the processor's name, which Python knows on few systems."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def _versions() -> dict[str, Any]:
    found = {"napari-dtn": __version__}
    for name in ("torch", "openvino", "onnxruntime"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
