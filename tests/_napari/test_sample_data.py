"""The sample data: layers of the phantom, and SNEMI3D from a local server."""

from __future__ import annotations

import hashlib
import io
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image, Labels
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QProgressDialog, QPushButton

from napari_dtn import phantom as phantom_room
from napari_dtn._napari import sample_data
from napari_dtn._napari.waiting import CancelledError
from napari_dtn.phantom import PhantomSettings, make_phantom

SHAPE = (3, 24, 20)


def tiff(array) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, photometric="minisblack")
    return file.getvalue()


def archive(*names: str, padding: int = 0) -> bytes:
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name in names:
            dtype = np.uint16 if "labels" in name else np.uint8
            zipped.writestr(name, tiff(rng.integers(0, 200, SHAPE).astype(dtype)))
        zipped.writestr("padding", bytes(padding))  # stored as it is, so that the download takes a while
    return file.getvalue()


class Server(ThreadingHTTPServer):
    """Serves one file, counts the requests, and can be slow or broken."""

    def __init__(self, content: bytes, pause: float = 0.0, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.pause, self.status, self.requests = content, pause, status, []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/files"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        try:
            for start in range(0, len(self.server.content), 1024):
                self.wfile.write(self.server.content[start : start + 1024])
                time.sleep(self.server.pause)
        except (BrokenPipeError, ConnectionResetError):
            return

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Start a server in place of Zenodo and give it, the cache being an empty folder."""
    running = []

    def start(content: bytes, md5: str | None = None, **behaviour) -> Server:
        server = Server(content, **behaviour)
        running.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(sample_data, "SNEMI3D_RECORD", server.url)
        monkeypatch.setattr(sample_data, "SNEMI3D_MD5", md5 or hashlib.md5(content).hexdigest())
        return server

    monkeypatch.setattr(sample_data, "cache_folder", lambda: tmp_path / "cache")
    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def small_phantom(monkeypatch):
    small = make_phantom(PhantomSettings(shape=(2, 64, 64)))
    monkeypatch.setattr(phantom_room, "make_phantom", lambda: small)
    return small


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_phantom_gives_an_image_and_its_hidden_truth(qapp, small_phantom):
    viewer = ViewerModel()
    for data in sample_data.phantom():
        viewer._add_layer_from_data(*data)
    image, truth = viewer.layers
    assert isinstance(image, Image)
    assert isinstance(truth, Labels)
    assert [layer.name for layer in viewer.layers] == ["phantom", "phantom truth"]
    assert (image.visible, truth.visible) == (True, False)
    assert np.array_equal(image.data, small_phantom.image)
    assert np.array_equal(truth.data, small_phantom.labels)
    for layer in viewer.layers:
        assert tuple(layer.scale) == (30, 6, 6)
        assert [str(unit) for unit in layer.units] == ["nanometer"] * 3
    assert tuple(image.contrast_limits) == (0, 255)


@pytest.mark.parametrize("prefix", ["", "snemi/"])
def test_snemi3d_is_downloaded_once_and_opened_lazily(qapp, serve, tmp_path, prefix):
    names = [f"{prefix}train-input.tif", f"{prefix}train-labels.tif", f"{prefix}test-input.tif"]
    content = archive(*names)
    server = serve(content)
    first = sample_data.snemi3d()
    assert server.requests == ["/files/snemi.zip"]
    second = sample_data.snemi3d()
    assert len(server.requests) == 1, "a cached volume was downloaded again"
    assert files(tmp_path / "cache") == ["snemi.zip", "train-input.tif", "train-labels.tif"]
    with zipfile.ZipFile(io.BytesIO(content)) as zipped:
        expected = [tifffile.imread(io.BytesIO(zipped.read(name))) for name in names[:2]]
    for layers in (first, second):
        assert [(layer[1]["name"], layer[2]) for layer in layers] == [
            ("SNEMI3D", "image"),
            ("SNEMI3D truth", "labels"),
        ]
        for (data, settings, _), array in zip(layers, expected, strict=True):
            assert hasattr(data, "dask")
            assert np.array_equal(np.asarray(data), array)
            assert settings["scale"] == (30, 6, 6)
    assert first[1][1]["visible"] is False


def test_an_archive_without_labels_gives_the_image_alone(qapp, serve):
    serve(archive("train-input.tif"))
    assert [layer[2] for layer in sample_data.snemi3d()] == ["image"]


def test_a_foreign_archive_is_named(qapp, serve):
    serve(archive("other.tif"))
    with pytest.raises(OSError, match=r"snemi\.zip has no train-input\.tif"):
        sample_data.snemi3d()


def test_an_archive_saved_by_hand_is_used(qapp, serve, tmp_path):
    content = archive("train-input.tif")
    server = serve(content)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "snemi.zip").write_bytes(content)
    assert len(sample_data.snemi3d()) == 1
    assert server.requests == []


def test_a_wrong_md5_is_a_readable_error_and_leaves_nothing(qapp, serve, tmp_path):
    serve(archive("train-input.tif"), md5="0" * 32)
    with pytest.raises(OSError, match=r"damaged.*md5.*snemi\.zip by hand and save it as"):
        sample_data.snemi3d()
    assert files(tmp_path / "cache") == []


def test_an_answer_that_is_no_file_is_a_readable_error(qapp, serve):
    server = serve(b"gone", status=503)
    with pytest.raises(OSError, match="the server answered 503") as caught:
        sample_data.snemi3d()
    assert f"{server.url}/snemi.zip" in str(caught.value)


def test_no_network_is_a_readable_error(qapp, serve, tmp_path):
    server = serve(b"")
    server.shutdown()
    server.server_close()
    with pytest.raises(OSError, match="no connection to the server") as caught:
        sample_data.snemi3d()
    assert f"{server.url}/snemi.zip" in str(caught.value)
    assert str(tmp_path / "cache" / "snemi.zip") in str(caught.value)


def test_cancel_leaves_no_half_file_and_a_later_try_succeeds(qapp, serve, tmp_path, monkeypatch):
    monkeypatch.setattr(sample_data, "CHUNK", 1024)
    server = serve(archive("train-input.tif", padding=200_000), pause=0.02)

    def press():
        dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, QProgressDialog))
        assert dialog.value() > 0, "no progress was shown"
        dialog.findChild(QPushButton, "napari-dtn cancel").click()

    QTimer.singleShot(400, press)
    with pytest.raises(CancelledError):
        sample_data.snemi3d()
    deadline = time.monotonic() + 5
    while files(tmp_path / "cache") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert files(tmp_path / "cache") == []
    server.pause = 0
    assert len(sample_data.snemi3d()) == 1
