"""Messages of one line, whatever they quote."""

_LONGEST = 500


def one_line(message: str) -> str:
    """Put a space for each character that no line can show, and cut what is longer than any.

    Args:
        message: May quote what a file holds.

    Returns:
        Printable characters, 501 at most.
    """
    line = "".join(char if char.isprintable() else " " for char in message[: _LONGEST + 1])
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
