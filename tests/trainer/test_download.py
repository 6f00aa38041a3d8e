"""Downloads from local servers: each failure of a mirror, verification, no leftover files."""

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.data import remote_file
from tests.support.mirror import Mirror, Reply
from trainer.download import download
from trainer.errors import DownloadError

CONTENT = np.random.default_rng(0).integers(0, 9, 200_000, dtype=np.uint8).tobytes()
FILE = remote_file("some-file", CONTENT)
GZIPPED = gzip.compress(CONTENT)
NAME = "some-file.gz"

StartMirror = Callable[[dict[str, Reply]], Mirror]

pytestmark = pytest.mark.usefixtures("no_backoff")


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "mnist" / "some-file"


def files_beside(destination: Path) -> list[str]:
    return sorted(path.name for path in destination.parent.iterdir())


@pytest.mark.parametrize("coding", ["gzip", "br", None])
def test_the_content_counts_and_not_its_compression_or_encoding_header(
    mirror: StartMirror, destination: Path, coding: str | None
) -> None:
    headers = {"Content-Encoding": coding} if coding else {}
    first = mirror({NAME: Reply(gzip.compress(CONTENT, 0), headers=headers)})
    second = mirror({NAME: Reply(GZIPPED)})
    download(FILE, [first.url, second.url], destination)
    assert destination.read_bytes() == CONTENT
    assert files_beside(destination) == ["some-file"]
    assert (first.requests, second.requests) == (["/mnist/some-file.gz"], [])


FAILURES: dict[str, tuple[Reply, str]] = {
    "not found": (Reply(status=404), "404"),
    "server error": (Reply(b"sorry", 500), "500"),
    "redirect loop": (Reply(status=302, headers={"Location": NAME}), "redirect"),
    "not gzip": (Reply(CONTENT), "incorrect header check"),
    "other content": (Reply(gzip.compress(CONTENT[::-1])), "expected SHA-256"),
    "longer by one byte": (Reply(gzip.compress(CONTENT + b"x")), "200000 bytes, got more"),
    "wrong checksum": (Reply(GZIPPED[:-8] + bytes(8)), "incorrect data check"),
    "connection closed": (Reply(GZIPPED[:9000], length=len(GZIPPED)), ""),
    "bytes after the stream": (Reply(GZIPPED + bytes(200_000)), "nothing after the end"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_of_a_mirror_is_logged_and_the_next_one_is_used(
    mirror: StartMirror, destination: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    reply, message = FAILURES[kind]
    bad, good = mirror({NAME: reply}), mirror({NAME: Reply(GZIPPED)})
    with pytest.raises(DownloadError):
        download(FILE, [bad.url], destination)
    assert files_beside(destination) == []
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{bad.url}: some-file: ")
    assert message in line
    assert len(line) < 300
    download(FILE, [bad.url, good.url], destination)
    assert destination.read_bytes() == CONTENT
    assert files_beside(destination) == ["some-file"]


def test_a_decompression_bomb_stops_at_the_size_of_the_file(
    mirror: StartMirror, destination: Path
) -> None:
    bomb = gzip.compress(bytes(40_000_000))
    assert len(bomb) < 50_000
    url = mirror({NAME: Reply(bomb)}).url
    tracemalloc.start()
    try:
        with pytest.raises(DownloadError):
            download(FILE, [url], destination)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
    assert files_beside(destination) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupt_or_a_full_disk_ends_the_download_and_leaves_no_files(
    mirror: StartMirror,
    destination: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    during: list[str] = []

    def fail(_descriptor: int) -> None:
        during.extend(files_beside(destination))
        raise error

    first, second = mirror({NAME: Reply(GZIPPED)}), mirror({NAME: Reply(GZIPPED)})
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(type(error)):
        download(FILE, [first.url, second.url], destination)
    assert len(during) == 1
    assert during != ["some-file"]
    assert files_beside(destination) == []
    assert second.requests == []


@pytest.mark.parametrize(("status", "requests"), [(429, 3), (503, 3), (404, 1)])
def test_only_transient_failures_are_retried(
    mirror: StartMirror, destination: Path, status: int, requests: int
) -> None:
    bad = mirror({NAME: Reply(status=status)})
    with pytest.raises(DownloadError):
        download(FILE, [bad.url], destination)
    assert len(bad.requests) == requests
