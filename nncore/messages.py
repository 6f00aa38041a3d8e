"""Error messages in one printable line."""

_LONGEST = 500


def one_line(message: str) -> str:
    """Return a message with unprintable characters replaced by spaces, cut to 500 characters."""
    line = "".join(char if char.isprintable() else " " for char in message[: _LONGEST + 1])
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
