"""Downloads from real servers: whichever way a mirror fails, the next is asked, nothing is left."""

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.data import remote_file
from tests.support.mirror import Mirror, Reply
from trainer import download as module
from trainer.download import download
from trainer.errors import DownloadError

PATIENCE = module._RETRY

CONTENT = np.random.default_rng(0).integers(0, 9, 200_000, dtype=np.uint8).tobytes()
FILE = remote_file("some-file", CONTENT)
GZIPPED = gzip.compress(CONTENT)
NAME = "some-file.gz"

StartMirror = Callable[[dict[str, Reply]], Mirror]

pytestmark = pytest.mark.usefixtures("no_backoff")


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "mnist" / "some-file"


def left_in(destination: Path) -> list[str]:
    return sorted(path.name for path in destination.parent.iterdir())


@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_file_is_known_however_a_mirror_compressed_it(
    mirror: StartMirror, destination: Path, level: int
) -> None:
    good = mirror({NAME: Reply(gzip.compress(CONTENT, level))})
    download(FILE, [good.url], destination)
    assert destination.read_bytes() == CONTENT
    assert left_in(destination) == ["some-file"]
    assert good.requests == ["/mnist/some-file.gz"]


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "identity", "br"])
def test_the_body_is_gunzipped_once_whatever_content_encoding_a_mirror_claims(
    mirror: StartMirror, destination: Path, coding: str
) -> None:
    good = mirror({NAME: Reply(GZIPPED, headers={"Content-Encoding": coding})})
    download(FILE, [good.url], destination)
    assert destination.read_bytes() == CONTENT


FAILURES: dict[str, tuple[Reply, str]] = {
    "not found": (Reply(status=404), "404"),
    "forbidden": (Reply(b"no", 403), "403"),
    "server error": (Reply(b"sorry", 500), "500"),
    "overloaded": (Reply(b"sorry", 503), "503"),
    "redirect in a circle": (Reply(status=302, headers={"Location": NAME}), "redirect"),
    "empty": (Reply(b""), "expected SHA-256"),
    "not gzip": (Reply(b"<html>please log in</html>"), "incorrect header check"),
    "not gzipped": (Reply(CONTENT), "incorrect header check"),
    "other bytes": (Reply(gzip.compress(CONTENT[::-1])), "expected SHA-256"),
    "shorter": (Reply(gzip.compress(CONTENT[:-1])), "expected SHA-256"),
    "longer by one byte": (Reply(gzip.compress(CONTENT + b"x")), "200000 bytes, got more"),
    "truncated": (Reply(GZIPPED[: len(GZIPPED) // 2]), "expected SHA-256"),
    "corrupt": (Reply(GZIPPED[:40] + b"\xff" * 40 + GZIPPED[80:]), "zlib|Error -3|SHA-256"),
    "wrong checksum": (Reply(GZIPPED[:-8] + bytes(8)), "incorrect data check"),
    "closed in mid-body": (Reply(GZIPPED[:9000], length=len(GZIPPED)), ""),
    "closed before the body": (Reply(b"", length=len(GZIPPED)), ""),
    "closed in mid-body, all there but the promise": (
        Reply(GZIPPED[:-8], length=len(GZIPPED)),
        "",
    ),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_mirror_that_fails_is_told_of_in_a_line_and_the_next_is_asked(
    mirror: StartMirror, destination: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    reply, message = FAILURES[kind]
    bad, good = mirror({NAME: reply}), mirror({NAME: Reply(GZIPPED)})
    download(FILE, [bad.url, good.url], destination)
    assert destination.read_bytes() == CONTENT
    assert left_in(destination) == ["some-file"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{bad.url}: some-file: ")
    assert any(part in line for part in message.split("|"))
    assert len(line) < 300
    assert good.requests == ["/mnist/some-file.gz"]


def test_all_mirrors_are_named_when_all_fail(
    mirror: StartMirror, dead_mirror: str, destination: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = [dead_mirror, mirror({}).url, mirror({NAME: Reply(b"no gzip")}).url]
    with pytest.raises(DownloadError) as error:
        download(FILE, urls, destination)
    assert str(error.value) == f"some-file could be had from none of {', '.join(urls)}"
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": some-file: ")[0] for line in lines] == urls
    assert left_in(destination) == []


def test_a_tiny_file_that_inflates_without_end_is_given_up_at_the_size_limit(
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
    assert left_in(destination) == []


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_mid_body_leaves_nothing(
    mirror: StartMirror,
    destination: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: type[BaseException],
) -> None:
    seen: list[list[str]] = []

    def interrupt(_descriptor: int) -> None:
        seen.append(left_in(destination))
        raise end

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(end):
        download(FILE, [mirror({NAME: Reply(GZIPPED)}).url], destination)
    assert len(seen[0]) == 1
    assert seen[0] != ["some-file"]
    assert left_in(destination) == []


def test_a_full_disk_is_not_blamed_on_the_mirror(
    mirror: StartMirror, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    first, second = mirror({NAME: Reply(GZIPPED)}), mirror({NAME: Reply(GZIPPED)})
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        download(FILE, [first.url, second.url], destination)
    assert second.requests == []
    assert left_in(destination) == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again_a_few_times(
    mirror: StartMirror, destination: Path, status: int
) -> None:
    bad = mirror({NAME: Reply(status=status)})
    with pytest.raises(DownloadError):
        download(FILE, [bad.url], destination)
    assert len(bad.requests) == 3


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "3600"}], ids=["", "asked to wait"])
def test_a_mirror_that_is_overloaded_is_not_waited_for_long(
    mirror: StartMirror,
    destination: Path,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(module, "_RETRY", PATIENCE)
    monkeypatch.setattr("urllib3.util.retry.time", SimpleNamespace(sleep=waited.append))
    bad, good = mirror({NAME: Reply(status=503, headers=headers)}), mirror({NAME: Reply(GZIPPED)})
    download(FILE, [bad.url, good.url], destination)
    assert destination.read_bytes() == CONTENT
    assert sum(waited) < 10
