import pytest

from nncore.messages import one_line


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("expected 3 tensors, got ä", "expected 3 tensors, got ä"),
        ("got a\nb\tc\x1b[2J\u2028", "got a b c [2J "),
        ("x" * 500, "x" * 500),
        ("x" * 501, "x" * 500 + "…"),
    ],
)
def test_a_message_is_one_line_of_what_can_be_shown(message: str, line: str) -> None:
    assert one_line(message) == line
