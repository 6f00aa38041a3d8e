"""How the process keeps its memory: what one step frees, the next one takes."""

import ctypes

# From glibc's malloc.h. The second is the largest that glibc accepts: half a heap.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER_TRIM, _MMAP_FROM = 1 << 30, 1 << 25


def keep_freed_memory() -> None:
    """Have freed arrays up to 32 MiB stay with the process, and their pages mapped.

    A training step allocates and frees the same few megabytes over and over. By default glibc may
    hand them back to the system each time, and the page faults of getting them again then cost as
    much as the step. With another C library nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_TRIM_THRESHOLD, _NEVER_TRIM)
        mallopt(_MMAP_THRESHOLD, _MMAP_FROM)
