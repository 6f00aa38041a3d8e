"""MNIST from a directory, the cache or mirrors: what is used has been verified, always."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nncore.types import Array
from tests.support.data import SmallMnist, idx_bytes, small_mnist, tree
from tests.support.mirror import Mirror, Reply
from trainer.errors import DataError
from trainer.labelled_images import ImageData
from trainer.mnist import FILES, MIRRORS, load_mnist

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


def check(data: ImageData, small: SmallMnist = SMALL) -> None:
    """Every array is what the database says."""
    assert data.name == "mnist"
    assert data.test is not None
    parts: list[tuple[Array, str]] = [
        (data.train.images, NAMES[0]),
        (data.train.labels.astype(np.uint8), NAMES[1]),
        (data.test.images, NAMES[2]),
        (data.test.labels.astype(np.uint8), NAMES[3]),
    ]
    for array, name in parts:
        assert idx_bytes(array) == small.contents[name]
    assert data.digests == {
        name: hashlib.sha256(content).hexdigest() for name, content in small.contents.items()
    }


def test_mnist_is_downloaded_into_the_cache(good: Mirror, cache: Path) -> None:
    check(load(cache, good.url))
    assert good.requests == [f"/mnist/{name}.gz" for name in NAMES]
    assert tree(cache / "mnist") == SMALL.contents


def test_each_file_comes_from_the_first_mirror_that_has_it(
    mirror: StartMirror, good: Mirror, dead_mirror: str, cache: Path
) -> None:
    replies = {name: Reply(content) for name, content in SMALL.gzipped().items()}
    replies[f"{NAMES[1]}.gz"] = Reply(b"no gzip")
    check(load(cache, dead_mirror, mirror(replies).url, good.url))
    assert good.requests == [f"/mnist/{NAMES[1]}.gz"]


def test_what_is_in_the_cache_is_not_asked_for(good: Mirror, cache: Path) -> None:
    load(cache, good.url)
    good.requests.clear()
    check(load(cache, good.url))
    check(load(cache))
    assert good.requests == []


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "truncated": lambda whole: whole[:-1],
    "oversized": lambda whole: whole + b"x",
    "wrong magic": lambda whole: b"\1" + whole[1:],
    "a changed value": lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]),
    "a damaged gzip file": lambda whole: gzip.compress(whole)[:-1],
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_in_the_cache_is_fetched_anew(
    good: Mirror, cache: Path, name: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(cache / "mnist", SMALL.contents)
    damaged = cache / "mnist" / name
    damaged.write_bytes(DAMAGE[kind](SMALL.contents[name]))
    check(load(cache, good.url))
    assert good.requests == [f"/mnist/{name}.gz"]
    assert tree(cache / "mnist") == SMALL.contents
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{damaged}: expected ")
    assert line.endswith("; fetching it anew")


@pytest.mark.parametrize("gzipped", [False, True])
def test_a_directory_of_ones_own_is_used_with_no_request_and_no_cache(
    good: Mirror, cache: Path, tmp_path: Path, gzipped: bool
) -> None:
    data_dir = write(tmp_path / "data", SMALL.gzipped() if gzipped else SMALL.contents)
    before = tree(data_dir)
    check(load(cache, good.url, data_dir=data_dir))
    assert good.requests == []
    assert not cache.exists()
    assert tree(data_dir) == before


@pytest.mark.parametrize("missing", NAMES)
def test_a_directory_that_lacks_one_of_the_files_is_an_error(
    good: Mirror, cache: Path, tmp_path: Path, missing: str
) -> None:
    data_dir = write(tmp_path / "data", SMALL.contents)
    (data_dir / missing).unlink()
    with pytest.raises(DataError) as error:
        load(cache, good.url, data_dir=data_dir)
    assert str(error.value) == f"{data_dir}: expected {missing} or {missing}.gz, got neither"
    assert good.requests == []


def test_a_whole_idx_file_that_is_not_mnists_is_told_by_its_digest(
    cache: Path, tmp_path: Path
) -> None:
    other = idx_bytes(np.ones((40, 5, 4), np.uint8))
    data_dir = write(tmp_path / "data", {**SMALL.contents, NAMES[0]: other})
    with pytest.raises(DataError) as error:
        load(cache, data_dir=data_dir)
    assert str(error.value) == (
        f"{data_dir / NAMES[0]}: expected MNIST's SHA-256 {SMALL.files.train_images.sha256}, "
        f"got {hashlib.sha256(other).hexdigest()}"
    )


def test_a_directory_that_is_not_there_is_an_error(
    good: Mirror, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=f"got {tmp_path / 'nowhere'}"):
        load(cache, good.url, data_dir=tmp_path / "nowhere")
    assert good.requests == []


def test_a_directory_with_none_of_the_files_is_passed_over(
    good: Mirror, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = write(tmp_path / "data", {"README": b"nothing here"})
    check(load(cache, good.url, data_dir=data_dir))
    assert f"{data_dir} holds none of MNIST's files" in capsys.readouterr().out


def test_the_real_database_is_described_as_its_authors_describe_it() -> None:
    assert [(file.name, file.size) for file in FILES] == [
        ("train-images-idx3-ubyte", 16 + 60_000 * 28 * 28),
        ("train-labels-idx1-ubyte", 8 + 60_000),
        ("t10k-images-idx3-ubyte", 16 + 10_000 * 28 * 28),
        ("t10k-labels-idx1-ubyte", 8 + 10_000),
    ]
    assert len({file.sha256 for file in FILES}) == 4
    for url in MIRRORS:
        assert url.startswith("https://")
        assert url.endswith("/")
