"""`multipart/form-data`, whole and broken."""

from collections.abc import Sequence
from random import Random

from benchmarks.chaos.hostile.body import Body

_BOUNDARIES = ("boundary", "boundary", "boundary", "b", '"a b"', "", "x" * 70, "x" * 5000, "\xe9")
_HEADS = (
    b'Content-Disposition: form-data; name="image"; filename="a.png"',
    b'Content-Disposition: form-data; name="image"; filename="a.png"',
    b'Content-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png',
    b'Content-Disposition: form-data; name="top_k"',
    b'Content-Disposition: form-data; name="pixels"',
    b'Content-Disposition: form-data; filename="' + b"a" * 3000 + b'"',
    b"Content-Disposition: form-data; filename*=utf-8''%ff%00; name*0=a; name*1=b",
    b'Content-Disposition: form-data; filename="../../etc/passwd"; name="\\"',
    b"Content-Disposition: form-data; name=",
    b"Content-Disposition: attachment",
    b"Content-Type: multipart/mixed; boundary=boundary",
    b"X: " + b"a" * 10_000,
    b"X: y\r\n" * 1000,
    b"\xff\xfe: \0",
    b"",
)
_LINE_ENDS = (b"\r\n",) * 6 + (b"\n", b"\r")


def hostile_form(random: Random, files: Sequence[bytes]) -> Body:
    """Make a form of some files and fields.

    Args:
        random: Chooses.
        files: Image files.
    """
    boundary = random.choice(_BOUNDARIES)
    mark = b"--" + boundary.strip('"').encode()
    line_end = random.choice(_LINE_ENDS)
    parts = [_part(random, files, line_end) for _ in range(random.choice((0, 1, 1, 2, 9, 40)))]
    if random.random() < 0.05:
        parts = [_part(random, [b""], line_end)[:200]] * 2000
    content = b"".join(mark + line_end + part + line_end for part in parts)
    content += random.choice((mark + b"--\r\n",) * 5 + (b"", mark, mark + b"-", b"--wrong--"))
    if random.random() < 0.1:  # a form in a form
        content = mark + line_end + _HEADS[0] + 2 * line_end + content + line_end + mark + b"--"
    named = random.choice((boundary,) * 6 + ("other", boundary + " ", "boundary; boundary=b"))
    separator = random.choice(("; boundary=",) * 8 + ("", ";boundary", "; BOUNDARY = "))
    return Body(f"multipart/form-data{separator}{named}", content)


def _part(random: Random, files: Sequence[bytes], line_end: bytes) -> bytes:
    head = random.choice(_HEADS)
    content = random.choice((b"3", b"-1", b"\xff")) if b"top_k" in head else random.choice(files)
    return head + 2 * line_end + content
