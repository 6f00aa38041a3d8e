"""Downloading a gzipped file from a list of mirrors, with verification."""

import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3
from requests.adapters import HTTPAdapter

from trainer.errors import DownloadError
from trainer.progress import log, progress_bar

CONNECT_SECONDS = 3
READ_SECONDS = 30
_RETRY = urllib3.Retry(
    total=2,
    connect=1,
    backoff_factor=0.5,
    status_forcelist=(429, 500, 502, 503, 504),
    respect_retry_after_header=False,  # the next mirror is tried instead
)
_MIRROR_FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, zlib.error, ValueError)
_CHUNK = 1 << 16


@dataclass(frozen=True)
class RemoteFile:
    """A file on the mirrors, identified by its decompressed content.

    Attributes:
        name: Its name; mirrors add ".gz".
        size: The decompressed size in bytes.
        sha256: The hexadecimal digest of the decompressed bytes.
    """

    name: str
    size: int
    sha256: str


def download(file: RemoteFile, mirrors: Sequence[str], destination: Path) -> None:
    """Download, decompress and verify a file, and rename it to its destination.

    Args:
        file: The file.
        mirrors: URLs that end in a slash, tried in order.
        destination: The path of the decompressed file.

    Raises:
        DownloadError: Every mirror failed.
        OSError: The file cannot be written.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_name(f".{destination.name}.{os.getpid()}.partial")
    failures = []
    with requests.Session() as session:
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=_RETRY))
        for mirror in mirrors:
            try:
                _fetch(session, f"{mirror}{file.name}.gz", file, partial)
                partial.replace(destination)
            except _MIRROR_FAILURES as error:
                log(f"{mirror}: {file.name}: {_short(error)}")
                failures.append(mirror)
            else:
                return
            finally:
                partial.unlink(missing_ok=True)
    raise DownloadError(f"cannot download {file.name} from {', '.join(failures)}")


def _fetch(session: requests.Session, url: str, file: RemoteFile, partial: Path) -> None:
    digest, size = hashlib.sha256(), 0
    with session.get(
        url,
        stream=True,
        timeout=(CONNECT_SECONDS, READ_SECONDS),
        headers={"Accept-Encoding": "identity"},
    ) as response:
        response.raise_for_status()
        with partial.open("wb") as output:
            for chunk in _decompressed(response, file.name):
                size += len(chunk)
                if size > file.size:
                    raise ValueError(f"expected {file.size} bytes, got more")
                digest.update(chunk)
                output.write(chunk)
            output.flush()
            os.fsync(output.fileno())
    if digest.hexdigest() != file.sha256:
        raise ValueError(
            f"expected SHA-256 {file.sha256}, got {digest.hexdigest()} of {size} bytes"
        )


def _decompressed(response: requests.Response, name: str) -> Iterator[bytes]:
    """Yield the decompressed body in bounded pieces; Content-Encoding is ignored."""
    length = response.headers.get("Content-Length", "")
    gunzip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    with progress_bar(int(length) if length.isdigit() else None, name, "B") as bar:
        for compressed in response.raw.stream(_CHUNK, decode_content=False):
            bar.update(len(compressed))
            if gunzip.eof:
                raise ValueError("expected nothing after the end of the gzip stream, got more")
            while compressed:
                yield gunzip.decompress(compressed, _CHUNK)
                compressed = gunzip.unconsumed_tail
    yield gunzip.flush()


def _short(error: Exception) -> str:
    """Return the innermost message of a chain of wrapped network errors."""
    reason = getattr(error.args[0], "reason", error) if error.args else error
    return f"{reason}".rsplit(": ", 1)[-1] if reason is not error else f"{error}"
