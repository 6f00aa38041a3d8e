"""MNIST from a directory, the cache or mirrors: every file is verified before it is used."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nncore.types import Array
from tests.support.data import idx_bytes, small_mnist, tree
from tests.support.mirror import Mirror, Reply
from trainer.errors import DataError, DownloadError
from trainer.labelled_images import ImageData
from trainer.mnist import load_mnist

StartMirror = Callable[[dict[str, Reply]], Mirror]

SMALL = small_mnist()
NAMES = list(SMALL.contents)

pytestmark = pytest.mark.usefixtures("no_backoff")


@pytest.fixture
def good(mirror: StartMirror) -> Mirror:
    return mirror({name: Reply(content) for name, content in SMALL.gzipped().items()})


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def load(cache: Path, *mirrors: str, data_dir: Path | None = None) -> ImageData:
    return load_mnist(data_dir, cache, mirrors, SMALL.files)


def check(data: ImageData) -> None:
    """Every array and digest is that of the files."""
    assert data.name == "mnist"
    assert data.test is not None
    parts: list[Array] = [data.train.images, data.train.labels, data.test.images, data.test.labels]
    for array, (name, content) in zip(parts, SMALL.contents.items(), strict=True):
        assert idx_bytes(array.astype(np.uint8)) == content
        assert data.digests[name] == hashlib.sha256(content).hexdigest()


def test_mnist_is_downloaded_once_into_the_cache(good: Mirror, cache: Path) -> None:
    check(load(cache, good.url))
    assert good.requests == [f"/mnist/{name}.gz" for name in NAMES]
    assert tree(cache / "mnist") == SMALL.contents
    check(load(cache, good.url))
    check(load(cache))
    assert len(good.requests) == 4


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (NAMES[0], lambda whole: whole[:-1]),
        (NAMES[3], lambda whole: whole[:-1] + bytes([whole[-1] ^ 1])),
        (NAMES[1], lambda whole: gzip.compress(whole)[:-1]),
    ],
    ids=["truncated", "changed", "damaged gzip"],
)
def test_a_damaged_file_in_the_cache_is_downloaded_again(
    good: Mirror,
    dead_mirror: str,
    cache: Path,
    name: str,
    damage: Callable[[bytes], bytes],
) -> None:
    damaged = write(cache / "mnist", SMALL.contents) / name
    damaged.write_bytes(damage(SMALL.contents[name]))
    with pytest.raises(DownloadError, match=name):
        load(cache, dead_mirror)
    assert not damaged.exists()
    check(load(cache, good.url))
    assert good.requests == [f"/mnist/{name}.gz"]
    assert tree(cache / "mnist") == SMALL.contents


@pytest.mark.parametrize("gzipped", [False, True])
def test_a_data_directory_needs_no_download_and_no_cache(
    good: Mirror, cache: Path, tmp_path: Path, gzipped: bool
) -> None:
    data_dir = write(tmp_path / "data", SMALL.gzipped() if gzipped else SMALL.contents)
    before = tree(data_dir)
    check(load(cache, good.url, data_dir=data_dir))
    assert good.requests == []
    assert not cache.exists()
    assert tree(data_dir) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, rf"expected {NAMES[0]} or {NAMES[0]}.gz, got neither"),
        (b"", rf"{NAMES[0]}: expected an IDX magic number"),
        (idx_bytes(np.ones((40, 5, 4), np.uint8)), f"{NAMES[0]}: expected MNIST's SHA-256 "),
    ],
    ids=["missing", "empty", "other images"],
)
def test_a_data_directory_with_a_missing_or_other_file_is_an_error(
    good: Mirror, cache: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    data_dir = write(tmp_path / "data", SMALL.contents)
    (data_dir / NAMES[0]).unlink()
    if content is not None:
        (data_dir / NAMES[0]).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(cache, good.url, data_dir=data_dir)
    assert good.requests == []


def test_a_data_directory_must_exist_but_may_be_empty(
    good: Mirror, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=f"got {tmp_path / 'nowhere'}"):
        load(cache, good.url, data_dir=tmp_path / "nowhere")
    assert good.requests == []
    check(load(cache, good.url, data_dir=write(tmp_path / "data", {"README": b"no images"})))
