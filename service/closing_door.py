"""The end of listening: nobody is let in any more, and who is in already is not thrown out.

Whom the system has let in and no worker has taken yet, it resets when the last of them stops
listening.
"""

import ctypes
import os
import socket
import struct
from contextlib import suppress
from functools import partial
from typing import Any

_SO_ATTACH_FILTER = 26  # of Linux, which Python has no name for
# A program for the kernel's packet filter (Linux, Documentation/networking/filter.rst): operation,
# steps to go on if so and if not, operand. A packet begins with the header of TCP.
_SYN = 0x02
_FLAGS_AT = 13
_DROP_SYN = (
    (0x30, 0, 0, _FLAGS_AT),  # load the byte with the flags
    (0x45, 0, 1, _SYN),  # is one of them set by which a connection begins?
    (0x06, 0, 0, 0),  # then drop the packet,
    (0x06, 0, 0, 0xFFFFFFFF),  # else keep all of it
)


def close_gently(master: Any) -> None:
    """Have the listeners of gunicorn's master let nobody in from when it closes them for good.

    A client that comes later asks again after a second, and is then refused or let in by whoever
    listens instead. Where the system does not permit that, as in some containers, it stays possible
    that one is let in and reset in the last microseconds.

    Args:
        master: Of gunicorn's workers; it has its listeners already.
    """
    for listener in master.LISTENERS:
        listener.close = partial(_close, listener, master, listener.close)


def _close(listener: Any, master: Any, close: Any) -> None:
    # A worker closes a listener that others go on with, and so does a master that has a successor.
    others = master.reexec_pid or master.master_pid or master.systemd
    if os.getpid() == master.pid and not others:
        with suppress(OSError):
            let_nobody_in(listener)
    close()


def let_nobody_in(listener: socket.socket) -> None:
    """Ignore, from now on, who wants to connect.

    Raises:
        OSError: The system cannot.
    """
    steps = b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN)
    program = ctypes.create_string_buffer(steps)
    pointer = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(program))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)
