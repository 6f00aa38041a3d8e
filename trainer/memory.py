"""Settings of the memory allocator."""

import ctypes

# From glibc's malloc.h. 32 MiB is the largest mmap threshold that it accepts.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_TRIM_BYTES, _MMAP_BYTES = 1 << 30, 1 << 25


def keep_freed_memory() -> None:
    """Make the allocator keep freed arrays of up to 32 MiB mapped.

    By default glibc may return them to the system after every training step, and the page faults
    of the next step take as long as the step itself. Other C libraries are not affected.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
