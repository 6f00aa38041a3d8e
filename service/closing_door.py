"""The end of listening: nobody is let in any more, and who is in already is not thrown out.

Whom the system has let in and no worker has taken yet, it resets when the last of them stops
listening. So from that moment on a packet is ignored unless its time to live is still the highest
there is (the check of RFC 5082). Clients' systems begin with less, so whoever wants to connect is
not heard; to connections that are there it does not apply.
"""

import os
import socket
from contextlib import suppress
from functools import partial
from typing import Any

# Where and what Linux calls it (ip(7) and ipv6(7)), which Python has no names for.
_MINIMA = {
    socket.AF_INET: [(socket.IPPROTO_IP, 21)],
    socket.AF_INET6: [(socket.IPPROTO_IP, 21), (socket.IPPROTO_IPV6, 73)],
}
_MOST = 255


def close_gently(master: Any) -> None:
    """Have the listeners of gunicorn's master let nobody in from when it closes them for good.

    A client that comes later asks again after a second, and is then refused or let in by whoever
    listens instead.

    Args:
        master: Of gunicorn's workers; it has its listeners already.
    """
    for listener in master.LISTENERS:
        listener.close = partial(_close, listener, master, listener.close)


def _close(listener: Any, master: Any, close: Any) -> None:
    # A worker closes a listener that others go on with, and so does a master that has a successor.
    others = master.reexec_pid or master.master_pid or master.systemd
    if os.getpid() == master.pid and not others:
        let_nobody_in(listener)
    close()


def let_nobody_in(listener: socket.socket) -> None:
    """Ignore, from now on, who wants to connect."""
    _set_minimum(listener, _MOST)


def hear(connection: socket.socket) -> None:
    """Undo that for a connection whose client was just being let in: it has it of the listener."""
    _set_minimum(connection, 0)


def _set_minimum(of: socket.socket, hops: int) -> None:
    with suppress(OSError):  # a system that does not know it goes without
        for level, option in _MINIMA.get(of.family, []):
            of.setsockopt(level, option, hops)
