"""Libraries that come with an extra: imported when they are needed, with an error that names the extra."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from napari_dtn.settings import Backend

_NEEDED: dict[Backend, tuple[str, ...]] = {
    "openvino": ("openvino",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
}
_hiding = threading.Lock()


def is_installed(backend: Backend) -> bool:
    """Whether the libraries of a backend are there."""
    return all(find_spec(name) is not None for name in _NEEDED.get(backend, ()))


def openvino_installed() -> ModuleType:
    """Import OpenVINO, which is kept from reporting home.

    Raises
    ------
    ImportError
        It is not installed.
    """
    with _without("openvino_telemetry"):
        return _imported("openvino", "openvino", "OpenVINO")


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Make a module look as if it were not installed: OpenVINO then uses a stand-in that sends nothing.

    One thread at a time: two panels may load a model at once.
    """
    with _hiding:
        before = sys.modules.get(module)
        sys.modules[module] = None  # type: ignore[assignment]
        try:
            yield
        finally:
            del sys.modules[module]
            if before is not None:
                sys.modules[module] = before


def onnxruntime_installed() -> ModuleType:
    """Import ONNX Runtime, which is kept from reporting home.

    Raises
    ------
    ImportError
        It is not installed.
    """
    runtime = _imported("onnxruntime", "onnx", "ONNX Runtime")
    runtime.disable_telemetry_events()
    return runtime


def onnx_installed() -> None:
    """Check that a model can be written as ONNX.

    Raises
    ------
    ImportError
        A library is not installed.
    """
    for name in _NEEDED["onnx"]:
        _imported(name, "onnx", "ONNX")


def _imported(module: str, extra: str, name: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"{name} is not installed ({error}): pip install 'napari-dtn[{extra}]'.") from error
