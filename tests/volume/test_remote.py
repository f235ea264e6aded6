"""Volumes behind a URL: HTTP, HTTPS and S3 servers of this machine, and fsspec's memory."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import h5py
import numpy as np
import pytest
import tifffile
from aiohttp import web

from napari_dtn.volume.formats import sniff
from napari_dtn.volume.opening import open_volume
from napari_dtn.volume.writing import read_attributes, write_image
from support import files
from support.volumes import stack

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = stack((4, 40, 48))
SIZE = (30.0, 6.0, 6.0)
TENSORS = {"em.n5/raw": "n5", "precomputed": "precomputed"}
OTHERS = ["a.tif", "a.mrc", "a.h5::/raw", "slices", "plain.zarr", "plain.zarr::/", "ome.zarr", "ours.zarr"]
SIZED = {*TENSORS, "ome.zarr", "ours.zarr", "a.mrc", "a.h5::/raw"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with IMAGE in every format."""
    place = tmp_path_factory.mktemp("served")
    tifffile.imwrite(place / "a.tif", IMAGE, photometric="minisblack", compression="zlib")
    files.mrc(place / "a.mrc", IMAGE, SIZE, imod=0)
    with h5py.File(place / "a.h5", "w") as file:
        file["raw"] = IMAGE
        file["raw"].attrs["resolution"] = SIZE
    files.qt_pictures(place / "slices", IMAGE, ".png")
    files.tensorstore_zarr(place / "plain.zarr", IMAGE, 3, (1, 16, 16), (2, 32, 32))
    files.ome_zarr_py(place / "ome.zarr", IMAGE, SIZE, "0.4")
    write_image(place / "ours.zarr", IMAGE, voxel_size=SIZE, attributes={"a": 1})
    files.n5(place / "em.n5" / "raw", IMAGE, (2, 16, 16), resolution=list(SIZE[::-1]))
    files.precomputed(place / "precomputed", [IMAGE], (2, 16, 16), SIZE)
    return place


@contextmanager
def served(folder: Path, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve a folder with its listings and with ranges of bytes; give the port."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_static("/", folder, show_index=True)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
    yield runner.addresses[0][1]
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)


@pytest.fixture(scope="module")
def http(folder: Path) -> Iterator[str]:
    with served(folder) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def memory(folder: Path) -> Iterator[str]:
    memory = fsspec.filesystem("memory")
    memory.put(f"{folder}/", "/served/", recursive=True)
    yield "memory://served"
    memory.rm("/served", recursive=True)


@pytest.fixture(scope="module")
def s3(folder: Path) -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        bucket = fsspec.filesystem("s3", s3_additional_kwargs={"ACL": "public-read"})
        bucket.mkdir("volumes")
        bucket.put(f"{folder}/", "volumes/served/", recursive=True)
        yield "s3://volumes/served"
    server.stop()


def check(url: str, name: str) -> None:
    assert sniff(f"{url}/{name}")
    volume = open_volume(f"{url}/{name}")
    np.testing.assert_array_equal(volume.data, IMAGE)
    np.testing.assert_array_equal(volume.data[2, 5:30, ::7], IMAGE[2, 5:30, ::7])
    assert volume.path == f"{url}/{name}"
    if name in SIZED:
        assert volume.voxel_size == pytest.approx(SIZE)


@pytest.mark.parametrize("name", [*OTHERS, *TENSORS])
def test_http(http: str, name: str):
    check(http, name)


@pytest.mark.parametrize("name", OTHERS)
def test_memory(memory: str, name: str):
    check(memory, name)


@pytest.mark.parametrize("name", [*OTHERS, *TENSORS])
def test_s3(s3: str, name: str):
    check(s3, name)


def test_https(folder: Path, tmp_path: Path):
    """In a process of its own: the certificates that are trusted are read once."""
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    program = (
        "import sys, napari_dtn as dtn\nfor one in sys.argv[1:]: print(int(dtn.open_volume(one).data.sum()))"
    )
    environment = {**os.environ, "SSL_CERT_FILE": str(tmp_path / "ca.pem")}
    with served(folder, context) as port:
        urls = [f"https://127.0.0.1:{port}/{name}" for name in ("ome.zarr", "a.tif", "a.mrc")]
        command = [sys.executable, "-c", program, *urls]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [str(IMAGE.sum(dtype=int))] * 3, done.stderr


def test_names_and_levels(http: str):
    volume = open_volume(f"{http}/ome.zarr")
    assert (volume.name, len(volume.levels)) == ("ome", 2)
    assert open_volume(f"{http}/a.tif").name == "a"
    assert open_volume(f"precomputed://{http}/precomputed").name == "precomputed"
    assert read_attributes(f"{http}/ours.zarr") == {"a": 1}


def test_a_damaged_remote_chunk_is_named(folder: Path, http: str):
    chunk = folder / "ours.zarr" / "0" / "c" / "2" / "0" / "0"
    content = chunk.read_bytes()
    volume = open_volume(f"{http}/ours.zarr")
    try:
        chunk.write_bytes(b"no zstd")
        with pytest.raises(ValueError, match=r"http://.*ours\.zarr/0 cannot be read; is it damaged"):
            volume.data[2].compute()
    finally:
        chunk.write_bytes(content)


def test_what_is_not_there(http: str, s3: str):
    for url in (http, s3):
        for name in ("nothing.zarr", "nothing.tif", "folder/nothing"):
            assert not sniff(f"{url}/{name}")
            with pytest.raises(FileNotFoundError, match=f"{name} does not exist; check the path"):
                open_volume(f"{url}/{name}")


def test_what_tensorstore_does_not_reach_says_so(memory: str):
    for name in TENSORS:
        with pytest.raises(ValueError, match="tensorstore reads http, https, s3, gs and local folders"):
            open_volume(f"{memory}/{name}")


def test_public_buckets_need_no_credentials(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    check(s3, "ome.zarr")
    check(s3, "precomputed")


@pytest.mark.parametrize(
    ("missing", "url"),
    [("aiohttp", "https://host/a.zarr"), ("s3fs", "s3://b/a.zarr"), ("upath", "s3://b/a.tif")],
)
def test_the_missing_extra_is_named(missing: str, url: str):
    """In a process of its own: fsspec remembers what it has found."""
    program = (
        f"import sys; sys.modules[{missing!r}] = None; import napari_dtn as dtn; dtn.open_volume({url!r})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last == f"ValueError: {url} needs a package: pip install 'napari-dtn[remote]'."


def test_an_unknown_protocol_is_named():
    with pytest.raises(ValueError, match="begins with carrier-pigeon://, which is not known"):
        open_volume("carrier-pigeon://a.zarr")
